"""What a target answers to `kubectl logs`: it reaches somebody at home through the gateway and home's API server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from federation.kube.errors import ApiError, Unreachable
from federation.kube.resources import PODS
from tests.protocol.federation import Federation
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import endless, redirect
from tests.strangers.hostile import HostileTarget
from tests.strangers.siege import GOOD, Witness, add_hostile, assert_good_pods_run, drop_target, until_it_runs
from tests.strangers.wire import Request, Wire, serving

CHATTER = "chatter"
SLOW_SECONDS = 4.0
GROWTH_BYTES_MAX = 64 * 1024 * 1024
HEADERS = {
    "Set_Cookie": "session=stolen",
    "Location": "https://elsewhere.example",
    "Refresh": "0; url=https://e.example",
}


@pytest.fixture
async def chatter(federation: Federation) -> AsyncIterator[tuple[HostileTarget, str]]:
    """A hostile target and a pod that runs there."""
    async with HostileTarget.running() as hostile:
        await add_hostile(federation, CHATTER, hostile)
        name = await federation.submit(only=CHATTER)
        await until_it_runs(federation, name, CHATTER)
        yield hostile, name
        await drop_target(federation, CHATTER)


async def cookies(request: Request, wire: Wire) -> None:
    """Answer a log with headers that mean something to browsers and clients."""
    await wire.answer(200, b"a log\n", Content_Type="text/plain", **HEADERS)


async def informational(request: Request, wire: Wire) -> None:
    """Answer a log with nothing but early hints, for ever."""
    while True:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


async def upgraded(request: Request, wire: Wire) -> None:
    """Answer a log by changing the protocol, which nobody asked for."""
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
    await wire.send(b"x" * 65536)


@pytest.mark.parametrize("attempt", ids_of("test_target_streams::test_what_a_target_answers_to_logs"))
async def test_what_a_target_answers_to_logs(
    federation: Federation, chatter: tuple[HostileTarget, str], attempt: str
) -> None:
    (hostile, name), visits = chatter, list[str]()
    witness = Witness.of(federation)

    async def visited(request: Request, wire: Wire) -> None:
        visits.append(request.path)
        await wire.json(200, {})

    async with serving(visited, is_tls=False) as (inner, _):
        answers = {
            "logs-redirect": redirect(302, f"{inner}/inner"),
            "logs-cookies": cookies,
            "logs-hints": informational,
            "logs-upgrade": upgraded,
        }
        hostile.instead("GET", "/log$", answers[attempt])
        path = PODS.path(federation.namespace, name, "log")
        if attempt == "logs-cookies":
            answer = await federation.home.request("GET", path)
            assert not {header.replace("_", "-").lower() for header in HEADERS} & {
                key.lower() for key in answer.headers
            }
        else:
            with pytest.raises(ApiError) as refused:
                await federation.home.request("GET", path, timeout_seconds=45)
            assert not isinstance(refused.value, Unreachable), "there is an answer"
            assert inner not in str(refused.value)
    assert visits == []
    witness.assert_lives()


async def test_endless_logs(federation: Federation, chatter: tuple[HostileTarget, str]) -> None:
    """To somebody who reads slowly: what is not read stays with the target, and another target's log comes as usual."""
    hostile, name = chatter
    quiet = await federation.submit("echo quiet; sleep 600", only=GOOD)
    assert await federation.until_running(quiet) == GOOD
    hostile.instead("GET", "/log$", endless(b"log " * 16384))
    agent = federation.process("agent", federation.lab.source).pid
    before = resident_bytes(agent)
    async with federation.home.stream(PODS.path(federation.namespace, name, "log"), [("follow", "true")]) as log:
        lines = log.lines()
        reading = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(SLOW_SECONDS)
        said = await federation.home.request("GET", PODS.path(federation.namespace, quiet, "log"))
        assert said.body == b"quiet\n"
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert resident_bytes(agent) - before < GROWTH_BYTES_MAX
    await assert_good_pods_run(federation)


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
