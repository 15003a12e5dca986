"""What a chaperon does for its pod, in the target: make it, make it again, show its status.

A pod that the kubelet rejected, or that vanished before any container ran, was never an end: another takes its place
under the same chaperon, with back-off (rule S1). Whether it ran is known from records alone (rule S7): a pod that may
have run and vanished is marked missing; the source ends the proxy, or, where the source stays away, a
`restartPolicy: Always` pod is made again here after a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from federation import names
from federation.decisions.patches import Manifest, merge_patch
from federation.decisions.telling import told_status
from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod, has_started
from federation.model.times import format_time

ALONE = timedelta(seconds=60)  # Admiralty's value: how long a connected source gets to react to a missing pod
NO_POD = "none"  # as the uid of a replaceable pod: the API server refused to make one
_REMAKE_SECONDS_MIN = 1.0
_REMAKE_SECONDS_MAX = 60.0
# How long a pod may stay unseen after the record that it is being made; its watch is behind, or there is none.
_UNSEEN = timedelta(seconds=5)
# A pod that its own deadline ended before it started has ended; every other early Failed is a rejection.
_GENUINE_ENDS = ("DeadlineExceeded",)
# What a pod's status consists of before its kubelet has written any.
_BEGINNING = frozenset({"phase", "qosClass", "observedGeneration", "conditions"})


@dataclass(frozen=True, slots=True)
class MakePod:
    """Create the pod; `remade` is the annotation to set first where that has to be on record."""

    remade: str = ""


@dataclass(frozen=True, slots=True)
class Replaceable:
    """Put on record that another pod may take the place of the one with this uid (rule S7).

    `is_once_gone`: only if the API server says, live, that it is not there.
    """

    uid: str
    is_once_gone: bool = True


@dataclass(frozen=True, slots=True)
class RemovePod:
    """Delete a rejected pod at once, by uid, after it was put on record that it never ran."""

    pod: TargetPod
    reason: str


@dataclass(frozen=True, slots=True)
class EndPod:
    """Delete the pod of a chaperon that is deleted, as the garbage collector does once the chaperon is gone."""

    pod: TargetPod


@dataclass(frozen=True, slots=True)
class MarkMissing:
    """Set (or, with None, remove) the annotation `pod-missing-since`; set it only where the pod is gone, live."""

    since: str | None


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Merge-patch the chaperon's status; `is_fenced`: only if the chaperon is still what was looked at."""

    patch: Manifest
    is_fenced: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """The pod of this name is not ours: say so, delete nothing (rule C4)."""

    message: str


Action = MakePod | Replaceable | RemovePod | EndPod | MarkMissing | ShowStatus | Refuse


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
        if last is not None and (shown := _last_words(chaperon, last)):
            return Plan((shown,))
        return Plan() if chaperon.is_terminating else _without_pod(chaperon, last, now)
    if pod.owner_uid != chaperon.uid:
        return Plan((Refuse(f"a pod named {pod.name} that this PodChaperon does not control is in the way"),), 30.0)
    if is_rejected(pod.status) and not chaperon.is_terminating:
        return Plan(_rejected(chaperon, pod))
    actions: list[Action] = []
    if chaperon.pod_missing_since is not None:
        actions.append(MarkMissing(None))
    if (chaperon.status_text or _says_something(pod.status)) and (shown := _showing(chaperon, pod)):
        actions.append(shown)
    if chaperon.is_held_up and not pod.is_terminating:  # whoever holds it up does not hold up its end (rule S3)
        actions.append(EndPod(pod))
    return Plan(tuple(actions))


def _rejected(chaperon: Chaperon, pod: TargetPod) -> tuple[Action, ...]:
    """A pod that is deleted may not leave a doubt whether it ran, so what is known of it is written first."""
    record = () if chaperon.replaceable == pod.uid else (Replaceable(pod.uid, is_once_gone=False),)
    return record if pod.is_terminating else (*record, RemovePod(pod, str(pod.status.get("reason") or "Failed")))


def _says_something(status: Manifest) -> bool:
    """Whether a first status says more than that the pod was made and given a node: nobody waits for that write."""
    if status.get("phase", "Pending") != "Pending" or not status.keys() <= _BEGINNING:
        return True
    return any(condition.get("status") != "True" for condition in status.get("conditions") or [])


def _last_words(chaperon: Chaperon, last: TargetPod) -> ShowStatus | None:
    if last.owner_uid != chaperon.uid or not has_started(last.status):
        return None
    return _showing(chaperon, last)


