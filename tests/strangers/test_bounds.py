"""What a hostile target may cost others: memory, time, and room in home's etcd. As ratios within one run."""

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.protocol.federation import Federation
from tests.strangers.bad_answers import BAD_LISTS, BAD_WATCHES
from tests.strangers.hostile import HostileTarget, running
from tests.strangers.siege import GOOD, add_hostile, add_target, drop_target, until_it_runs
from tests.strangers.test_target_answers import until

FLOODS = ("gzip-list", "big-body", "endless-line", "endless-pages", "foreign-chaperons")
PODS = 12
MEMORY_RATIO_MAX = 2.0
TIME_RATIO_MAX = 1.5
TIME_FLOOR_SECONDS = 2.0  # below it the ratio measures the machine
FLOOD_SECONDS = 8.0
FLOODED_PODS = 4
ETCD_BYTES_A_POD_MAX = 1_000_000
_STORED = re.compile(r"^apiserver_storage_size_bytes\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What a run of PODS good pods took, and the most memory that the agent ever had."""

    seconds: float
    peak_bytes: int


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
async def test_memory_and_time_beside_a_hostile_target(federation: Federation) -> None:
    async with federation.agent_with():
        quiet = await _run(federation)
    async with federation.agent_with(), AsyncExitStack() as stack:
        for name in FLOODS:
            hostile = await stack.enter_async_context(HostileTarget.running())
            (BAD_LISTS | BAD_WATCHES)[name](hostile)
            await add_target(federation, name, hostile.kubeconfig())
            tried = "WATCH podchaperons" if name in BAD_WATCHES else "GET podchaperons"
            await until(lambda h=hostile, t=tried: h.asked[t], f"{name} is under way")
        loud = await _run(federation)
        for name in FLOODS:
            await drop_target(federation, name)
    assert loud.peak_bytes <= MEMORY_RATIO_MAX * quiet.peak_bytes, (quiet, loud)
    assert loud.seconds <= max(TIME_RATIO_MAX * quiet.seconds, TIME_FLOOR_SECONDS), (quiet, loud)


async def _run(federation: Federation) -> Run:
    """Run good pods, once to warm up and once to measure, and stay as long as floods take to do their worst."""
    await _pods(federation, 2)
    begun = time.monotonic()
    await _pods(federation, PODS)
    lasted = time.monotonic() - begun
    await asyncio.sleep(max(0.0, FLOOD_SECONDS - lasted))
    return Run(lasted, peak_bytes(federation.process("agent", federation.lab.source).pid))


async def _pods(federation: Federation, number: int) -> None:
    made = [await federation.submit("exit 0", only=GOOD) for _ in range(number)]
    for name in made:
        await federation.until_pod(name, lambda p: p and p["status"].get("phase") == "Succeeded", seconds=60)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever held."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
async def test_an_endless_status_costs_home_little(federation: Federation) -> None:
    async with HostileTarget.running() as hostile:
        await add_hostile(federation, "flood", hostile)
        made = [await federation.submit(only="flood") for _ in range(FLOODED_PODS)]
        for name in made:
            await until_it_runs(federation, name, "flood")
        before, deadline, count = await _stored_bytes(federation), time.monotonic() + FLOOD_SECONDS, 0
        while time.monotonic() < deadline:
            count += 1
            for chaperon in hostile.chaperons:
                status = running(chaperon)
                status["message"] = f"{count} {'x' * 3000}"
                status["containerStatuses"][0]["restartCount"] = count
                chaperon["status"] = status
                hostile.change("podchaperons", federation.namespace, chaperon["metadata"]["name"])
            await asyncio.sleep(0.005)
        grown = await _stored_bytes(federation) - before
        assert grown < FLOODED_PODS * ETCD_BYTES_A_POD_MAX
        for name in made:  # the last word arrives all the same
            await federation.until_pod(
                name,
                lambda p: p and (p["status"].get("containerStatuses") or [{}])[0].get("restartCount") == count,
                seconds=60,
            )
        await drop_target(federation, "flood")


async def _stored_bytes(federation: Federation) -> int:
    answer = await federation.home.request("GET", "/metrics")
    found = _STORED.findall(answer.body.decode())
    assert found, "the API server tells the size of its storage"
    return int(sum(float(one) for one in found))
