"""Required inter-pod affinity and anti-affinity: near these pods, away from those, by topology domain.

Both directions count for anti-affinity: a pod already running can refuse its neighbourhood to a new one. A pod whose
affinity selects itself may be the first of its kind anywhere. Preferred terms are not scored here.
"""

from collections.abc import Collection, Mapping
from typing import Any

from lab.scheduler.cache import Place
from lab.scheduler.model import Pod
from lab.scheduler.refusal import Refusal
from lab.scheduler.selectors import matches_labels

Term = Mapping[str, Any]
NamespaceLabels = Mapping[str, Mapping[str, str]]


def _terms(pod: Pod, kind: str) -> list[Term]:
    return pod.affinity(kind).get("requiredDuringSchedulingIgnoredDuringExecution") or []


def is_concerned(pod: Pod, places: Collection[Place]) -> bool:
    """Whether any term, the pod's own or one of the pods already there, could matter."""
    if _terms(pod, "podAffinity") or _terms(pod, "podAntiAffinity"):
        return True
    return any(_terms(other, "podAntiAffinity") for place in places for other in place.pods.values())


def _selects(term: Term, owner: Pod, other: Pod, namespaces: NamespaceLabels) -> bool:
    names = term.get("namespaces") or []
    by_label = term.get("namespaceSelector")
    is_named = other.key[0] in names or (not names and by_label is None and other.key[0] == owner.key[0])
    if not is_named and not (by_label is not None and matches_labels(by_label, namespaces.get(other.key[0], {}))):
        return False
    return matches_labels(term.get("labelSelector"), other.labels)


class InterPod:
    """The terms that matter to one pod, against one state of the cluster."""

    def __init__(self, pod: Pod, places: Collection[Place], namespaces: NamespaceLabels) -> None:
        self._pod = pod
        self._affinity = _terms(pod, "podAffinity")
        self._anti = _terms(pod, "podAntiAffinity")
        self._near: list[set[str]] = [set() for _ in self._affinity]
        self._away: list[set[str]] = [set() for _ in self._anti]
        self._refused: set[tuple[str, str]] = set()  # (topology key, value) that pods already there refuse
        for place in places:
            for other in place.pods.values():
                self._look_at(place, other, namespaces)
        self._is_first = not any(self._near) and all(_selects(term, pod, pod, namespaces) for term in self._affinity)

    def _look_at(self, place: Place, other: Pod, namespaces: NamespaceLabels) -> None:
        labels = place.node.labels
        # A node may be a domain for affinity only if the other pod matches *all* the terms, as upstream counts it.
        if self._affinity and all(_selects(term, self._pod, other, namespaces) for term in self._affinity):
            for values, term in zip(self._near, self._affinity, strict=True):
                values.update([labels[term["topologyKey"]]] if term["topologyKey"] in labels else [])
        for values, term in zip(self._away, self._anti, strict=True):
            if term["topologyKey"] in labels and _selects(term, self._pod, other, namespaces):
                values.add(labels[term["topologyKey"]])
        for term in _terms(other, "podAntiAffinity"):
            if term["topologyKey"] in labels and _selects(term, other, self._pod, namespaces):
                self._refused.add((term["topologyKey"], labels[term["topologyKey"]]))

    def _is_near(self, labels: Mapping[str, str]) -> bool:
        keys = [term["topologyKey"] for term in self._affinity]
        if not all(key in labels for key in keys):
            return False
        return self._is_first or all(labels[key] in near for key, near in zip(keys, self._near, strict=True))

    def refuse(self, place: Place) -> Refusal | None:
        """Refuse a node whose domains lack a wanted pod or hold an unwanted one."""
        labels = place.node.labels
        if self._affinity and not self._is_near(labels):
            return Refusal("InterPodAffinity", ("node(s) didn't match pod affinity rules",), is_final=True)
        for term, away in zip(self._anti, self._away, strict=True):
            if labels.get(term["topologyKey"]) in away:
                return Refusal("InterPodAffinity", ("node(s) didn't match pod anti-affinity rules",))
        if any(labels.get(key) == value for key, value in self._refused):
            return Refusal("InterPodAffinity", ("node(s) didn't satisfy existing pods anti-affinity rules",))
        return None