def _showing(chaperon: Chaperon, pod: TargetPod) -> ShowStatus | None:
    """Show a pod's status; what is said because the chaperon is *not* being deleted must still be so (rule C5)."""
    status = told_status(chaperon, pod)
    patch = merge_patch(chaperon.status, status)
    return ShowStatus(patch, is_fenced=status != pod.status) if patch else None


def _without_pod(chaperon: Chaperon, last: TargetPod | None, now: datetime) -> Plan:
    if chaperon.waits_to_be_allowed and not chaperon.is_allowed:
        return Plan()
    if _is_replaceable(chaperon) or (not has_started(chaperon.status) and _was_never_bound(chaperon)):
        return _making(chaperon, now, is_first=not _had_pod(chaperon, last))
    if has_started(chaperon.status):
        return _vanished(chaperon, now)
    if not chaperon.is_candidate and not _had_pod(chaperon, last):
        return Plan((MakePod(remade=f"1 {format_time(now)}"),))
    if last is not None and _surely_never_ran(chaperon, last):
        return Plan((Replaceable(last.uid),))
    return _vanished(chaperon, now)


def _had_pod(chaperon: Chaperon, last: TargetPod | None) -> bool:
    """Whether a pod was made for it before, or is being made, as far as is known."""
    return bool(chaperon.status_text or chaperon.remade_count or chaperon.pod_uid or last)


def _is_replaceable(chaperon: Chaperon) -> bool:
    """Whether it is on record that the pod that the records speak of never ran, or may run again (rule S7).

    Which pod that is, is known by uid where the extender binds it. Else the record is taken back when the next pod is
    made, so that it always speaks of the last one.
    """
    return bool(chaperon.replaceable) and (not chaperon.is_candidate or chaperon.pod_uid in ("", chaperon.replaceable))


def _was_never_bound(chaperon: Chaperon) -> bool:
    """Whether none of its pods was ever to be bound: it is not allowed, or no pod is on record, which comes first (S7).

    An extender of before that rule marked reservations without saying for which pod.
    """
    if not chaperon.is_candidate:
        return False
    return not chaperon.is_allowed or not (chaperon.pod_uid or chaperon.is_marked_reserved)


def _surely_never_ran(chaperon: Chaperon, last: TargetPod) -> bool:
    """Whether the pod that the records speak of was seen to go without a node, or rejected by its kubelet."""
    if not last.is_final or last.owner_uid != chaperon.uid or has_started(last.status):
        return False
    is_the_one = not chaperon.is_candidate or last.uid == chaperon.pod_uid
    return is_the_one and (not last.node_name or is_rejected(last.status))


def _making(chaperon: Chaperon, now: datetime, *, is_first: bool) -> Plan:
    if is_first:
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
        unseen = (chaperon.remade_at + _UNSEEN - now).total_seconds() if chaperon.remade_at is not None else 0.0
        if unseen > 0 and not chaperon.status_text:
            return Plan((), unseen)
        return Plan((MarkMissing(format_time(now)),), ALONE.total_seconds())
    missing_seconds = (now - chaperon.pod_missing_since).total_seconds()
    if chaperon.restart_policy != "Always":
        return Plan()
    if missing_seconds < ALONE.total_seconds():
        return Plan((), ALONE.total_seconds() - missing_seconds)
    return Plan((Replaceable(chaperon.pod_uid or NO_POD),))


def record_patch(chaperon: Chaperon, annotations: Mapping[str, str | None]) -> Manifest:
    """Return the merge patch that puts something on record, of exactly this version of a chaperon."""
    return {
        "metadata": {
            "uid": chaperon.uid,
            "resourceVersion": chaperon.resource_version,
            "annotations": dict(annotations),
        }
    }


def remade_patch(chaperon: Chaperon, remade: str) -> Manifest:
    """Return the merge patch that records another attempt, before it is made.

    Not allowed, a candidate has no reservation without a pod. Where nothing but this record stands before the start of
    a pod, what was known of the one before is no longer true of it.
    """
    annotations: dict[str, str | None] = {names.REMADE: remade}
    if chaperon.is_candidate and not chaperon.is_allowed:
        annotations |= {names.IS_RESERVED: None, names.NODE_NAME: None, names.POD_UID: None}
    if not chaperon.is_candidate:
        annotations[names.REPLACEABLE] = None
    return record_patch(chaperon, annotations)
