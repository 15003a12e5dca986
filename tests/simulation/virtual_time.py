"""An event loop on virtual time: it never waits, and while nothing is left to do the clock moves on.

For simulations in which all is in memory: whatever really takes time (a socket, a thread) would be overtaken.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 11, 23, 12, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    """Waits for nothing; what would have been waited for is told to the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: Callable[[float], None] = lambda _: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self.slept(max(timeout, 0.0))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and counts virtual seconds."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        selector = _Selector()
        selector.slept = self._pass
        super().__init__(selector)

    def _pass(self, seconds: float) -> None:
        self._elapsed += seconds

    def time(self) -> float:
        return self._elapsed


def virtual_clock() -> datetime:
    """Return the time of day on the running loop."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a simulation to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
