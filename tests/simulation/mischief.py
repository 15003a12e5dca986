"""What goes wrong on the way to an API server, by a seeded die: every request and every watch may be hit.

A write may be lost before it was made or after, refused as a conflict, throttled, delayed past others; a process may
end right after one. Watches break off, end early, or find their version compacted away. `calm` ends all of it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import orjson

from federation.kube.errors import Unreachable
from federation.kube.transport import Response, StreamResponse
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.simulation.memory import MemoryTransport

_WATCH_SECONDS = 15.0  # how long one lives, on average
_DELAYS_SECONDS = (0.0, 0.001, 0.01, 0.1, 1.0)
_REFUSALS = ((409, "Conflict"), (429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable"))


class Mischief:
    """The die, and what it did: `counts` says how often each thing happened. `rate` is the share of requests hit."""

    def __init__(self, seed: int, rate: float = 0.15) -> None:
        self.random = Random(seed)
        self.rate = rate
        self.counts: Counter[str] = Counter()

    def calm(self) -> None:
        """Let nothing go wrong from now on."""
        self.rate = 0.0

    def strikes(self, what: str, share: float = 1.0) -> bool:
        """Whether this happens now; counted."""
        is_so = self.random.random() < self.rate * share
        self.counts[what] += is_so
        return is_so

    async def delay(self) -> None:
        """Let others go first for a while."""
        seconds = self.random.choice(_DELAYS_SECONDS) if self.rate else 0.001
        await asyncio.sleep(seconds * self.random.random())


class FaultyTransport(MemoryTransport):
    """A process's way to an API server. `die` ends that process."""

    def __init__(self, server: ApiServer, user: User, mischief: Mischief, die: Callable[[], None]) -> None:
        super().__init__(server, user)
        self._mischief = mischief
        self._die = die

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """See Transport."""
        mischief = self._mischief
        await mischief.delay()
        if mischief.strikes("lost on the way", 0.3):
            raise Unreachable("the simulated request was lost")
        if mischief.strikes("refused", 0.3):
            return self._refused(is_write=method != "GET")
        answer = await super().send(method, path, headers, body, timeout_seconds)
        if method != "GET" and mischief.strikes("died after a write", 0.1):
            self._die()
            await asyncio.Event().wait()  # this process does not go on
        await mischief.delay()
        if mischief.strikes("answer lost", 0.3):
            raise Unreachable("the simulated answer was lost")
        return answer

    def _refused(self, *, is_write: bool) -> Response:
        code, reason = self._mischief.random.choice(_REFUSALS if is_write else _REFUSALS[1:])
        status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "simulated"}
        return Response(code, {"Content-Type": "application/json"}, orjson.dumps(status))

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AsyncIterator[StreamResponse]:
        """See Transport."""
        await self._mischief.delay()
        if self._mischief.strikes("watch not opened", 0.5):
            raise Unreachable("the simulated watch was not opened")
        async with super().stream(path, headers, silence_seconds_max) as stream:
            yield _ShortLived(stream, self._mischief)


class _ShortLived:
    """A watch that ends early, in one way or another; late news come late."""

    def __init__(self, stream: StreamResponse, mischief: Mischief) -> None:
        self._stream, self._mischief = stream, mischief

    @property
    def status(self) -> int:
        return self._stream.status

    async def read(self) -> bytes:
        return await self._stream.read()

    async def lines(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._mischief.random.expovariate(1 / _WATCH_SECONDS)
        lines = aiter(self._stream.lines())
        while True:
            try:
                async with asyncio.timeout_at(ends_at if self._mischief.rate else None):
                    line = await anext(lines)
            except StopAsyncIteration:
                return
            except TimeoutError:
                self._mischief.counts["watch ended"] += 1
                if self._mischief.random.random() < 0.5:
                    raise Unreachable("the simulated watch broke off") from None
                return
            await self._mischief.delay()
            yield line
