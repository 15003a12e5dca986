"""Pods, chaperons and targets to decide on."""

from datetime import UTC, datetime
from typing import Any

from federation import names
from federation.decisions.asking import Odds
from federation.decisions.intents import TargetView
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import ProxyPod, parse_proxy, reservations_text

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"

Manifest = dict[str, Any]


def submitted(**spec: Any) -> Manifest:
    """An elected pod as a user submits it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "job", "namespace": "ci", "annotations": {names.ELECT: ""}, "labels": {"app": "job"}},
        "spec": {"containers": [{"name": "main", "image": "busybox"}], "schedulerName": "default-scheduler"} | spec,
    }


def proxy(
    *,
    node: str = "",
    gated: bool = True,
    phase: str = "Pending",
    reason: str = "",
    terminating: bool = False,
    finalizers: tuple[str, ...] = (),
    started: bool = False,
    owned: bool = False,
    ungated_at: str = "",
    pinned: tuple[str, ...] = (),
    gates: tuple[str, ...] | None = None,
    reservation: bool = True,
    asking: str = "",
    spread: tuple[tuple[str, str], ...] = (),
    disruption: str = "",
    bound_at: str = "",
    recorded: tuple[str, ...] = (),
    records: tuple[tuple[str, str], ...] = (),
) -> ProxyPod:
    """A proxy pod, by way of its manifest; `recorded` are virtual nodes whose chaperon is on record, or `records`."""
    annotations = {names.ELECT: "", names.SOURCE_POD_MANIFEST: "{}"}
    if asking:
        annotations[names.ASKING] = asking
    if spread:
        annotations[names.SPREAD] = ",".join(f"{label}={key}" for label, key in spread)
    if ungated_at:
        annotations[names.UNGATED_AT] = ungated_at
    if records or recorded:
        records = records or tuple((where, f"chaperon-of-{UID}") for where in recorded)
        annotations[names.RESERVATIONS] = reservations_text(dict(records))
    if not reservation:
        annotations[names.NO_RESERVATION] = ""
    metadata: Manifest = {
        "name": "job",
        "namespace": "ci",
        "uid": UID,
        "resourceVersion": "7",
        "annotations": annotations,
        "finalizers": list(finalizers),
        "creationTimestamp": "2026-11-23T11:59:59Z",
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    if owned:
        metadata["ownerReferences"] = [{"kind": "Job", "name": "j", "uid": "u", "apiVersion": "v1", "controller": True}]
    spec: Manifest = {"containers": [{"name": "main"}]}
    if node:
        spec["nodeName"] = node
    wanted = gates if gates is not None else ((names.CANDIDATES_GATE,) if gated and not node and reservation else ())
    spec["schedulingGates"] = [{"name": name} for name in wanted]
    if pinned:
        terms = [{"matchExpressions": [{"key": names.HOSTNAME, "operator": "In", "values": list(pinned)}]}]
        spec["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        }
    status: Manifest = {"phase": phase}
    if reason:
        status["reason"] = reason
    status |= _conditions(disruption, bound_at)
    if started:
        status["containerStatuses"] = [{"name": "main", "state": {"running": {}}}]
    parsed = parse_proxy({"metadata": metadata, "spec": spec, "status": status})
    assert parsed is not None
    return parsed


def _conditions(disruption: str, bound_at: str) -> Manifest:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": bound_at}
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": disruption}
    return {"conditions": ([scheduled] if bound_at else []) + ([disrupted] if disruption else [])}


def chaperon(
    *,
    uid: str = UID,
    reserved: bool = False,
    allowed: bool = False,
    terminating: bool = False,
    missing: bool = False,
    after_ungate: bool = False,
    refusal: str = "",
    refused_at: str = "",
    status: Manifest | None = None,
) -> Chaperon:
    """The chaperon of that proxy."""
    annotations = {names.PARENT_NAMESPACE: "ci", names.PARENT_NAME: "job"}
    annotations |= {names.IS_RESERVED: "true"} if reserved else {}
    annotations |= {names.IS_ALLOWED: "true"} if allowed else {}
    annotations |= {names.POD_MISSING_SINCE: "2026-11-23T11:59:00Z"} if missing else {}
    annotations |= {names.ASKED_AFTER_UNGATE: "true"} if after_ungate else {}
    metadata: Manifest = {
        "name": names.chaperon_name("job", UID, "ci-arm"),
        "namespace": "ci",
        "uid": f"chaperon-of-{uid}",
        "resourceVersion": "3",
        "annotations": annotations,
        "labels": {names.PARENT_UID: uid},
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    found = status or {}
    if refusal:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": refusal}
        condition |= {"lastTransitionTime": refused_at} if refused_at else {}
        found = {"conditions": [condition]}
    return parse_chaperon({"metadata": metadata, "spec": {}, "status": found})


def target(
    name: str,
    *chaperons: Chaperon,
    obstacle: str = "",
    trouble: str = "",
    counted: bool = True,
    is_unread: bool = False,
    is_going: bool = False,
    is_lost: bool = False,
    settle_seconds: float = 0.0,
    was_never_allowed: bool = False,
    **odds: Any,
) -> TargetView:
    """A target as the proxy sees it; its virtual node is `name`, its finalizer `f-<name>`."""
    return TargetView(
        name,
        name,
        f"{names.PREFIX}{name}",
        obstacle,
        trouble,
        chaperons,
        Odds(**odds),
        counted,
        is_unread=is_unread,
        is_going=is_going,
        is_lost=is_lost,
        settle_seconds=settle_seconds,
        was_never_allowed=was_never_allowed,
    )


def finalizers(*targets: str) -> tuple[str, ...]:
    """The finalizers of these targets."""
    return tuple(f"{names.PREFIX}{name}" for name in targets)
