"""Pods as the federation sees them: proxies in a source, candidates and delegates in a target."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from federation import names
from federation.model.kept import keep, keep_manifest, opened, opened_manifest
from federation.model.pod_shapes import POD_SPEC, POD_STATUS, TOLD_STATUS
from federation.model.quantity import Amounts, pod_requests
from federation.model.reading import STORED, fitting, reads
from federation.model.references import Reference, references
from federation.model.shape import Fields, Text
from federation.model.times import parse_time

Manifest = dict[str, Any]

TERMINAL_PHASES = ("Succeeded", "Failed")
_RESERVATIONS_MAX = 1000  # targets of one pod; far more than there are
_NAME = re.compile(r"[A-Za-z0-9][-.A-Za-z0-9]{0,252}", re.ASCII)  # of a virtual node, or a uid
_GRACE_SECONDS_MAX = 366 * 86400  # more would only serve to reach back before all times

_SPREAD_MAX = 64  # spread constraints of one pod; people write one or two
_PROXY = Fields({"metadata": STORED, "spec": POD_SPEC, "status": POD_STATUS}, ("metadata", "spec"))
_TARGET_POD = Fields(
    {"metadata": STORED, "spec": Fields({"nodeName": Text(), "schedulerName": Text()})}, ("metadata", "spec")
)


class Asking(StrEnum):
    """How a pod's targets are asked for room."""

    LIKELIEST = "likeliest"  # the likeliest first, on evidence twice as many (rule F1)
    ALL = "all"  # all at once: the source's scheduler has to compare them (rule C2)
    ONE = "one"  # never two at a time: asking alone takes volumes or devices (rule F3)


@dataclass(frozen=True, slots=True)
class ProxyPod:
    """A pod that admission made a proxy.

    `finalizers` are those that stand for targets, `other_finalizers` the rest. `pinned_nodes` are the virtual nodes
    that the ungating tied it to, `spread` its spread constraints' topology labels with the key as submitted.
    `disruption` is the reason of its condition DisruptionTarget: why it is about to end. `bound_at` is when it was
    bound, by its condition PodScheduled. `reservations` are virtual nodes, each with the uid of the chaperon that
    is on record there (rule S7). The whole manifest is kept only while unbound, when candidates are made from
    it; the status once bound.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    node_name: str
    gates: tuple[str, ...]
    phase: str
    reason: str
    is_terminating: bool
    finalizers: tuple[str, ...]
    other_finalizers: tuple[str, ...]
    has_controller: bool
    needs_reservation: bool
    created_at: datetime | None
    ungated_at: datetime | None
    pinned_nodes: frozenset[str]
    has_started: bool
    disruption: str
    bound_at: datetime | None
    waiting_message: str
    container_names: frozenset[str]
    priority: int
    asking: Asking
    spread: tuple[tuple[str, str], ...]
    manifest_text: bytes = field(default=b"", compare=False, repr=False)
    status_text: bytes = field(default=b"", repr=False)
    requests: Amounts = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    references: tuple[Reference, ...] = field(default=(), repr=False)
    reservations: tuple[tuple[str, str], ...] = ()

    def reserved(self, node_name: str) -> str:
        """Return the uid of the chaperon that may be allowed on a virtual node (rule S7); empty where none is known."""
        return dict(self.reservations).get(node_name, "")

    @property
    def manifest(self) -> Manifest | None:
        """The whole object, where it is kept; read-only."""
        return opened_manifest(self.manifest_text) if self.manifest_text else None

    @property
    def status(self) -> Manifest:
        """The status as the API server has it, where it is kept."""
        return opened(self.status_text) if self.status_text else {}

    @property
    def is_finished(self) -> bool:
        """Whether its phase is terminal."""
        return self.phase in TERMINAL_PHASES

    @property
    def is_gated_by_us_alone(self) -> bool:
        """Whether our gate is the only one left: others (quota queues) come first (rule M6)."""
        return self.gates == (names.CANDIDATES_GATE,)


def has_started(status: Mapping[str, Any]) -> bool:
    """Whether any container ever ran, by a pod status (a kubelet that rejects a pod sets even its startTime)."""
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(kind) or []:
            states = (container.get("state") or {}, container.get("lastState") or {})
            if any("running" in state or "terminated" in state for state in states) or container.get("restartCount"):
                return True
    return False


def pinned_nodes(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the hostnames that every required node-affinity term allows; empty where it does not speak of them."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or []
    found: set[str] = set()
    for term in terms:
        for expression in term.get("matchExpressions") or []:
            if expression.get("key") == names.HOSTNAME and expression.get("operator") == "In":
                found.update(expression.get("values") or [])
    return frozenset(found)


def _containers(spec: Mapping[str, Any]) -> frozenset[str]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return _shared(tuple(container["name"] for kind in kinds for container in spec.get(kind) or []))


@lru_cache(maxsize=1024)  # pods come in kinds, and a set is a tenth of what we keep of one
def _shared(items: tuple[str, ...]) -> frozenset[str]:
    return frozenset(items)


def _asking(text: str) -> Asking:
    return Asking(text) if text in tuple(Asking) else Asking.LIKELIEST


def _spread(text: str) -> tuple[tuple[str, str], ...]:
    """Return what admission wrote; nothing else becomes a label of a node that namespaces share (rule T8)."""
    pairs = (pair.partition("=") for pair in text.split(",", _SPREAD_MAX)[:_SPREAD_MAX] if pair)
    return tuple((label, key) for label, _, key in pairs if names.SPREAD_LABEL.fullmatch(label))


def parse_reservations(text: str) -> tuple[tuple[str, str], ...]:
    """Return (virtual node, chaperon uid), from an annotation's value; entries that cannot be one are left out."""
    pairs = (entry.split("=") for entry in text.split(",")[:_RESERVATIONS_MAX])
    return tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2 and all(_NAME.fullmatch(p) for p in pair))


