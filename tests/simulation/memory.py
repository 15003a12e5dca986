"""The second implementation of `federation.kube.transport.Transport`: memory instead of sockets.

A simulation makes one `ApiServer` per cluster, gives each client a `MemoryTransport` with the identity it would have
by its certificate, and runs everything in one event loop. `cut` stands for a network that is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import orjson

from federation.kube.errors import Unreachable
from federation.kube.transport import Response, StreamResponse
from lab.api_server.core import request as wire
from lab.api_server.core.server import ApiServer
from lab.api_server.core.watch import Watch


class _MemoryStream:
    """The lines of a watch, or the lines of a whole answer."""

    def __init__(self, transport: "MemoryTransport", answer: wire.Answer) -> None:
        self._transport, self._answer = transport, answer

    @property
    def status(self) -> int:
        return self._answer.status if isinstance(self._answer, wire.Response) else 200

    async def read(self) -> bytes:
        return self._answer.body if isinstance(self._answer, wire.Response) else b""

    async def lines(self) -> AsyncIterator[bytes]:
        if not isinstance(self._answer, Watch):
            for line in (await self.read()).splitlines():
                yield line
            return
        async for batch in self._answer.lines():
            await asyncio.sleep(self._transport.answers_after_seconds)
            for line in batch.splitlines():
                self._transport.check()
                yield line
        self._transport.check()


class MemoryTransport:
    """Requests of one identity to one API server."""

    def __init__(self, server: ApiServer, user: wire.User) -> None:
        self._server, self._user = server, user
        self._watches: dict[Watch, None] = {}  # in order, so that a simulation can be repeated
        self.is_cut = False
        self.is_frozen = False  # requests get no answer, watches stay open and silent
        self.answers_after_seconds = 0.0

    def cut(self) -> None:
        """Lose the connection: watches break off, requests fail until `join`."""
        self.is_cut = True
        for watch in tuple(self._watches):
            watch.close()

    def join(self) -> None:
        """Have the network back."""
        self.is_cut = False

    def lead_to(self, server: ApiServer) -> None:
        """Reach another cluster from now on, as a name or an address may."""
        self.cut()
        self._server = server
        self.join()

    def check(self) -> None:
        """Raise Unreachable while the network is gone."""
        if self.is_cut:
            raise Unreachable("the simulated network is gone")

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: object) -> wire.Answer:
        self.check()
        parts = urlsplit(path)
        request = wire.Request(
            method=method,
            path=parts.path,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in headers.items()},
            body=b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body),
            certificate=self._user,
        )
        answer = await self._server.handle(request)
        self.check()
        return answer

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """See Transport."""
        if self.is_frozen:
            await asyncio.sleep(timeout_seconds)
            raise Unreachable("the simulated server gives no answer")
        answer = await self._ask(method, path, headers, body)
        if self.answers_after_seconds:
            await asyncio.sleep(min(self.answers_after_seconds, timeout_seconds))
            if self.answers_after_seconds >= timeout_seconds:
                raise Unreachable("the simulated server answers too late")
        assert isinstance(answer, wire.Response)
        return Response(answer.status, {"Content-Type": answer.content_type, **answer.headers}, answer.body)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AsyncIterator[StreamResponse]:
        """See Transport."""
        answer = await self._ask("GET", path, headers, None)
        if not isinstance(answer, Watch):
            yield _MemoryStream(self, answer)
            return
        self._watches[answer] = None
        try:
            yield _MemoryStream(self, answer)
        finally:
            answer.close()
            self._watches.pop(answer, None)

    async def close(self) -> None:
        """See Transport."""
        for watch in tuple(self._watches):
            watch.close()
