"""The election (rule M9), on virtual time against an API server in memory: how soon, how surely, how often."""

import asyncio
import itertools
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from federation.kube.api import Api
from federation.kube.leader import Election
from federation.kube.resources import LEASES
from federation.settings import AgentSettings
from lab.api_server.core.server import ApiServer
from tests.simulation.clusters import ADMIN
from tests.simulation.memory import MemoryTransport
from tests.simulation.virtual_time import run, virtual_clock

TIMING = AgentSettings().election


class Replica:
    """One candidate, and the times (loop seconds) between which it led."""

    def __init__(self, server: ApiServer, identity: str) -> None:
        self.transport = MemoryTransport(server, ADMIN)
        self.election = Election(
            api=Api(self.transport),
            namespace="default",
            name="lead",
            identity=identity,
            clock=virtual_clock,
            timing=TIMING,
        )
        self.began: list[float] = []
        self.ended: list[float] = []
        self.task = asyncio.create_task(self.election.run(self.work))

    async def work(self) -> None:
        self.began.append(now())
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(now())

    @property
    def leads(self) -> bool:
        return len(self.began) > len(self.ended)

    def kill(self) -> None:
        """End it like kill -9: nothing that it would still say arrives."""
        self.transport.cut()
        self.task.cancel()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


def now() -> float:
    return asyncio.get_running_loop().time()


def world() -> ApiServer:
    return ApiServer(virtual_clock, random=Random(7))


async def until_leading(replica: Replica, seconds: float = 30) -> float:
    """Wait until a replica leads; returns since when."""
    async with asyncio.timeout(seconds):
        while not replica.leads:  # noqa: ASYNC110  # on virtual time
            await asyncio.sleep(0.005)
    return replica.began[-1]


async def two(server: ApiServer) -> tuple[Replica, Replica]:
    """A leader and a standby."""
    first = Replica(server, "first")
    await until_leading(first)
    second = Replica(server, "second")
    await asyncio.sleep(20.2)
    assert not second.began
    return first, second


def played(course: Coroutine[Any, Any, None]) -> None:
    """Play a course; nothing of it is left running."""

    async def whole() -> None:
        await course
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    run(whole())


def test_M9_a_killed_leader_is_succeeded_within_its_lease() -> None:
    async def course() -> None:
        first, second = await two(world())
        killed_at = now()
        first.kill()
        assert await until_leading(second) - killed_at <= TIMING.lease_seconds + 0.1

    played(course())


def test_M9_by_default_that_is_less_than_five_seconds_with_time_for_the_first_write() -> None:
    assert TIMING.lease_seconds + 0.5 < 5


def test_M9_a_clean_stop_hands_over_at_once() -> None:
    async def course() -> None:
        first, second = await two(world())
        stopped_at = now()
        await first.stop()
        assert await until_leading(second) - stopped_at < 0.1
        assert first.ended[-1] <= second.began[-1]

    played(course())


def test_M9_three_seconds_of_silence_cost_nobody_the_lead() -> None:
    async def course() -> None:
        first, second = await two(world())
        for replica in (first, second):
            replica.transport.is_frozen = True
        await asyncio.sleep(3.0)
        for replica in (first, second):
            replica.transport.is_frozen = False
        await asyncio.sleep(20)
        assert (first.ended, second.began) == ([], [])

    played(course())


def test_M9_a_leader_that_cannot_renew_has_stopped_before_another_begins() -> None:
    async def course() -> None:
        first, second = await two(world())
        first.transport.is_frozen = True
        began = await until_leading(second)
        assert first.ended
        assert first.ended[-1] < began
        assert not first.election.holds()

    played(course())


def test_M9_the_lead_is_gained_any_number_of_times() -> None:
    async def course() -> None:
        first, second = await two(world())
        for _ in range(3):
            first.transport.cut()
            await until_leading(second)
            first.transport.join()
            second.transport.cut()
            await until_leading(first)
            second.transport.join()
        assert (len(first.began), len(second.began)) == (4, 3)
        spans = sorted(
            [*zip(first.began, [*first.ended, now()], strict=True), *zip(second.began, second.ended, strict=True)]
        )
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), spans

    played(course())


def test_M9_who_wakes_after_its_time_renews_nothing() -> None:
    """The process was stopped: its clock went on, and nobody has taken the Lease meanwhile."""

    async def course() -> None:
        first = Replica(world(), "first")
        await until_leading(first)
        await asyncio.sleep(5)
        asyncio.get_running_loop()._elapsed += 60  # type: ignore[attr-defined]  # as SIGSTOP does
        assert not first.election.holds()
        await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        assert len(first.ended) == 1, "its first term is over"
        assert first.leads, "and another has begun"

    played(course())


def test_M9_a_lease_that_was_deleted_is_made_again() -> None:
    async def course() -> None:
        server = world()
        first, _ = await two(server)
        admin = Api(MemoryTransport(server, ADMIN))
        before = (await admin.get(LEASES, "lead", "default"))["metadata"]["uid"]
        await admin.delete(LEASES, "lead", "default")
        await asyncio.sleep(10)
        after = await admin.get(LEASES, "lead", "default")
        assert after["metadata"]["uid"] != before
        assert after["spec"]["holderIdentity"] in ("first", "second")
        assert not (first.leads and after["spec"]["holderIdentity"] == "second")

    played(course())


@pytest.mark.parametrize(
    "settings",
    [{"lease_seconds": 3}, {"lease_renew_seconds": 4.0}, {"lease_renew_seconds": 0.5}, {"lease_retry_seconds": 2.0}],
)
def test_M9_durations_that_leave_no_time_to_renew_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="ISTHMUS_AGENT_LEASE_RENEW_SECONDS"):
        AgentSettings(**settings)
