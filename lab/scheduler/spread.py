"""Topology spread: pods of a kind evenly over zones, hosts or whatever label a constraint names.

Only nodes that carry all the keys of the constraints count, and of those the ones that the constraint's own
nodeAffinityPolicy (default Honor) and nodeTaintsPolicy (default Ignore) let in; nodes outside those are no domains.
"""

from collections.abc import Collection, Mapping
from typing import Any

from lab.scheduler.cache import Place
from lab.scheduler.model import Pod
from lab.scheduler.refusal import Refusal
from lab.scheduler.selectors import matches_labels, matches_node, untolerated

Constraint = Mapping[str, Any]

_MISMATCH = "node(s) didn't match pod topology spread constraints"


def constraints_of(pod: Pod, when: str) -> list[Constraint]:
    """Return the constraints with this whenUnsatisfiable (DoNotSchedule, ScheduleAnyway)."""
    constraints = pod.spec.get("topologySpreadConstraints") or []
    return [one for one in constraints if one["whenUnsatisfiable"] == when]


def is_constrained(pod: Pod) -> bool:
    """Whether spread can refuse a node to this pod."""
    return bool(constraints_of(pod, "DoNotSchedule"))


def selector_of(constraint: Constraint, pod: Pod) -> Mapping[str, Any] | None:
    """Return the label selector with matchLabelKeys of the pod put in."""
    selector = constraint.get("labelSelector")
    keys = [key for key in constraint.get("matchLabelKeys") or [] if key in pod.labels]
    if not keys or selector is None:
        return selector
    added = [{"key": key, "operator": "In", "values": [pod.labels[key]]} for key in keys]
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or []), *added]}


def _counts_node(constraint: Constraint, pod: Pod, place: Place) -> bool:
    node = place.node
    if (constraint.get("nodeAffinityPolicy") or "Honor") == "Honor" and not matches_node(
        pod.spec, node.name, node.labels
    ):
        return False
    return (constraint.get("nodeTaintsPolicy") or "Ignore") == "Ignore" or not untolerated(
        node.taints, pod.tolerations, ["NoSchedule", "NoExecute"]
    )


def matching(selector: Mapping[str, Any] | None, namespace: str, place: Place) -> int:
    """Return how many pods on a node a constraint counts; terminating ones do not."""
    return sum(
        1
        for pod in place.pods.values()
        if pod.key[0] == namespace and not pod.is_terminating and matches_labels(selector, pod.labels)
    )


def domains(
    constraints: Collection[Constraint], pod: Pod, places: Collection[Place], *, check_nodes: bool = True
) -> list[dict[str, int]]:
    """Return for each constraint how many matching pods each topology value has."""
    keys = [constraint["topologyKey"] for constraint in constraints]
    counts: list[dict[str, int]] = [{} for _ in constraints]
    for place in places:
        if not all(key in place.node.labels for key in keys):
            continue
        for count, constraint in zip(counts, constraints, strict=True):
            if check_nodes and not _counts_node(constraint, pod, place):
                continue
            value = place.node.labels[constraint["topologyKey"]]
            count[value] = count.get(value, 0) + matching(selector_of(constraint, pod), pod.key[0], place)
    return counts


class Spread:
    """The DoNotSchedule constraints of one pod, against one state of the cluster."""

    def __init__(self, pod: Pod, places: Collection[Place]) -> None:
        self._pod = pod
        self._constraints = constraints_of(pod, "DoNotSchedule")
        self._counts = domains(self._constraints, pod, places)

    def refuse(self, place: Place) -> Refusal | None:
        """Refuse a node that would raise the skew over maxSkew, or that has not the key."""
        for constraint, counts in zip(self._constraints, self._counts, strict=True):
            value = place.node.labels.get(constraint["topologyKey"])
            if value is None:
                return Refusal("PodTopologySpread", (f"{_MISMATCH} (missing required label)",), is_final=True)
            least = min(counts.values(), default=0)
            if len(counts) < (constraint.get("minDomains") or 1):
                least = 0
            itself = matches_labels(selector_of(constraint, self._pod), self._pod.labels)
            if counts.get(value, 0) + itself - least > constraint["maxSkew"]:
                return Refusal("PodTopologySpread", (_MISMATCH,))
        return None
