"""Which of the nodes that can take a pod is best: 0 to 100 per aspect, weighted as the real scheduler's defaults.

Taints of effect PreferNoSchedule weigh 3, preferred node affinity and soft topology spread 2, least allocated and
balanced allocation 1. Ties are broken by a name that rotates with the pod, so that equal nodes share the load and a
test sees the same choice twice.
"""

from collections.abc import Collection, Mapping
from zlib import crc32

from lab.scheduler import spread
from lab.scheduler.cache import Place
from lab.scheduler.model import Pod
from lab.scheduler.selectors import matches_term, untolerated

Scores = dict[str, float]

_MAX = 100.0
_WEIGHT_TAINTS, _WEIGHT_AFFINITY, _WEIGHT_SPREAD = 3, 2, 2


def _free_shares(pod: Pod, place: Place) -> list[float]:
    shares = []
    for name in ("cpu", "memory"):
        capacity = place.node.allocatable.get(name, 0)
        taken = place.scored.get(name, 0) + pod.scored_requests[name]
        shares.append(max(0.0, 1 - taken / capacity) if capacity else 0.0)
    return shares


def least_allocated(pod: Pod, place: Place) -> float:
    """Return 100 for an empty node, 0 for a full one: the mean over CPU and memory."""
    return _MAX * sum(_free_shares(pod, place)) / 2


def balanced(pod: Pod, place: Place) -> float:
    """Return 100 where CPU and memory would be used in the same proportion."""
    cpu, memory = _free_shares(pod, place)
    return _MAX * (1 - abs(cpu - memory) / 2)


def _normalised(raw: Mapping[str, float], *, is_reversed: bool) -> Scores:
    top = max(raw.values(), default=0)
    if top == 0:
        return dict.fromkeys(raw, _MAX if is_reversed else 0.0)
    return {name: _MAX - _MAX * value / top if is_reversed else _MAX * value / top for name, value in raw.items()}


def _preferred_affinity(pod: Pod, place: Place) -> float:
    preferred = pod.affinity("nodeAffinity").get("preferredDuringSchedulingIgnoredDuringExecution") or []
    node = place.node
    return float(sum(one["weight"] for one in preferred if matches_term(one["preference"], node.name, node.labels)))


def _soft_taints(pod: Pod, place: Place) -> float:
    return len(untolerated(place.node.taints, pod.tolerations, ["PreferNoSchedule"]))


def _soft_spread(pod: Pod, places: Collection[Place]) -> Scores:
    constraints = spread.constraints_of(pod, "ScheduleAnyway")
    if not constraints:
        return dict.fromkeys((place.node.name for place in places), 0.0)
    counts = spread.domains(constraints, pod, places)
    worst = max((sum(count.values()) for count in counts), default=0) + 1
    raw = {}
    for place in places:
        values = [place.node.labels.get(constraint["topologyKey"]) for constraint in constraints]
        crowd = [worst if value is None else count.get(value, 0) for value, count in zip(values, counts, strict=True)]
        raw[place.node.name] = float(sum(crowd))
    return _normalised(raw, is_reversed=True)


def score(pod: Pod, places: Collection[Place]) -> Scores:
    """Return the weighted score of each node; higher is better."""
    affinity = _normalised({one.node.name: _preferred_affinity(pod, one) for one in places}, is_reversed=False)
    taints = _normalised({one.node.name: _soft_taints(pod, one) for one in places}, is_reversed=True)
    soft = _soft_spread(pod, places)
    return {
        one.node.name: least_allocated(pod, one)
        + balanced(pod, one)
        + _WEIGHT_TAINTS * taints[one.node.name]
        + _WEIGHT_AFFINITY * affinity[one.node.name]
        + _WEIGHT_SPREAD * soft[one.node.name]
        for one in places
    }


def best(pod: Pod, scores: Scores) -> str:
    """Return the node with the highest score."""
    return max(scores, key=lambda name: (round(scores[name]), crc32(f"{pod.uid}/{name}".encode())))
