"""What an audit looks at, and what it says: everything that objects show of a federation, in thin form.

`Observed` is one look at one source and all clusters that could be read through its Targets or the auditor's own
kubeconfigs. Nothing in it is a promise that all was read at the same moment; see `federation.decisions.audit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from federation import names
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.target import Target

Manifest = dict[str, Any]


class Severity(StrEnum):
    """A violation breaks the one rule, a leak is left where nobody will remove it; a warning is neither."""

    VIOLATION = "violation"
    LEAK = "leak"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. All fields but `message` and `fix` say which it is."""

    rule: str
    severity: Severity
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str
    message: str = field(compare=False)
    fix: str = field(compare=False)

    @property
    def is_certain(self) -> bool:
        """Whether seeing it once is enough: no order in which things were read can feign it."""
        return self.rule == "two-allowed"


@dataclass(frozen=True, slots=True)
class SeenChaperon:
    """A chaperon, and the label of the Target that it was made for (empty: Admiralty's)."""

    chaperon: Chaperon
    target: str

    @property
    def is_live(self) -> bool:
        """Whether it is there to stay."""
        return not self.chaperon.is_terminating


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod in a target that is, or looks like, a candidate or delegate. `owner_uid`: the chaperon controlling it."""

    namespace: str
    name: str
    uid: str
    owner_uid: str
    node_name: str
    is_by_candidate_scheduler: bool
    is_terminating: bool


@dataclass(frozen=True, slots=True)
class SeenCopy:
    """A ConfigMap, Secret or Service that a source brought. `owners` are the uids of the chaperons that own it."""

    kind: str
    namespace: str
    name: str
    uid: str
    parent_cluster_name: str
    owners: frozenset[str]
    is_terminating: bool


@dataclass(frozen=True, slots=True)
class MarkedPod:
    """A pod of the source that is no proxy and yet has our label or finalizers."""

    namespace: str
    name: str
    uid: str
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A virtual node; `target` is the label value of the Target that it stands for."""

    name: str
    uid: str
    target: str
    is_terminating: bool


@dataclass(frozen=True, slots=True)
class SeenLease:
    """A Lease that belongs to a virtual node by its name."""

    name: str
    uid: str
    node_uid: str


@dataclass(frozen=True, slots=True)
class SeenCluster:
    """One cluster, read as a target. `targets` lead to it; `names` is what people call it."""

    id: str
    name: str
    targets: tuple[Target, ...]
    chaperons: tuple[SeenChaperon, ...] = ()
    pods: tuple[SeenPod, ...] = ()
    copies: tuple[SeenCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenSource:
    """The source. `pod_uids` are those of all its pods, `own_name` what its agent calls it (empty: not known)."""

    id: str
    own_name: str
    proxies: tuple[ProxyPod, ...] = ()
    pod_uids: frozenset[str] = frozenset()
    marked: tuple[MarkedPod, ...] = ()
    targets: tuple[Target, ...] = ()
    nodes: tuple[SeenNode, ...] = ()
    leases: tuple[SeenLease, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.own_name or self.id


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be looked at, and why. `is_by_design`: the credential given is not meant to see it."""

    cluster: str
    what: str
    why: str
    is_by_design: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """One look at everything."""

    source: SeenSource
    clusters: tuple[SeenCluster, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def source_names(self) -> frozenset[str]:
        """Under which names this source's chaperons go: by its agent's word, its id, or where a proxy's uid tells."""
        uids = {proxy.uid for proxy in self.source.proxies}
        told = {
            seen.chaperon.parent_cluster_name
            for cluster in self.clusters
            for seen in cluster.chaperons
            if seen.chaperon.parent_uid in uids
        }
        return frozenset(told | {self.source.id, self.source.own_name}) - {""}


def parse_seen_chaperon(manifest: Manifest) -> SeenChaperon:
    """Return the chaperon as an audit sees it; only the phase is kept of its pod's status."""
    metadata = manifest["metadata"]
    chaperon = parse_chaperon(manifest)
    return SeenChaperon(
        replace(chaperon, status={"phase": chaperon.status.get("phase")}),
        (metadata.get("labels") or {}).get(names.TARGET, ""),
    )


def parse_seen_pod(manifest: Manifest) -> SeenPod | None:
    """Return the pod, or None for one that has nothing to do with chaperons."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    owner_uid = next((uid for uid, is_controller in _chaperon_owners(metadata) if is_controller), "")
    is_ours = spec.get("schedulerName") == names.CANDIDATE_SCHEDULER
    if not (owner_uid or is_ours or names.PARENT_UID in (metadata.get("labels") or {})):
        return None
    return SeenPod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner_uid,
        node_name=spec.get("nodeName") or "",
        is_by_candidate_scheduler=is_ours,
        is_terminating=bool(metadata.get("deletionTimestamp")),
    )


def _chaperon_owners(metadata: Manifest) -> list[tuple[str, bool]]:
    return [
        (owner["uid"], bool(owner.get("controller")))
        for owner in metadata.get("ownerReferences") or []
        if owner.get("kind") == names.CHAPERON_KIND and str(owner.get("apiVersion")).startswith(names.PREFIX)
    ]


def parse_seen_copy(manifest: Manifest) -> SeenCopy | None:
    """Return the copy, or None for an object that no source brought."""
    metadata = manifest["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    if names.PARENT_CLUSTER_NAME not in labels:
        return None
    return SeenCopy(
        kind=manifest["kind"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        parent_cluster_name=labels[names.PARENT_CLUSTER_NAME],
        owners=frozenset(uid for uid, _ in _chaperon_owners(metadata)),
        is_terminating=bool(metadata.get("deletionTimestamp")),
    )


def parse_seen_proxy(manifest: Manifest) -> ProxyPod | None:
    """Return the proxy without the manifest and the status, which an audit does not need; None for any other pod."""
    proxy = parse_proxy(manifest)
    return None if proxy is None else replace(proxy, manifest=None, status={}, requests={})


def parse_marked_pod(manifest: Manifest) -> MarkedPod | None:
    """Return a pod that is no proxy and has our label or finalizers, or None."""
    metadata = manifest["metadata"]
    finalizers = tuple(name for name in metadata.get("finalizers") or [] if name.startswith(names.PREFIX))
    if not finalizers and names.HAS_FINALIZER not in (metadata.get("labels") or {}):
        return None
    return MarkedPod(metadata["namespace"], metadata["name"], metadata["uid"], finalizers)


def parse_seen_node(manifest: Manifest) -> SeenNode | None:
    """Return the virtual node, or None for any other."""
    metadata = manifest["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    name = labels.get(names.TARGET_NAME) or labels.get(names.CLUSTER_TARGET_NAME)
    if not name:
        return None
    target = names.target_key(labels.get(names.TARGET_NAMESPACE, ""), name)
    return SeenNode(metadata["name"], metadata["uid"], target, bool(metadata.get("deletionTimestamp")))


def parse_seen_lease(manifest: Manifest) -> SeenLease | None:
    """Return the Lease of a virtual node, or None for any other."""
    metadata = manifest["metadata"]
    if not metadata["name"].startswith("admiralty-"):
        return None
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or [] if owner.get("kind") == "Node"]
    return SeenLease(metadata["name"], metadata["uid"], owners[0] if owners else "")
