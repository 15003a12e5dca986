"""Keys that want to be looked at, each by one worker at a time.

A key is a name, never an event: added twice it is looked at once; added while being looked at, once more afterwards.
A reconcile that raises is tried again with exponential back-off per key; one that returns seconds is looked at again
then. Nothing else retries, so a reconciler never sleeps. Keys added as `is_begun` go before others, three to one: what
has been begun holds something until it is done, and a burst of new work would have it wait behind all that.

A queue may be worked on only now and then: by the replica that leads. One that says what `everything` is begins each
time with that, and takes no keys in between, for a standby must not collect the names of all that ever came and went.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from loguru import logger

from federation.kube.errors import ApiError, Conflict, Unreachable

K = TypeVar("K", bound=Hashable)
MayWork = Callable[[], bool]  # whether another key may be begun at this moment

_BACKOFF_SECONDS_MIN = 0.05  # a conflict usually heals as soon as our watch has caught up
_BACKOFF_SECONDS_MAX = 60.0  # a key that keeps failing costs one attempt a minute
_BEGUN_IN_A_ROW = 3


def always() -> bool:
    """Return that one may go on: there is no other replica."""
    return True


class Workqueue(Generic[K]):
    """Runs `reconcile(key)` for every key added; `name` is for the log, `everything` adds all keys there are.

    `workers`: how many keys at once; None: as many as there are, where one must not wait for another (rule F4).
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        workers: int | None = 8,
        everything: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._reconcile = reconcile
        self._workers = workers
        self._everything = everything
        self._is_idle = everything is not None  # nobody works on it, and what is added is dropped
        self._may_work: MayWork = always
        self._ready: dict[K, None] = {}  # an ordered set
        self._begun: dict[K, None] = {}  # those that go before
        self._in_a_row = 0
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._active: set[K] = set()
        self._again: dict[K, bool] = {}  # active ones that were added meanwhile -> whether they go before
        self._failures: dict[K, int] = {}
        self._sequence = 0
        self._pulse: asyncio.Event = asyncio.Event()

    def add(self, key: K, *, after: float = 0.0, is_begun: bool = False) -> None:
        """Look at `key`, at once or after some seconds; the earliest of several wishes counts."""
        if self._is_idle:
            return
        if after <= 0:
            self._due.pop(key, None)
            if key in self._active:
                self._again[key] = is_begun or self._again.get(key, False)
            else:
                self._put(key, is_begun=is_begun)
        else:
            when = asyncio.get_running_loop().time() + after
            if key in self._ready or key in self._begun or self._due.get(key, when + 1) <= when:
                return
            self._due[key] = when
            self._sequence += 1
            heapq.heappush(self._later, (when, self._sequence, key))
        self._pulse.set()

    def retry_failed(self) -> None:
        """Look at once at every key that waits after a failure: what failed it is over (rule M8)."""
        for key in [key for key in self._failures if key in self._due]:
            del self._failures[key]
            self.add(key)

    def __len__(self) -> int:
        return len(self._begun) + len(self._ready) + len(self._active)

    def _put(self, key: K, *, is_begun: bool) -> None:
        if is_begun:
            self._ready.pop(key, None)
            self._begun[key] = None
        elif key not in self._begun:
            self._ready[key] = None

    def _take(self) -> K:
        is_begun = bool(self._begun) and (self._in_a_row < _BEGUN_IN_A_ROW or not self._ready)
        self._in_a_row = self._in_a_row + 1 if is_begun else 0
        keys = self._begun if is_begun else self._ready
        key = next(iter(keys))
        del keys[key]
        return key

    async def run(self, may_work: MayWork = always) -> None:
        """Work until cancelled, and begin a key only while one may; can be called again afterwards."""
        self._may_work = may_work
        try:
            if self._everything is not None:
                self._is_idle = False
                self._everything()
            async with asyncio.TaskGroup() as group:
                await self._work_on(group)
        finally:
            self._rest()

    async def _work_on(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._pulse.clear()
            wait = self._move_due()
            while (self._begun or self._ready) and self._has_free_worker() and self._may_work():
                key = self._take()
                self._active.add(key)
                group.create_task(self._work(key))
            try:
                async with asyncio.timeout(wait):
                    await self._pulse.wait()
            except TimeoutError:
                continue

    def _has_free_worker(self) -> bool:
        return self._workers is None or len(self._active) < self._workers

    def _rest(self) -> None:
        """All workers have ended: keep what they had not done, or nothing where `everything` is added again."""
        for key in self._active:
            self._put(key, is_begun=True)
        self._active.clear()
        self._again.clear()
        if self._everything is not None:
            self._is_idle = True
            for kept in (self._ready, self._begun, self._due, self._failures):
                kept.clear()
            self._later.clear()

    def _move_due(self) -> float | None:
        """Move what is due to the ready keys; return the seconds until the next is due, or None."""
        now = asyncio.get_running_loop().time()
        while self._later:
            when, _, key = self._later[0]
            if self._due.get(key) != when:
                heapq.heappop(self._later)
            elif when > now:
                return when - now
            else:
                heapq.heappop(self._later)
                self.add(key)
        return None

    async def _work(self, key: K) -> None:
        if not self._may_work():
            return  # we were frozen just now, and shall be cancelled
        try:
            again = await self._reconcile(key)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # one bad object must not stop the others; it is logged and retried
            self._failed(key, error)
        else:
            self._failures.pop(key, None)
            self._finish(key)
            if again is not None:
                self.add(key, after=max(again, 0.001))

    def _failed(self, key: K, error: Exception) -> None:
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        wait = min(_BACKOFF_SECONDS_MIN * 2 ** min(count, 20), _BACKOFF_SECONDS_MAX) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
        if isinstance(error, ApiError):
            is_ordinary = isinstance(error, Conflict | Unreachable) and count < 5
            logger.log(
                "DEBUG" if is_ordinary else "WARNING",
                "reconcile failed, will retry",
                queue=self._name,
                key=str(key),
                error=str(error)[:500],
            )
        else:
            logger.opt(exception=error).error("reconcile failed on a defect of ours", queue=self._name, key=str(key))
        self._finish(key)
        self.add(key, after=wait)

    def _finish(self, key: K) -> None:
        self._active.discard(key)
        if key in self._again:
            self._put(key, is_begun=self._again.pop(key))
        self._pulse.set()


async def run_all(queues: Iterable[Workqueue[Any]], may_work: MayWork = always) -> None:
    """Work on several queues until cancelled."""
    async with asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(queue.run(may_work))
