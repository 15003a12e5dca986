"""Who would have to go so that a more important pod fits: the least important pods, as few as possible.

For each node that was not refused for good: take away every pod of lower priority, and where the pod then fits give
them back one by one, the most important first, as long as it still does. Of the nodes, the one whose highest victim
matters least, then the lowest sum of priorities, then the fewest victims. PodDisruptionBudgets are not consulted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lab.scheduler.cache import Place
from lab.scheduler.filters import Filter, Verdict, histogram
from lab.scheduler.model import Pod
from lab.scheduler.refusal import Refusal

_NOT_HELPFUL = Refusal("", ("Preemption is not helpful for scheduling",))
_NO_VICTIMS = Refusal("", ("No preemption victims found for incoming pod",))


@dataclass(frozen=True, slots=True)
class Preemption:
    """Victims on a node, or none; `message` ends the FailedScheduling message.

    Hopeless means that no node could be had by preemption: an earlier nomination is void then.
    """

    message: str
    node: str = ""
    victims: tuple[Pod, ...] = ()
    is_hopeless: bool = False


def is_disrupted(pod: Pod) -> bool:
    """Whether a pod is already going because of preemption."""
    return pod.is_terminating and any(
        condition["type"] == "DisruptionTarget" and condition.get("reason") == "PreemptionByScheduler"
        for condition in pod.status.get("conditions") or []
    )


def not_eligible(pod: Pod, verdict: Verdict, places: Mapping[str, Place]) -> str:
    """Return why a pod may not preempt at all, or an empty string."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = places.get(pod.status.get("nominatedNodeName") or "")
    refusal = verdict.refusals.get(nominated.node.name) if nominated else None
    if nominated and not (refusal and refusal.is_final):
        leaving = (other for other in nominated.pods.values() if other.priority < pod.priority)
        if any(is_disrupted(other) for other in leaving):
            return "not eligible due to a terminating pod on the nominated node."
    return ""


def victims_on(pod: Pod, place: Place, filters: Filter) -> tuple[Pod, ...] | None:
    """Return the pods to remove from a node so that `pod` fits, or None where that cannot be had."""
    lower = [other for other in place.pods.values() if other.priority < pod.priority]
    bare = place.without([other.uid for other in lower])
    if not lower or filters.trying(bare).refuse(bare):
        return None
    victims = []
    for other in sorted(lower, key=lambda one: (-one.priority, one.status.get("startTime") or "~")):
        fuller = bare.with_pods([other])
        if filters.trying(fuller).refuse(fuller):
            victims.append(other)
        else:
            bare = fuller
    return tuple(victims)


def preempt(pod: Pod, verdict: Verdict, places: Mapping[str, Place], filters: Filter) -> Preemption:
    """Decide on preemption for a pod that fits nowhere."""
    if reason := not_eligible(pod, verdict, places):
        return Preemption(f"preemption: {reason}")
    if verdict.overall:
        return Preemption("not found", is_hopeless=True)  # upstream's words where a claim is missing, odd as they are
    found: list[tuple[str, tuple[Pod, ...]]] = []
    refusals: list[Refusal] = []
    for name, place in places.items():
        refusal = verdict.refusals.get(name)
        if refusal and refusal.is_final:
            refusals.append(_NOT_HELPFUL)
        elif not any(other.priority < pod.priority for other in place.pods.values()):
            refusals.append(_NO_VICTIMS)
        elif victims := victims_on(pod, place, filters):
            found.append((name, victims))
        else:
            refusals.append(refusal or _NOT_HELPFUL)
    if not found:
        text = f"preemption: 0/{len(places)} nodes are available: {histogram(refusals)}."
        return Preemption(text, is_hopeless=True)
    node, victims = min(found, key=lambda one: _regret(one[1]))
    text = f"preemption: found a potential placement for pod on node {node}, preempting {len(victims)} victims"
    return Preemption(text, node, victims)


def _regret(victims: tuple[Pod, ...]) -> tuple[int, int, int]:
    priorities = [victim.priority for victim in victims]
    return max(priorities), sum(priorities), len(victims)
