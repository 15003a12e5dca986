"""One target's lane: one errand a key, the newest plan counts, failures rest, a target that is back rouses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from federation.controllers.lane import Errand, Lane, Progress
from federation.kube.errors import Unreachable


class Controller:
    """Hands in errands that wait for `gate`, and notes what was done and what is to be decided on again."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.gate = asyncio.Event()
        self.began: list[object] = []
        self.done: list[object] = []
        self.again: list[tuple[Hashable, float]] = []
        self.failures = 0

    def put(self, key: Hashable, what: object, *, is_begun: bool = False) -> None:
        async def run() -> None:
            self.began.append(what)
            await self.gate.wait()
            if self.failures > 0:
                self.failures -= 1
                raise Unreachable("no answer")
            self.done.append(what)

        self.lane.put(key, Errand(what, run, lambda after: self.again.append((key, after)), is_begun=is_begun))


@asynccontextmanager
async def running(workers: int = 2) -> AsyncIterator[Controller]:
    lane = Lane("test", workers=workers)
    task = asyncio.create_task(lane.run())
    await asyncio.sleep(0)
    try:
        yield Controller(lane)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # conditions of many shapes
            await asyncio.sleep(0.005)


async def test_F4_putting_waits_for_nothing_and_the_newest_plan_replaces_what_has_not_begun() -> None:
    async with running(workers=1) as controller:
        controller.put("a", "ask")
        await until(lambda: controller.began == ["ask"])
        controller.put("b", "ask")
        controller.put("b", "withdraw")
        controller.put("c", "ask")
        controller.lane.drop("c")
        assert controller.lane.progress("b") is Progress.UNDER_WAY
        assert controller.lane.progress("c") is Progress.NONE
        controller.gate.set()
        await until(lambda: len(controller.lane) == 0)
        assert controller.done == ["ask", "withdraw"]
        assert controller.again == []


async def test_F4_another_plan_for_what_is_under_way_has_its_key_decided_on_again() -> None:
    async with running() as controller:
        controller.put("a", "ask")
        controller.put("b", "ask")
        await until(lambda: len(controller.began) == 2)
        controller.put("a", "ask")
        controller.put("b", "allow")
        controller.gate.set()
        await until(lambda: len(controller.lane) == 0)
        assert controller.again == [("b", 0.0)], "the same errand is not done twice, and no news"
        assert controller.done == ["ask", "ask"], "what was planned meanwhile may be out of date: it is decided anew"


async def test_F4_what_has_been_begun_goes_first() -> None:
    async with running(workers=1) as controller:
        controller.put("a", "first")
        await until(lambda: controller.began == ["first"])
        for number in range(3):
            controller.put(number, f"ask {number}")
        controller.put("b", "allow", is_begun=True)
        controller.gate.set()
        await until(lambda: len(controller.lane) == 0)
        assert controller.done == ["first", "allow", "ask 0", "ask 1", "ask 2"]


async def test_F4_a_failure_rests_and_is_then_decided_on_again() -> None:
    async with running() as controller:
        controller.gate.set()
        controller.failures = 1
        controller.put("a", "ask")
        await until(lambda: controller.lane.progress("a") is Progress.FAILING)
        assert controller.lane.trouble("a") == "no answer"
        controller.put("a", "ask")
        assert controller.began == ["ask"], "not before it has rested"
        assert controller.again == [("a", 0.0)], "it may find something better to do meanwhile"
        await until(lambda: controller.again == [("a", 0.0)] * 2)
        assert controller.lane.progress("a") is Progress.NONE
        controller.put("a", "ask")
        await until(lambda: controller.done == ["ask"])
        await until(lambda: controller.lane.trouble("a") == "")


async def test_F4_what_has_been_begun_is_tried_again_as_soon_as_anything_changes() -> None:
    async with running() as controller:
        controller.gate.set()
        controller.failures = 1
        controller.put("a", "allow", is_begun=True)
        await until(lambda: controller.lane.progress("a") is Progress.FAILING)
        assert controller.again == []
        controller.put("a", "allow", is_begun=True)
        await until(lambda: controller.done == ["allow"])


async def test_F4_rests_grow_to_five_seconds_at_most() -> None:
    waits = []
    async with running() as controller:
        controller.gate.set()
        controller.failures = 12
        loop = asyncio.get_running_loop()
        lane = controller.lane
        for number in range(12):
            controller.put("a", number)
            await until(lambda: lane.progress("a") is Progress.FAILING)
            waits.append(lane._queue._due["a"] - loop.time())
            lane._queue.add("a")  # as if it had passed
            await until(lambda number=number: len(controller.again) == 2 * number + 2)  # type: ignore[misc]  # bound early
    assert waits[0] <= 0.1
    assert all(2.4 <= wait <= 5.0 for wait in waits[-3:])


async def test_M8_a_target_that_is_back_is_asked_at_once() -> None:
    """What was sent before may be lost without anybody saying so; what rests need not rest any longer."""
    async with running(workers=1) as controller:
        lane = controller.lane
        controller.gate.set()
        controller.failures = 1
        controller.put("rests", "ask")
        await until(lambda: lane.progress("rests") is Progress.FAILING)
        controller.gate.clear()
        controller.put("lost", "ask")
        await until(lambda: len(controller.began) == 2)
        controller.again.clear()
        lane.rouse()
        lane.rouse()
        await until(lambda: len(lane) == 0)
        assert controller.again == [("rests", 0.0), ("lost", 0.0)]
        assert lane.trouble("rests") == ""
        controller.put("lost", "ask")
        controller.gate.set()
        await until(lambda: controller.done == ["ask"])


async def test_F4_a_lane_ends_with_its_connection() -> None:
    async with running(workers=1) as controller:
        controller.put("a", "ask")
        controller.put("b", "ask")
        await until(lambda: controller.began == ["ask"])
    assert controller.done == []
    assert len(controller.lane) == 0


async def test_M9_a_standby_keeps_no_errands_and_a_frozen_leader_begins_none() -> None:
    may_work = True
    controller = Controller(Lane("test", workers=1))
    controller.gate.set()
    controller.put("a", "too early")
    assert len(controller.lane) == 0
    task = asyncio.create_task(controller.lane.run(lambda: may_work))
    await asyncio.sleep(0)
    controller.put("b", "ask")
    await until(lambda: controller.done == ["ask"])
    may_work = False
    controller.put("c", "ask")
    await asyncio.sleep(0.05)
    assert controller.done == ["ask"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(controller.lane) == 0
