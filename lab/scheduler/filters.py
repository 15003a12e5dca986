"""Which nodes can take a pod, and for each other one why not, in the words of the real scheduler.

Filters run in upstream's order and the first that refuses speaks for the node. A refusal is *final* where removing
pods from the node could not change it: preemption then does not try the node.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from lab.scheduler import inter_pod, spread
from lab.scheduler.cache import Place, clashes
from lab.scheduler.model import Pod
from lab.scheduler.refusal import Refusal
from lab.scheduler.selectors import matches_node, named_nodes, untolerated

_UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@dataclass
class Verdict:
    """The outcome for one pod: places that can take it, refusals by node, or one reason for all nodes."""

    fitting: list[Place] = field(default_factory=list)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    overall: str = ""
    afterword: str = ""
    rejectors: set[str] = field(default_factory=set)

    def message(self, nodes: int) -> str:
        """Return the sentence that kubectl describe shows: counts by reason, sorted."""
        head = self.overall or histogram(self.refusals.values())
        return f"0/{nodes} nodes are available: {head}. {self.afterword}".rstrip()


def histogram(refusals: Iterable[Refusal]) -> str:
    """Return `2 Insufficient cpu, 1 node(s) were unschedulable`, sorted as text."""
    counts: dict[str, int] = {}
    for refusal in refusals:
        for reason in refusal.reasons:
            counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))


def _unschedulable(pod: Pod, place: Place) -> Refusal | None:
    if place.node.is_unschedulable and untolerated([_UNSCHEDULABLE_TAINT], pod.tolerations, ["NoSchedule"]):
        return Refusal("NodeUnschedulable", ("node(s) were unschedulable",), is_final=True)
    return None


def _node_name(pod: Pod, place: Place) -> Refusal | None:
    if pod.node_name and pod.node_name != place.node.name:
        return Refusal("NodeName", ("node(s) didn't match the requested node name",), is_final=True)
    return None


def _taints(pod: Pod, place: Place) -> Refusal | None:
    if untolerated(place.node.taints, pod.tolerations, ["NoSchedule", "NoExecute"]):
        return Refusal("TaintToleration", ("node(s) had untolerated taint(s)",), is_final=True)
    return None


def _node_affinity(pod: Pod, place: Place) -> Refusal | None:
    if not matches_node(pod.spec, place.node.name, place.node.labels):
        return Refusal("NodeAffinity", ("node(s) didn't match Pod's node affinity/selector",), is_final=True)
    return None


def _ports(pod: Pod, place: Place) -> Refusal | None:
    if pod.host_ports and clashes(pod.host_ports, place.ports()):
        return Refusal("NodePorts", ("node(s) didn't have free ports for the requested pod ports",))
    return None


def fits(pod: Pod, place: Place, ignored: Collection[str]) -> Refusal | None:
    """Refuse where the node's allocatable does not hold the request beside what is taken."""
    allocatable, reasons, is_final = place.node.allocatable, [], False
    if len(place.pods) + 1 > allocatable.get("pods", 0):
        reasons.append("Too many pods")
    for name, amount in sorted(pod.requests.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))):
        capacity = allocatable.get(name, 0)
        if amount > 0 and name not in ignored and amount > capacity - place.requested.get(name, 0):
            reasons.append(f"Insufficient {name}")
            is_final = is_final or amount > capacity
    return Refusal("NodeResourcesFit", tuple(reasons), is_final) if reasons else None


_ORDER = {"cpu": 0, "memory": 1, "ephemeral-storage": 2}
_FILTERS: list[Callable[[Pod, Place], Refusal | None]] = [_unschedulable, _node_name, _taints, _node_affinity, _ports]


def missing_claim(pod: Pod, claims: Mapping[tuple[str, str], object]) -> str:
    """Return the reason for all nodes where a claim the pod mounts does not exist, or an empty string."""
    for name in pod.claims:
        if (pod.key[0], name) not in claims:
            return f'persistentvolumeclaim "{name}" not found'
    return ""


class Filter:
    """All filters for one pod against one state of the cluster; what looks at all nodes is prepared once."""

    def __init__(
        self,
        pod: Pod,
        places: Collection[Place],
        namespaces: Mapping[str, Mapping[str, str]],
        ignored_resources: Collection[str] = (),
    ) -> None:
        self._pod = pod
        self._ignored = ignored_resources
        self._places = places
        self._namespaces = namespaces
        self._named = named_nodes(pod.spec)
        self._needs_spread = spread.is_constrained(pod)
        self._needs_inter_pod = inter_pod.is_concerned(pod, places)
        self._spread = spread.Spread(pod, places) if self._needs_spread else None
        self._inter_pod = inter_pod.InterPod(pod, places, namespaces) if self._needs_inter_pod else None

    def refuse(self, place: Place) -> Refusal | None:
        """Return the first refusal of a node, or None where it can take the pod."""
        if self._named is not None and place.node.name not in self._named:
            return Refusal("NodeAffinity", ("node(s) didn't satisfy plugin(s) [NodeAffinity]",), is_final=True)
        for one in _FILTERS:
            if refusal := one(self._pod, place):
                return refusal
        if refusal := fits(self._pod, place, self._ignored):
            return refusal
        if self._spread and (refusal := self._spread.refuse(place)):
            return refusal
        return self._inter_pod.refuse(place) if self._inter_pod else None

    def trying(self, place: Place) -> "Filter":
        """Return the same filter for a cluster in which one node is as in `place`."""
        if not (self._needs_spread or self._needs_inter_pod):
            return self
        others = [one if one.node.name != place.node.name else place for one in self._places]
        return Filter(self._pod, others, self._namespaces, self._ignored)