def reservations_text(reservations: Mapping[str, str]) -> str:
    """Return the value of the annotation for these chaperon uids by virtual node."""
    return ",".join(f"{node}={uid}" for node, uid in sorted(reservations.items()))


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or []:
        if condition.get("type") == kind:
            found: Mapping[str, Any] = condition
            return found
    return {}


def _disruption(status: Mapping[str, Any]) -> str:
    condition = _condition(status, "DisruptionTarget")
    return str(condition.get("reason") or "unknown") if condition.get("status") == "True" else ""


@reads("Pod", _PROXY)
def parse_proxy(manifest: Manifest) -> ProxyPod | None:
    """Return the proxy, or None for a pod that admission did not elect (rule C4). Raises Unreadable."""
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status") or {}
    annotations = metadata.get("annotations") or {}
    if names.ELECT not in annotations or names.SOURCE_POD_MANIFEST not in annotations:
        return None
    node_name = spec.get("nodeName") or ""
    return ProxyPod(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        node_name=node_name,
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or []),
        phase=status.get("phase") or "Pending",
        reason=status.get("reason") or "",
        is_terminating=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(name for name in metadata.get("finalizers") or [] if name.startswith(names.PREFIX)),
        other_finalizers=tuple(n for n in metadata.get("finalizers") or [] if not n.startswith(names.PREFIX)),
        has_controller=any(owner.get("controller") for owner in metadata.get("ownerReferences") or []),
        needs_reservation=names.NO_RESERVATION not in annotations,
        created_at=parse_time(metadata.get("creationTimestamp")),
        ungated_at=parse_time(annotations.get(names.UNGATED_AT)),
        pinned_nodes=pinned_nodes(spec) if names.UNGATED_AT in annotations else frozenset(),
        has_started=has_started(status),
        disruption=_disruption(status),
        bound_at=parse_time(_condition(status, "PodScheduled").get("lastTransitionTime")) if node_name else None,
        waiting_message=_condition(status, names.RESERVED_CONDITION).get("message") or "",
        container_names=_containers(spec),
        priority=spec.get("priority") or 0,
        asking=_asking(annotations.get(names.ASKING, "")),
        spread=_spread(annotations.get(names.SPREAD, "")),
        manifest_text=b"" if node_name else keep_manifest(manifest),
        status_text=keep(status) if node_name else b"",
        requests=pod_requests(spec),
        labels=metadata.get("labels") or {},
        references=references(spec),
        reservations=parse_reservations(annotations.get(names.RESERVATIONS, "")),
    )


@dataclass(frozen=True, slots=True)
class TargetPod:
    """A candidate or delegate pod, in the target.

    `deleted_at` is when its deletion was asked for. `is_final`: this is how it was when the API server removed it.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    node_name: str
    phase: str
    is_terminating: bool
    is_unschedulable: bool
    owner_uid: str
    deleted_at: datetime | None
    status_text: bytes = field(repr=False)
    is_final: bool = False

    @property
    def status(self) -> Manifest:
        """The status as the API server has it."""
        return opened(self.status_text)


def _deleted_at(metadata: Mapping[str, Any]) -> datetime | None:
    """Return when a deletion was asked for: `deletionTimestamp` is when the grace given to the pod is over."""
    moment, grace = parse_time(metadata.get("deletionTimestamp")), metadata.get("deletionGracePeriodSeconds")
    if moment is None or not isinstance(grace, int):
        return moment
    return moment - timedelta(seconds=min(max(grace, 0), _GRACE_SECONDS_MAX))


@reads("Pod", _TARGET_POD)
def parse_target_pod(manifest: Manifest) -> TargetPod | None:
    """Return the pod, or None where no chaperon controls it; its status as its chaperon may tell it.

    Raises Unreadable.
    """
    metadata, spec = manifest["metadata"], manifest["spec"]
    status = fitting(manifest.get("status") or {}, TOLD_STATUS) or {}
    owner: Manifest = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), {})
    if owner.get("kind") != names.CHAPERON_KIND or not str(owner.get("apiVersion")).startswith(names.PREFIX):
        return None
    scheduled = _condition(status, "PodScheduled")
    return TargetPod(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        node_name=spec.get("nodeName") or "",
        phase=status.get("phase") or "Pending",
        is_terminating=bool(metadata.get("deletionTimestamp")),
        is_unschedulable=scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable",
        owner_uid=owner["uid"],
        deleted_at=_deleted_at(metadata),
        status_text=keep(status),
    )
