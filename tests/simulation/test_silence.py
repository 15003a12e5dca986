"""The rule F4 on virtual time: pods that are to be asked for in a silent target first run elsewhere within seconds."""

import asyncio
import random
from collections.abc import Callable

import pytest

from federation.kinds import TARGETS
from federation.kube.resources import NODES, PODS
from tests.simulation import events, judging
from tests.simulation.clusters import NAMESPACE
from tests.simulation.federation import World, federation
from tests.simulation.memory import MemoryTransport
from tests.simulation.virtual_time import run

BURST = 20  # more than a controller has workers
PATIENCE = 2.0  # F1: how long silence is no evidence, at most
USUAL = 3.0  # what a burst takes with all well, generously


async def look_until(holds: Callable[[], object], what: str, seconds: float = 60) -> float:
    """Look every tenth of a second; returns how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + seconds:
        if await holds():  # type: ignore[misc]  # a coroutine function
            return loop.time() - began
        await asyncio.sleep(0.1)
    raise AssertionError(f"not after {seconds} s: {what}")


async def prefer_east(world: World) -> None:
    """Have every pod ask in `east` first, once both targets are there."""
    admin = world.home.admin()

    async def both_ready() -> bool:
        nodes = (await admin.list(NODES)).items
        virtual = [n for n in nodes if n["metadata"]["name"].startswith("admiralty-")]
        ready = [n for n in virtual for c in n["status"]["conditions"] if (c["type"], c["status"]) == ("Ready", "True")]
        return len(ready) == 2

    await look_until(both_ready, "both virtual nodes are Ready")
    await admin.patch(TARGETS, "east", {"spec": {"weight": 100}}, NAMESPACE)
    await asyncio.sleep(1)


async def seconds_of_a_burst(world: World, prefix: str) -> float:
    """Submit pods at once; returns when all have begun."""
    names = {f"{prefix}-{number}" for number in range(BURST)}
    await asyncio.gather(*(events.submit(world, name, cpu="100m") for name in sorted(names)))

    async def all_run() -> bool:
        pods = (await world.home.admin().list(PODS, NAMESPACE)).items
        return names == {p["metadata"]["name"] for p in pods if p["status"].get("phase") in ("Running", "Succeeded")}

    took = await look_until(all_run, "all pods run")
    for name in names:
        await events.delete(world, name)
    return took


def freeze(link: MemoryTransport) -> None:
    link.is_frozen = True


def cut(link: MemoryTransport) -> None:
    link.cut()


def slow(link: MemoryTransport) -> None:
    link.answers_after_seconds = 5.0


async def burst_while(disturb: Callable[[MemoryTransport], None]) -> tuple[float, float]:
    """Return what a burst takes with all well, and while the way to `east` is disturbed."""
    async with federation(1, 0.0) as world:
        await prefer_east(world)
        undisturbed = await seconds_of_a_burst(world, "first")
        await judging.until(world, judging.leftovers, "nothing is left")
        for link in world.clusters["east"].links:
            disturb(link)
        disturbed = await seconds_of_a_burst(world, "second")
        for link in world.clusters["east"].links:
            link.answers_after_seconds = 0.0
        events.join(world, world.clusters["east"])
        await judging.until(world, judging.leftovers, "nothing is left")
        return undisturbed, disturbed


@pytest.mark.parametrize("disturb", [freeze, cut, slow])
def test_F4_asking_is_not_waiting(disturb: Callable[[MemoryTransport], None]) -> None:
    random.seed(1)
    undisturbed, disturbed = run(burst_while(disturb))
    assert undisturbed <= USUAL
    assert disturbed <= PATIENCE + USUAL, "15 s were lost when asking waited"
