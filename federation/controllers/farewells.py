"""Which targets have confirmed that nothing of an object is left there, so that finalizers go in one write (rule S3).

Each target is asked in its own lane. The finalizers of those that have answered go together, as soon as all have, or
after a second: one that does not answer keeps its own finalizer on, and no other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from federation.clock import Clock
from federation.kube.store import Key

WAIT_SECONDS = 1.0  # longer, an object that ends waits for nothing; shorter, a busy target costs a write more


@dataclass(slots=True)
class _Farewell:
    uid: str
    since: datetime
    awaited: set[str]
    said: set[str] = field(default_factory=set)


class Farewells:
    """By (namespace, name) of an object at home. A finalizer stands for its target."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Key, _Farewell] = {}

    def expect(self, key: Key, uid: str, awaited: Iterable[str], known: Iterable[str]) -> list[str]:
        """Begin, or go on: the `awaited` have to be asked, those `known` not. Returns which have not answered yet."""
        farewell = self._open.get(key)
        if farewell is None or farewell.uid != uid:
            farewell = self._open[key] = _Farewell(uid, self._clock(), set())
        farewell.awaited = set(awaited)
        known = set(known)
        farewell.said = (farewell.said & farewell.awaited) | known
        return sorted(farewell.awaited - farewell.said)

    def say(self, key: Key, uid: str, finalizer: str) -> None:
        """A target has confirmed, live."""
        farewell = self._open.get(key)
        if farewell is not None and farewell.uid == uid:
            farewell.said.add(finalizer)

    def has_begun(self, key: Key) -> bool:
        """Whether some have confirmed, and others are waited for."""
        farewell = self._open.get(key)
        return farewell is not None and bool(farewell.said)

    def take(self, key: Key) -> frozenset[str]:
        """Return the finalizers to drop now, each for one write: whoever fails to drop them asks anew."""
        farewell = self._open.get(key)
        if farewell is None or not farewell.said:
            return frozenset()
        is_late = self._clock() - farewell.since >= timedelta(seconds=WAIT_SECONDS)
        if not farewell.awaited <= farewell.said and not is_late:
            return frozenset()
        del self._open[key]
        return frozenset(farewell.said)

    def forget(self, key: Key) -> None:
        """Nothing is to be dropped now: what was said holds no longer."""
        self._open.pop(key, None)
