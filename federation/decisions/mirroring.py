"""What a chaperon does for its pod, in the target: make it, make it again, show its status.

A pod that the kubelet rejected, or that vanished before any container ran, was never an end: another takes its place
under the same chaperon, with back-off (rule S1). One that ran and vanished is marked missing; the source ends the
proxy, or, where the source stays away, a `restartPolicy: Always` pod is made again here after a minute.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from federation import names
from federation.decisions.patches import Manifest, merge_patch
from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod, has_started
from federation.model.times import format_time

ALONE = timedelta(seconds=60)  # Admiralty's value: how long a connected source gets to react to a missing pod
_REMAKE_SECONDS_MIN = 1.0
_REMAKE_SECONDS_MAX = 60.0
# A pod that its own deadline ended before it started has ended; every other early Failed is a rejection.
_GENUINE_ENDS = ("DeadlineExceeded",)
# What a pod's status consists of before its kubelet has written any.
_BEGINNING = frozenset({"phase", "qosClass", "observedGeneration", "conditions"})


@dataclass(frozen=True, slots=True)
class MakePod:
    """Create the candidate; `remade` is the annotation to set first where this is not the first one."""

    remade: str = ""


@dataclass(frozen=True, slots=True)
class RemovePod:
    """Delete a rejected pod at once, by uid."""

    pod: TargetPod
    reason: str


@dataclass(frozen=True, slots=True)
class MarkMissing:
    """Set (or, with None, remove) the annotation `pod-missing-since`."""

    since: str | None


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Merge-patch the chaperon's status."""

    patch: Manifest


@dataclass(frozen=True, slots=True)
class Refuse:
    """The pod of this name is not ours: say so, delete nothing (rule C4)."""

    message: str


Action = MakePod | RemovePod | MarkMissing | ShowStatus | Refuse


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in order, and after how many seconds to look again."""

    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None


def is_rejected(status: Manifest) -> bool:
    """Whether a kubelet turned the pod away: Failed, and no container ever ran."""
    return status.get("phase") == "Failed" and not has_started(status) and status.get("reason") not in _GENUINE_ENDS


def decide(chaperon: Chaperon, pod: TargetPod | None, last: TargetPod | None, now: datetime) -> Plan:
    """Return what to write for one chaperon and the pod of its name; `last` is how a pod that is gone was last seen.

    A kubelet writes the end of a pod and deletes it in one breath: without `last` its exit code would be lost (C1).
    """
    if pod is None:
        if last is not None and (patch := _last_words(chaperon, last)):
            return Plan((ShowStatus(patch),))
        return Plan() if chaperon.is_terminating else _without_pod(chaperon, last, now)
    if pod.owner_uid != chaperon.uid:
        return Plan((Refuse(f"a pod named {pod.name} that this PodChaperon does not control is in the way"),), 30.0)
    if is_rejected(pod.status) and not chaperon.is_terminating:
        if pod.is_terminating:
            return Plan()
        return Plan((RemovePod(pod, str(pod.status.get("reason") or "Failed")),))
    actions: list[Action] = []
    if chaperon.pod_missing_since is not None:
        actions.append(MarkMissing(None))
    status = pod.status
    if (chaperon.status_text or _says_something(status)) and (patch := merge_patch(chaperon.status, status)):
        actions.append(ShowStatus(patch))
    return Plan(tuple(actions))


def _says_something(status: Manifest) -> bool:
    """Whether a first status says more than that the pod was made and given a node: nobody waits for that write."""
    if status.get("phase", "Pending") != "Pending" or not status.keys() <= _BEGINNING:
        return True
    return any(condition.get("status") != "True" for condition in status.get("conditions") or [])


def _last_words(chaperon: Chaperon, last: TargetPod) -> Manifest:
    if last.owner_uid != chaperon.uid or not has_started(last.status):
        return {}
    return merge_patch(chaperon.status, last.status)


def _without_pod(chaperon: Chaperon, last: TargetPod | None, now: datetime) -> Plan:
    if chaperon.waits_to_be_allowed and not chaperon.is_allowed:
        return Plan()
    if has_started(chaperon.status):
        return _vanished(chaperon, now)
    if not chaperon.status_text and not chaperon.remade_count and last is None:
        return Plan((MakePod(),))
    wait = _remake_wait(chaperon, now)
    if wait > 0:
        return Plan((), wait)
    return Plan((MakePod(remade=f"{chaperon.remade_count + 1} {format_time(now)}"),))


def _remake_wait(chaperon: Chaperon, now: datetime) -> float:
    """Seconds until the pod may be made again: at once the first time, then doubling."""
    if not chaperon.remade_count or chaperon.remade_at is None:
        return 0.0
    seconds = min(_REMAKE_SECONDS_MIN * 2 ** min(chaperon.remade_count - 1, 10), _REMAKE_SECONDS_MAX)
    return (chaperon.remade_at + timedelta(seconds=seconds) - now).total_seconds()


def _vanished(chaperon: Chaperon, now: datetime) -> Plan:
    if chaperon.pod_missing_since is None:
        return Plan((MarkMissing(format_time(now)),), ALONE.total_seconds())
    missing_seconds = (now - chaperon.pod_missing_since).total_seconds()
    if chaperon.restart_policy != "Always":
        return Plan()
    if missing_seconds < ALONE.total_seconds():
        return Plan((), ALONE.total_seconds() - missing_seconds)
    return Plan((MakePod(),))


def remade_patch(chaperon: Chaperon, remade: str) -> Manifest:
    """Return the merge patch that records another attempt."""
    return {"metadata": {"uid": chaperon.uid, "annotations": {names.REMADE: remade}}}
