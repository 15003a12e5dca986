"""Pods that wait for a node: ready ones by priority, failed ones after a back-off, hopeless ones until something moves.

A pod that fits nowhere sleeps until an event that could help it; then it still serves the rest of its back-off, 1 s
doubling to 10 s per attempt. A pod that failed through an error (a bind refused, an extender down) backs off without
needing an event. An event while a pod is being scheduled counts for it too: it would otherwise sleep through its
chance. No clock of its own: every call brings the time in seconds.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from lab.scheduler.model import Pod

_BACKOFF_SECONDS_MIN = 1.0  # upstream's podInitialBackoffSeconds
_BACKOFF_SECONDS_MAX = 10.0  # upstream's podMaxBackoffSeconds
_SLEEP_SECONDS_MAX = 300.0  # upstream looks at hopeless pods every five minutes, in case an event was missed


@dataclass
class Waiting:
    """One pod on its way to a node. `since` is when it was first seen, `ready_at` when its back-off ends."""

    pod: Pod
    since: float
    ready_at: float = 0.0
    refusals: int = 0
    errors: int = 0
    rejectors: set[str] = field(default_factory=set)
    slept_at: float = 0.0
    events_seen: int = 0
    is_error: bool = False

    @property
    def rank(self) -> tuple[int, float]:
        """Higher priority first, then the longest known."""
        return -self.pod.priority, self.since


def backoff_seconds(attempts: int) -> float:
    """Return 1, 2, 4, 8, 10, 10... for 1, 2, 3, 4, 5, 6... failed attempts."""
    return float(min(_BACKOFF_SECONDS_MIN * 2 ** min(attempts - 1, 10), _BACKOFF_SECONDS_MAX))


class SchedulingQueue:
    """Every unbound, ungated pod of our profiles is in exactly one of: ready, backing off, asleep, in flight."""

    def __init__(self) -> None:
        self._ready: dict[str, Waiting] = {}
        self._backoff: dict[str, Waiting] = {}
        self._asleep: dict[str, Waiting] = {}
        self._in_flight: dict[str, Waiting] = {}
        self._events: list[tuple[int, frozenset[str] | None]] = []
        self._event_number = 0

    def __len__(self) -> int:
        return len(self._ready) + len(self._backoff) + len(self._asleep)

    def add(self, pod: Pod, now: float) -> None:
        """Take in a pod as it is now; a change that could help wakes it."""
        for where in (self._ready, self._backoff, self._in_flight):
            if waiting := where.get(pod.uid):
                waiting.pod = pod
                return
        if waiting := self._asleep.get(pod.uid):
            old, waiting.pod = waiting.pod, pod
            if _has_changed(old, pod):
                self._wake(waiting, now)
            return
        self._ready[pod.uid] = Waiting(pod, now)

    def remove(self, uid: str) -> None:
        """Forget a pod that was bound, gated or deleted. One in flight is forgotten when it comes back."""
        for where in (self._ready, self._backoff, self._asleep):
            where.pop(uid, None)

    def pop(self, now: float) -> Waiting | None:
        """Return the next pod to schedule, now in flight, or None where none is ready."""
        self._settle(now)
        # A refused pod does not serve its back-off while nobody else wants the scheduler; one that met an error does.
        candidates = self._ready or {uid: one for uid, one in self._backoff.items() if not one.is_error}
        if not candidates:
            return None
        waiting = min(candidates.values(), key=lambda one: one.rank)
        self.remove(waiting.pod.uid)
        waiting.events_seen = self._event_number
        self._in_flight[waiting.pod.uid] = waiting
        return waiting

    def done(self, uid: str) -> None:
        """Say that a pod in flight is bound, or gone."""
        self._in_flight.pop(uid, None)
        self._trim()

    def sleep(self, waiting: Waiting, rejectors: Collection[str], now: float) -> None:
        """Put back a pod that fits nowhere, until an event that concerns those who refused it."""
        waiting.refusals += 1
        waiting.errors = 0
        waiting.is_error = False
        waiting.rejectors = set(rejectors)
        waiting.ready_at = now + backoff_seconds(waiting.refusals)
        waiting.slept_at = now
        missed = any(self._concerns(waiting, cause) for cause in self._since(waiting.events_seen))
        self.done(waiting.pod.uid)
        (self._backoff if missed else self._asleep)[waiting.pod.uid] = waiting

    def retry(self, waiting: Waiting, now: float) -> None:
        """Put back a pod whose scheduling met an error."""
        waiting.errors += 1
        waiting.is_error = True
        waiting.ready_at = now + backoff_seconds(waiting.errors)
        self.done(waiting.pod.uid)
        self._backoff[waiting.pod.uid] = waiting

    def move(self, now: float, rejectors: Collection[str] | None = None) -> None:
        """Wake sleeping pods after a cluster event that could please these rejectors (None: any)."""
        cause = None if rejectors is None else frozenset(rejectors)
        self._event_number += 1
        if self._in_flight:
            self._events.append((self._event_number, cause))
        for waiting in list(self._asleep.values()):
            if self._concerns(waiting, cause):
                self._wake(waiting, now)

    def next_at(self) -> float | None:
        """Return when a pod that now waits will be ready by itself, or None."""
        times = [one.ready_at for one in self._backoff.values()]
        times += [one.slept_at + _SLEEP_SECONDS_MAX for one in self._asleep.values()]
        return min(times, default=None)

    def _settle(self, now: float) -> None:
        for waiting in [one for one in self._asleep.values() if one.slept_at + _SLEEP_SECONDS_MAX <= now]:
            self._wake(waiting, now)
        for uid, waiting in list(self._backoff.items()):
            if waiting.ready_at <= now:
                self._ready[uid] = self._backoff.pop(uid)

    def _wake(self, waiting: Waiting, now: float) -> None:
        del self._asleep[waiting.pod.uid]
        (self._ready if waiting.ready_at <= now else self._backoff)[waiting.pod.uid] = waiting

    def _since(self, number: int) -> list[frozenset[str] | None]:
        return [cause for event, cause in self._events if event > number]

    def _trim(self) -> None:
        oldest = min((one.events_seen for one in self._in_flight.values()), default=self._event_number)
        self._events = [event for event in self._events if event[0] > oldest]

    @staticmethod
    def _concerns(waiting: Waiting, cause: frozenset[str] | None) -> bool:
        # A pod that an extender refused is woken by every event: nobody knows what the extender looks at.
        return cause is None or "Extender" in waiting.rejectors or bool(cause & waiting.rejectors)


def _has_changed(old: Pod, new: Pod) -> bool:
    return (old.spec, old.labels) != (new.spec, new.labels)
