"""The workqueue: one worker a key, nothing lost, failures back off, wishes for later kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from federation.kube.errors import Unreachable
from federation.kube.workqueue import Workqueue


@asynccontextmanager
async def running(
    reconcile: Callable[[str], Awaitable[float | None]], workers: int | None = 4
) -> AsyncIterator[Workqueue[str]]:
    queue = Workqueue("test", reconcile, workers=workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # conditions of many shapes
            await asyncio.sleep(0.005)


async def test_a_key_is_worked_on_by_one_worker_and_once_more_if_added_meanwhile() -> None:
    active: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        active[key] += 1
        assert active[key] == 1
        await gate.wait()
        seen[key] += 1
        active[key] -= 1

    async with running(reconcile) as queue:
        queue.add("a")
        await until(lambda: active["a"] == 1)
        for _ in range(10):
            queue.add("a")
        gate.set()
        await until(lambda: seen["a"] == 2 and len(queue) == 0)
        await asyncio.sleep(0.02)
        assert seen["a"] == 2


async def test_what_was_begun_goes_first_and_starves_nobody() -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        await gate.wait()
        seen.append(key)

    async with running(reconcile, workers=1) as queue:
        queue.add("first")
        await asyncio.sleep(0.02)
        for number in range(3):
            queue.add(f"new-{number}")
        for number in range(5):
            queue.add(f"begun-{number}", is_begun=True)
        queue.add("new-2", is_begun=True)
        queue.add("begun-0")
        queue.add("first", is_begun=True)
        gate.set()
        await until(lambda: len(seen) == 10)
    assert seen == [
        *("first", "begun-0", "begun-1", "begun-2", "new-0"),
        *("begun-3", "begun-4", "new-2", "new-1", "first"),
    ]


async def test_no_more_keys_at_once_than_workers() -> None:
    active = 0
    most = 0

    async def reconcile(_: str) -> None:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0.01)
        active -= 1

    async with running(reconcile, workers=3) as queue:
        for number in range(20):
            queue.add(str(number))
        await until(lambda: len(queue) == 0)
    assert most == 3


async def test_a_failure_is_tried_again_and_holds_up_nobody_else() -> None:
    attempts: Counter[str] = Counter()

    async def reconcile(key: str) -> None:
        attempts[key] += 1
        if key == "bad" and attempts[key] < 3:
            raise RuntimeError("not yet")

    async with running(reconcile, workers=1) as queue:
        queue.add("bad")
        queue.add("good")
        await until(lambda: attempts["good"] == 1)
        await until(lambda: attempts["bad"] == 3)


async def test_a_wish_for_later_is_kept_and_an_earlier_one_wins() -> None:
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def reconcile(_: str) -> float | None:
        times.append(loop.time())
        return 0.05 if len(times) == 1 else None

    async with running(reconcile) as queue:
        queue.add("a", after=10)
        queue.add("a", after=0.05)
        start = loop.time()
        await until(lambda: len(times) == 2)
        assert 0.04 < times[0] - start < 2
        assert 0.04 < times[1] - times[0] < 2
        await asyncio.sleep(0.05)
        assert len(times) == 2, "the ten-second wish was overtaken"


async def test_M9_a_queue_of_a_leader_begins_each_term_with_everything_and_keeps_nothing_in_between() -> None:
    there, seen = ["a", "b"], list[str]()

    async def reconcile(key: str) -> float | None:
        seen.append(key)
        if key == "fails":
            raise ValueError("again later")
        return 0.05

    def everything() -> None:
        for key in there:
            queue.add(key)

    queue = Workqueue("test", reconcile, everything=everything)
    for term in (1, 2, 3):
        queue.add("came and went")
        queue.add("later", after=0.01)
        assert len(queue) == 0
        working = asyncio.create_task(queue.run())
        await until(lambda term=term: seen.count("a") >= 2 * term)  # type: ignore[misc]
        queue.add("fails")
        await until(lambda: "fails" in seen)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        before = len(seen)
        await asyncio.sleep(0.1)
        assert len(seen) == before, "nobody works on it, whatever was due"
        seen.remove("fails")
    assert set(seen) == {"a", "b"}


async def test_M9_what_was_being_done_when_the_work_was_cancelled_is_done_in_the_next_term() -> None:
    begun, gate = list[str](), asyncio.Event()

    async def reconcile(key: str) -> None:
        begun.append(key)
        await gate.wait()

    queue = Workqueue("test", reconcile, workers=1)
    queue.add("a")
    queue.add("b")
    working = asyncio.create_task(queue.run())
    await until(lambda: begun == ["a"])
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    gate.set()
    working = asyncio.create_task(queue.run())
    await until(lambda: begun == ["a", "a", "b"])
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_M9_nothing_is_begun_once_one_may_not() -> None:
    """A leader that was frozen wakes up with keys to look at, before it has been told that it leads no more."""
    seen: list[str] = []
    may_work = True

    async def reconcile(key: str) -> None:
        seen.append(key)

    queue = Workqueue("test", reconcile)
    working = asyncio.create_task(queue.run(lambda: may_work))
    queue.add("before")
    await until(lambda: seen == ["before"])
    may_work = False
    for number in range(20):
        queue.add(f"after {number}")
    await asyncio.sleep(0.05)
    assert seen == ["before"]
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_F4_without_a_bound_no_key_waits_for_another() -> None:
    begun: set[str] = set()
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        begun.add(key)
        await gate.wait()

    async with running(reconcile, workers=None) as queue:
        for number in range(100):
            queue.add(str(number))
        await until(lambda: len(begun) == 100)
        gate.set()


async def test_m8_what_failed_is_tried_at_once_when_the_server_is_back() -> None:
    attempts: Counter[str] = Counter()
    is_back = False

    async def reconcile(key: str) -> float | None:
        attempts[key] += 1
        if key == "later":
            return 60.0
        if not is_back:
            raise Unreachable("restarting")
        return None

    async with running(reconcile) as queue:
        queue.add("a")
        queue.add("later")
        await until(lambda: attempts["a"] >= 4)
        tried = attempts["a"]
        is_back = True
        queue.retry_failed()
        await until(lambda: attempts["a"] == tried + 1)
        queue.retry_failed()
        await asyncio.sleep(0.05)
        assert attempts == {"a": tried + 1, "later": 1}, "and nothing but what had failed"
