"""What a controller has created and its store has not shown yet.

Without this a reconcile that comes before the watch would see too few and create once more. An object that never
shows up (deleted at once) stops being expected after a while.
"""

from collections.abc import Callable, Hashable
from typing import Any

from federation.kube.store import Store, key_of

_PATIENCE_SECONDS = 30.0  # far longer than any watch delay; only an object that was gone at once takes this long


class Expectations:
    """Objects still to be seen, by the key of who created them."""

    def __init__(self, store: Store[dict[str, Any]], clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[Hashable, dict[tuple[str, str], float]] = {}

    def expect(self, key: Hashable, created: dict[str, Any]) -> None:
        """Remember an object as the API server answered it."""
        self._pending.setdefault(key, {})[key_of(created)] = self._clock() + _PATIENCE_SECONDS

    def wait_seconds(self, key: Hashable) -> float:
        """Return 0 once everything created for `key` was seen, else how long to wait at most."""
        pending = self._pending.get(key, {})
        now = self._clock()
        for name, deadline in list(pending.items()):
            if deadline <= now or self._store.get(*name) is not None:
                del pending[name]
        if not pending:
            self._pending.pop(key, None)
            return 0.0
        return max(pending.values()) - now

    def forget(self, key: Hashable) -> None:
        """Expect nothing for a key any more."""
        self._pending.pop(key, None)
