"""A follower whose connection misbehaves: it converges all the same, and hammers nobody.

The faults are put in front of a real API server's answers, at the seam where transports differ.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from federation.kube.api import Api
from federation.kube.errors import Unreachable
from federation.kube.limits import Limits
from federation.kube.resources import CONFIG_MAPS
from federation.kube.store import Store
from federation.kube.transport import Response, StreamResponse, Transport
from federation.kube.watch import follow
from lab.running import RunningLab

FAST = Limits(reconnect_seconds_min=0.05, reconnect_seconds_max=0.2, silence_seconds_max=0.5)


class Whole:
    """A stream that ends with these lines."""

    def __init__(self, status: int, *lines: bytes) -> None:
        self.status = status
        self._lines = lines

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield line

    async def read(self) -> bytes:
        return b"\n".join(self._lines)


class Broken(Whole):
    """A stream that breaks off after these lines."""

    async def lines(self) -> AsyncIterator[bytes]:
        async for line in super().lines():
            yield line
        raise Unreachable("cut")


EXPIRED = orjson.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}}
)
FAULTS = {
    "410 as an event": Whole(200, EXPIRED),
    "410 as an answer": Whole(410, b'{"kind":"Status","code":410,"reason":"Expired"}'),
    "an empty stream": Whole(200),
    "a stream cut at once": Broken(200),
    "half an event": Broken(200, b'{"type":"ADDED","object":{"metada'),
    "a proxy's error page": Whole(502, b"<html>Bad Gateway</html>"),
    "too many requests": Whole(429, b'{"kind":"Status","code":429,"reason":"TooManyRequests"}'),
}


class Faulty:
    """The real transport, but the first `count` watches meet a fault."""

    def __init__(self, real: Transport, fault: Whole, count: int) -> None:
        self._real, self._fault, self._count = real, fault, count
        self.requests = 0

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        self.requests += 1
        return await self._real.send(method, path, headers, body, timeout_seconds)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AsyncIterator[StreamResponse]:
        self.requests += 1
        if self._count > 0:
            self._count -= 1
            yield self._fault
            return
        async with self._real.stream(path, headers, silence_seconds_max) as response:
            yield response

    async def close(self) -> None:
        """The real one is another's."""


@pytest.mark.parametrize("name", FAULTS)
async def test_a_follower_gets_over_it(bare_lab: RunningLab, namespace: str, name: str) -> None:
    real = bare_lab.api()
    faulty = Faulty(real.transport, FAULTS[name], count=5)
    store: Store[str] = Store(lambda manifest: (manifest.get("data") or {}).get("k"))
    task = asyncio.create_task(follow(Api(faulty, FAST), CONFIG_MAPS, store, namespace=namespace))
    arrived = asyncio.Event()
    store.subscribe(lambda key, old, new: arrived.set() if key[1] == "late" and new else None)
    try:
        async with asyncio.timeout(20):
            await store.synced.wait()
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"k": "v"}}
            await real.create(CONFIG_MAPS, manifest, namespace)
            await arrived.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert store.get(namespace, "late") == "v"


async def test_a_server_that_closes_at_once_is_not_hammered(bare_lab: RunningLab, namespace: str) -> None:
    faulty = Faulty(bare_lab.api().transport, FAULTS["an empty stream"], count=10_000)
    limits = Limits(reconnect_seconds_min=0.2, reconnect_seconds_max=30.0)
    task = asyncio.create_task(follow(Api(faulty, limits), CONFIG_MAPS, Store(lambda _: 1), namespace=namespace))
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert faulty.requests <= 10, "0.1 + 0.2 + 0.4 + 0.8 ... seconds apart"


async def test_a_silent_watch_is_opened_again_without_a_word(bare_lab: RunningLab, namespace: str) -> None:
    """Nothing happens in this namespace and no bookmark comes in half a second: that is no trouble, but it is looked
    whether anybody is there."""
    faulty = Faulty(bare_lab.api().transport, FAULTS["an empty stream"], count=0)
    store: Store[int] = Store(lambda _: 1)
    troubles: list[str] = []
    task = asyncio.create_task(follow(Api(faulty, FAST), CONFIG_MAPS, store, namespace=namespace))
    try:
        async with asyncio.timeout(20):
            await store.synced.wait()
            store.on_trouble = lambda: troubles.append(store.trouble)
            while faulty.requests < 4:  # noqa: ASYNC110  # a list and three watches
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert troubles == []
    assert store.is_fresh
