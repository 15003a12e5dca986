"""What is done in one target, beside whatever decides it: asking is not waiting (rule F4).

A controller hands each target's part of a plan to that target's lane and goes on. A target that does not answer fills
its own lane only: no worker of a controller, and no other lane, ever waits for it.

An errand is safe to lose and safe to repeat. The newest plan for a key replaces an errand that has not begun; one that
is under way is left to end, and its key is decided on again afterwards if the plan is another by then. So is a key
whose errand failed, after a short back-off. Nothing stays of a lane when its connection ends, or another replica leads.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from enum import Enum

from loguru import logger

from federation.kube.errors import ApiError, is_passing
from federation.kube.resources import Resource
from federation.kube.workqueue import MayWork, Workqueue, always

LANE_WORKERS = 32  # as many questions as a target bears at first (rule F1), and half of what one client may write
_REST_SECONDS_MIN = 0.05  # a conflict usually heals as soon as our watch has caught up
_REST_SECONDS_MAX = 60.0  # a key that keeps failing costs one attempt a minute,
_PASSING_SECONDS_MAX = 5.0  # but this where the target has trouble that passes (rule M8)
_WORTH_A_WARNING = 6  # failures in a row, of one key


class Progress(Enum):
    """How far a key's errand is."""

    NONE = "none"
    UNDER_WAY = "under way"  # or about to be
    FAILING = "failing"  # it failed, and is decided on again soon


def errand_key(resource: Resource, namespace: str, name: str) -> Hashable:
    """Return the key of errands for one object at home; an object of another kind may have the same name."""
    return resource.plural, namespace, name


@dataclass(frozen=True, slots=True)
class Errand:
    """`what` is compared: an errand that says the same as the one under way is the same.

    `run` does it and returns after how many seconds to decide on its key again, if that is wanted; it raises ApiError.
    `again(seconds)` has its key decided on again. `is_begun`: it goes before what is new, and is tried again whenever
    its key is decided on again. What is new rests first where it failed, and its key is decided on at once: it may find
    something better to do.
    """

    what: object
    run: Callable[[], Awaitable[float | None]]
    again: Callable[[float], None]
    is_begun: bool = False


@dataclass(slots=True)
class _Running:
    errand: Errand
    cut: asyncio.Timeout
    is_outdated: bool = False


class Lane:
    """The errands in one target, by key: one of each key at a time, and `workers` at once."""

    def __init__(self, name: str, *, workers: int = LANE_WORKERS) -> None:
        self._name = name
        self._waiting: dict[Hashable, Errand] = {}
        self._running: dict[Hashable, _Running] = {}
        self._resting: dict[Hashable, Errand] = {}
        self._failures: dict[Hashable, tuple[int, str]] = {}  # in a row, and the last one's message
        self._is_idle = True  # this replica does not lead
        self._queue: Workqueue[Hashable] = Workqueue(
            f"lane {name}", self._work, workers=workers, everything=lambda: None
        )

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running) + len(self._resting)

    async def run(self, may_work: MayWork = always) -> None:
        """Work until cancelled, and begin an errand only while one may; what is put at other times is lost."""
        self._is_idle = False
        try:
            await self._queue.run(may_work)
        finally:
            self._is_idle = True
            for known in (self._waiting, self._resting, self._failures):
                known.clear()

    def progress(self, key: Hashable) -> Progress:
        """Return how far what was put for a key is."""
        if key in self._running or key in self._waiting:
            return Progress.UNDER_WAY
        return Progress.FAILING if key in self._resting else Progress.NONE

    def trouble(self, key: Hashable) -> str:
        """Return why the last errand of a key failed; empty if it did not."""
        return self._failures.get(key, (0, ""))[1]

    def put(self, key: Hashable, errand: Errand) -> None:
        """Do this for `key`, in place of what has not begun yet."""
        running = self._running.get(key)
        if self._is_idle:
            return
        if running is not None:
            running.is_outdated = running.errand.what != errand.what
        elif errand.is_begun or key not in self._resting:
            self._resting.pop(key, None)
            self._waiting[key] = errand
            self._queue.add(key, is_begun=errand.is_begun)

    def drop(self, key: Hashable) -> None:
        """Nothing is to be done for `key` now: forget what has not begun yet."""
        self._waiting.pop(key, None)
        if key not in self._running:
            self._failures.pop(key, None)

    def rouse(self) -> None:
        """The target is back: what was sent before got lost, and nobody rests any longer (rule M8)."""
        now = asyncio.get_running_loop().time()
        for running in self._running.values():
            if not running.cut.expired():
                running.cut.reschedule(now)
        resting, self._resting = self._resting, {}
        self._failures.clear()
        for errand in resting.values():
            errand.again(0.0)

    async def _work(self, key: Hashable) -> None:
        errand = self._waiting.pop(key, None)
        if errand is None:
            rested = self._resting.pop(key, None)
            if rested is not None:
                rested.again(0.0)
            return
        async with asyncio.timeout(None) as cut:
            running = self._running[key] = _Running(errand, cut)
            try:
                again = await errand.run()
            except ApiError as error:
                self._rest(key, errand, error)
                return
            except asyncio.CancelledError:
                if cut.expired():  # by `rouse`
                    errand.again(0.0)
                    return
                raise
            except Exception as error:
                self._rest(key, errand, error)
                raise
            finally:
                del self._running[key]
        self._failures.pop(key, None)
        if running.is_outdated:
            again = 0.0
        if again is not None:
            errand.again(again)

    def _rest(self, key: Hashable, errand: Errand, error: Exception) -> None:
        count = self._failures.get(key, (0, ""))[0] + 1
        self._failures[key] = count, str(error)[:500]
        longest = _PASSING_SECONDS_MAX if isinstance(error, ApiError) and is_passing(error) else _REST_SECONDS_MAX
        wait = min(_REST_SECONDS_MIN * 2 ** min(count, 20), longest) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
        level = "WARNING" if count == _WORTH_A_WARNING else "DEBUG"
        logger.log(
            level,
            "a target did not do what was asked, will try again",
            target=self._name,
            key=str(key),
            error=self._failures[key][1],
        )
        self._resting[key] = errand
        self._queue.add(key, after=wait)
        if not errand.is_begun:
            errand.again(0.0)
