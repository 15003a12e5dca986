"""What an audit looks at, and what it says: everything that objects show of a federation, in thin form.

`Observed` is one look at one source and all clusters that could be read through its Targets or the auditor's own
kubeconfigs. Nothing in it is a promise that all was read at the same moment; see `federation.decisions.audit`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from federation.model.chaperon import Chaperon
from federation.model.left_behind import LeftBehind
from federation.model.pod import ProxyPod
from federation.model.target import Target


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
    """A ConfigMap, Secret, Service or Ingress that a source brought.

    `owners` are the uids of the chaperons that own it: those of a Service or Ingress follow the original instead.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    parent_uid: str
    parent_cluster_name: str
    owners: frozenset[str]
    is_terminating: bool

    @property
    def follows_original(self) -> bool:
        """Whether it lives as long as its original, and not as long as the chaperons that need it."""
        return self.kind in ("Service", "Ingress")


@dataclass(frozen=True, slots=True)
class SeenOriginal:
    """A Service or Ingress of the source, which may be followed; `finalizers` stand for targets."""

    kind: str
    namespace: str
    name: str
    uid: str
    finalizers: tuple[str, ...]


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
    """One cluster, read as a target: its id (empty where it did not tell), what people call it, the Targets to it."""

    id: str
    name: str
    targets: tuple[Target, ...]
    chaperons: tuple[SeenChaperon, ...] = ()
    pods: tuple[SeenPod, ...] = ()
    copies: tuple[SeenCopy, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from other clusters."""
        return self.id or f"behind {self.name}"


@dataclass(frozen=True, slots=True)
class SeenSource:
    """The source. `pod_uids` are those of all its pods, `own_name` what its agent calls it (empty: not known).

    `left_behind` is what its agent has on record of targets that it gave up.
    """

    id: str
    own_name: str
    proxies: tuple[ProxyPod, ...] = ()
    pod_uids: frozenset[str] = frozenset()
    marked: tuple[MarkedPod, ...] = ()
    originals: tuple[SeenOriginal, ...] = ()
    targets: tuple[Target, ...] = ()
    nodes: tuple[SeenNode, ...] = ()
    leases: tuple[SeenLease, ...] = ()
    left_behind: tuple[LeftBehind, ...] = ()

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
