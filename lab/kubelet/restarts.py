"""Decides which containers of a pod to start now, what the others wait for, and when nothing is left to run.

Pure. The order is upstream's: init containers one after the other, sidecars until they are started, then all main
containers at once. A container that ended is started again as its restart policy says: at once the first time, then
after a wait that starts at `base` and doubles up to `longest`, and is forgotten after a run of ten minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab.kubelet.records import Kind, Manifest, Record, Records, Running, Terminated, Waiting, containers

# Upstream forgets a container's failures after twice the longest wait; runs this long count as healthy.
HEALTHY_RUN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class BackOff:
    """Seconds a failing container waits: `base` after the second failure, doubling, never above `longest`."""

    base: float = 10.0
    longest: float = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Start these now; the others wait for this; look again then. `is_over`: no main container will ever run again."""

    start: tuple[str, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    look_again_at: datetime | None = None
    is_over: bool = False


def decide(pod: Manifest, records: Records, now: datetime, back_off: BackOff) -> Plan:
    """The next step of a pod that is to run."""
    if is_over(pod, records):
        return Plan(is_over=True)
    planning = _Planning(pod, records, now, back_off)
    for kind, manifest in containers(pod):
        name = manifest["name"]
        if kind is Kind.MAIN:
            planning.consider(name)
        elif not planning.pass_initial(name, kind):
            break
    return Plan(tuple(planning.start), planning.waiting, planning.look_again_at)


def is_over(pod: Manifest, records: Records) -> bool:
    """Whether all that the pod was to run has run: its main containers, or an init container that may not fail."""
    for kind, manifest in containers(pod):
        record = records[manifest["name"]]
        if kind is Kind.INIT and _has_failed(record) and not restarts_after(pod, record):
            return True
    return all(
        isinstance(record.state, Terminated) and not restarts_after(pod, record)
        for record in records.values()
        if record.kind is Kind.MAIN
    )


def restarts_after(pod: Manifest, record: Record) -> bool:
    """Whether a container that ended as recorded is to run again."""
    ended = record.ended
    if ended is None or record.kind is Kind.SIDECAR:
        return True
    policy = pod["spec"].get("restartPolicy", "Always")
    if record.kind is Kind.INIT and policy == "Always":
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)


def next_back_off(record: Record, ended: Terminated, back_off: BackOff) -> float:
    """How long the container is to wait after its *next* end, given how this run ended."""
    if _was_healthy(ended):
        return back_off.base
    return min(max(record.back_off_seconds * 2, back_off.base), back_off.longest)


def _was_healthy(ended: Terminated) -> bool:
    return ended.started_at is not None and ended.finished_at - ended.started_at >= HEALTHY_RUN


def _has_failed(record: Record) -> bool:
    return isinstance(record.state, Terminated) and record.state.exit_code != 0


class _Planning:
    """Collects the plan while the containers are gone through in order."""

    def __init__(self, pod: Manifest, records: Records, now: datetime, back_off: BackOff) -> None:
        self._pod, self._records, self._now, self._back_off = pod, records, now, back_off
        self.start: list[str] = []
        self.waiting: dict[str, Waiting] = {}
        self.look_again_at: datetime | None = None

    def pass_initial(self, name: str, kind: Kind) -> bool:
        """Whether the containers after this init container or sidecar may start; plans its own start if not."""
        record = self._records[name]
        if kind is Kind.INIT and isinstance(record.state, Terminated) and record.state.exit_code == 0:
            return True
        self.consider(name)
        return kind is Kind.SIDECAR and isinstance(record.state, Running) and record.is_started

    def consider(self, name: str) -> None:
        """Plan the start of a container that does not run and should, now or when its wait is over."""
        record = self._records[name]
        if isinstance(record.state, Running) or not restarts_after(self._pod, record):
            return
        due = self._due(record)
        if due is None or due <= self._now:
            self.start.append(name)
            return
        self.look_again_at = due if self.look_again_at is None else min(due, self.look_again_at)
        if record.retry_at is None:
            self.waiting[name] = Waiting("CrashLoopBackOff", self._crash_message(record))

    def _due(self, record: Record) -> datetime | None:
        if record.retry_at is not None:
            return record.retry_at
        ended = record.ended
        if ended is None or record.back_off_seconds == 0 or _was_healthy(ended):
            return None
        return ended.finished_at + timedelta(seconds=record.back_off_seconds)

    def _crash_message(self, record: Record) -> str:
        metadata = self._pod["metadata"]
        pod = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        wait = _duration(record.back_off_seconds)
        return f"back-off {wait} restarting failed container={record.name} pod={pod}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{seconds:g}s"
