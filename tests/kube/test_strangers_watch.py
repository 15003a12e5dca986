"""T1, M8: whatever a watch tells, it goes on; and one that is back is used at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from federation.kube.api import Api
from federation.kube.limits import Limits
from federation.kube.resources import CONFIG_MAPS
from federation.kube.store import Store
from federation.kube.watch import follow
from tests.kube.hostile import Chunks, chunked, event, page, stranger, thing, whole

QUICK = Limits(
    reconnect_seconds_min=0.01,
    reconnect_seconds_max=0.05,
    trouble_seconds_max=0.05,
    silence_seconds_max=5.0,
    line_bytes_max=64 * 1024,
    objects_max=50,
    depth_max=64,
)


def parse(manifest: dict[str, Any]) -> str:
    """A parser that refuses some objects, and stumbles over others."""
    value = manifest["data"]["v"]
    if value == "refused":
        raise ValueError("data.v is not what it should be")
    return str(value)


def lines(*pieces: bytes, is_open: bool = True) -> Chunks:
    """Return a watch that tells these lines, and then stays open or ends."""
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield None if is_open else b"0\r\n\r\n"


def broken(told: bytes) -> Chunks:
    """Return a watch that tells one line, and whose connection is closed a moment later."""
    yield from list(lines(told))[:-1]
    yield 0.05
    raise ConnectionResetError


@asynccontextmanager
async def followed(api: Api, namespace: str = "ns") -> AsyncIterator[Store[str]]:
    store: Store[str] = Store(parse)
    task = asyncio.create_task(follow(api, CONFIG_MAPS, store, namespace=namespace))
    try:
        yield store
    finally:
        task.cancel()
        result = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result[0], asyncio.CancelledError), "nothing has ended it"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110  # conditions of many shapes
            await asyncio.sleep(0.005)


def good(name: str, value: Any = "good", **metadata: Any) -> dict[str, Any]:
    made = thing(name, data={"v": value})
    made["metadata"] |= metadata
    return made


BAD_EVENTS: dict[str, bytes] = {
    "no JSON": b"<html>\n",
    "no object": b"[]\n",
    "no type": event(None, good("x")),
    "an unknown type": event("CHANGED", good("x")),
    "type is a list": event(["ADDED"], good("x")),
    "object is a text": event("ADDED", "x"),
    "no metadata": event("ADDED", {"kind": "ConfigMap"}),
    "metadata is a list": event("ADDED", {"metadata": []}),
    "version is a number": event("ADDED", good("x", resourceVersion=7)),
    "no version": event("ADDED", good("x", resourceVersion=None)),
    "a bookmark without version": event("BOOKMARK", {"metadata": {}}),
    "an error of nothing": event("ERROR", {}),
    "an error whose code is a text": event("ERROR", {"code": "x", "message": ["x"]}),
    "deep": b'{"type":"ADDED","object":' + b'{"metadata":' * 200 + b"1" + b"}" * 201 + b"\n",
    "a line without end": b"x" * 100_000,
    "objects without number": b"".join(event("ADDED", good(f"a-{number}")) for number in range(200)),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_t1_a_watch_that_makes_no_sense_is_trouble_with_a_reason_and_heals(name: str) -> None:
    watches = 0

    def answer(line: str) -> Chunks:
        nonlocal watches
        if "watch=1" not in line:
            return whole(page(good("listed")))
        watches += 1
        return lines(BAD_EVENTS[name], is_open=False) if watches < 3 else lines(event("ADDED", good("late")))

    async with stranger(answer) as server, await server.api(QUICK) as api, followed(api) as store:
        troubles: set[str] = set()
        store.on_trouble = lambda: troubles.add(store.trouble)
        await until(lambda: store.get("ns", "late") is not None)
        assert watches >= 3
        assert troubles - {"", "not listed yet"}, "it was said"
        assert all(len(trouble) < 5000 for trouble in troubles)


async def test_t1_an_object_that_cannot_be_read_ends_nothing_and_is_not_taken_for_gone() -> None:
    """In a list and in a watch; what it was when it could be read stays until it can be again, or is gone."""
    told = asyncio.Event()

    def answer(line: str) -> Chunks:
        if "watch=1" not in line:
            unreadable = [
                good("refused", "refused"),
                {"metadata": {"name": "bare", "namespace": "ns", "labels": 7}},
                thing("no-data"),
                "a text",
                {"metadata": {"name": 7}},
                good("elsewhere", namespace="other"),
            ]
            return whole(page(good("first"), *unreadable, good("changing", "old"), good("last")))
        told.set()
        return lines(
            event("MODIFIED", good("changing", "refused", resourceVersion="11")),
            event("MODIFIED", good("last", labels={"a": 1}, resourceVersion="12")),
            event("DELETED", good("refused", "refused", resourceVersion="13")),
            event("MODIFIED", good("no-data", resourceVersion="14")),
            event("ADDED", good("late", resourceVersion="15")),
        )

    async with stranger(answer) as server, await server.api(QUICK) as api, followed(api) as store:
        await until(lambda: store.get("ns", "late") is not None)
        assert store.is_fresh
        assert store.get("ns", "first") == "good"
        assert store.get("ns", "changing") == "old", "still there, as it was last known"
        assert store.get("ns", "last") == "good"
        assert store.get("ns", "no-data") == "good"
        assert set(store.unreadable) == {("ns", "bare"), ("ns", "changing"), ("ns", "last")}
        assert "data.v" in store.unreadable["ns", "changing"]
        assert store.get("other", "elsewhere") is None, "nobody asked for it"
        assert sum("watch=1" in line for line in server.asked) == 1, "the watch has never ended"


async def test_m8_breaks_that_have_nothing_to_do_with_each_other_are_not_counted_together() -> None:
    """Each watch works for a moment and is cut; with waits that double over all of them this would take minutes."""
    limits = Limits(reconnect_seconds_min=0.02, reconnect_seconds_max=30.0)
    watches = 0

    def answer(line: str) -> Chunks:
        nonlocal watches
        if "watch=1" not in line:
            return whole(page())
        watches += 1
        told = event("ADDED", good(f"a-{watches}", resourceVersion=str(100 + watches)))
        return broken(told)

    loop = asyncio.get_running_loop()
    async with stranger(answer) as server, await server.api(limits) as api, followed(api) as store:
        start = loop.time()
        await until(lambda: len(store) >= 12)
        assert loop.time() - start < 5


async def test_m8_a_server_that_comes_back_is_noticed_soon_and_told_of() -> None:
    """It refuses for a while, as a starting one does, then answers: with waits of up to 30 s that took as long."""
    watches = 0
    refusals: list[Chunks] = [
        whole(b'{"kind":"Status","message":"not yet"}', "503 Service Unavailable"),
        whole(b'{"kind":"Status","message":"who?"}', "401 Unauthorized"),
        whole(orjson.dumps({"kind": "Status", "message": 'is forbidden: User "x" cannot list resource "y"'}), "403 F"),
        [b"no chunk\r\n\r\n"],
    ]

    def answer(line: str) -> Chunks:
        nonlocal watches
        if "watch=1" not in line:
            return whole(page())
        watches += 1
        return refusals[watches % 4] if watches < 12 else chunked([event("ADDED", good("late"))])

    limits = Limits(reconnect_seconds_min=0.01, reconnect_seconds_max=0.1, trouble_seconds_max=30.0)
    async with stranger(answer) as server, await server.api(limits) as api:
        backs: list[int] = []
        api.on_back.append(lambda: backs.append(watches))
        async with followed(api) as store:
            start = asyncio.get_running_loop().time()
            await until(lambda: store.get("ns", "late") is not None)
            assert asyncio.get_running_loop().time() - start < 5
            assert backs == [12], "once, when it was"
