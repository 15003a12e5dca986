"""That a delegate was deleted by its cluster's owner, as its chaperon tells it (rule C5).

An eviction and a preemption say so in the pod's condition DisruptionTarget. A plain deletion says nothing: the source
would show how the delegate ended, as if it had ended by itself. So the status that is shown gets that condition where
the pod was deleted, after it had started and before it had ended, although its chaperon stays. What was told once of
a pod stays told.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod, has_started
from federation.model.times import format_time, parse_time

Manifest = dict[str, Any]

DISRUPTION = "DisruptionTarget"
DELETED_IN_TARGET = "DeletedInTarget"
_SECOND = timedelta(seconds=1)  # how exactly a status says when a container ended


def told_status(chaperon: Chaperon, pod: TargetPod) -> Manifest:
    """Return the status to show for a pod: its own, and that it was deleted where nothing else says so."""
    status = pod.status
    if any(c.get("type") == DISRUPTION and c.get("status") == "True" for c in status.get("conditions") or []):
        return status
    if pod.deleted_at is None:
        return status
    told = _told(chaperon.status)
    if not told:
        if chaperon.is_terminating or not has_started(status) or _has_ended_before(pod.deleted_at, pod):
            return status
        told = _condition(pod.deleted_at)
    others = [c for c in status.get("conditions") or [] if c.get("type") != DISRUPTION]
    return status | {"conditions": [*others, told]}


def _told(shown: Manifest) -> Manifest:
    for condition in shown.get("conditions") or []:
        if condition.get("type") == DISRUPTION and condition.get("reason") == DELETED_IN_TARGET:
            return dict(condition)
    return {}


def _condition(deleted_at: datetime) -> Manifest:
    return {
        "type": DISRUPTION,
        "status": "True",
        "reason": DELETED_IN_TARGET,
        "message": "its pod was deleted in the target cluster",
        "lastTransitionTime": format_time(deleted_at)[:19] + "Z",
    }


def _has_ended_before(moment: datetime, pod: TargetPod) -> bool:
    """Whether a pod had ended by itself when it was deleted; a deletion ends containers too."""
    is_ended = pod.phase in ("Succeeded", "Failed")
    return is_ended and max(_ends(pod.status), default=moment) + _SECOND <= moment


def _ends(status: Manifest) -> Iterator[datetime]:
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(kind) or []:
            if moment := parse_time(((container.get("state") or {}).get("terminated") or {}).get("finishedAt")):
                yield moment
