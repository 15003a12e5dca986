"""One request and its answer on one accepted connection.

h11 does heads and chunking, asyncio the bytes. One request per connection: every answer says `Connection: close`,
so there is no state between requests, and a connection that changed protocol needs no special case.
"""

import asyncio
from collections.abc import Sequence

import h11
import orjson

from federation.gateway.errors import Refusal
from federation.gateway.limits import GatewayLimits

Headers = Sequence[tuple[str, str]]


class Exchange:
    """A caller's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: GatewayLimits) -> None:
        self.reader = reader
        self.writer = writer
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes_max)
        self.method = ""
        self.target = ""
        self._headers: list[tuple[str, str]] = []

    async def read_head(self) -> bool:
        """Read the request; False where the caller left without one. Raises Refusal (400, 408, 413, 431)."""
        try:
            async with asyncio.timeout(self._limits.head_seconds_max):
                request = await self._next_request()
                if request is None:
                    return False
                self.method = request.method.decode()
                self.target = request.target.decode()
                self._headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
                # h11 bounds incomplete heads only; one that came whole is measured here
                if (
                    len(self.target) + sum(len(name) + len(value) for name, value in self._headers)
                    > self._limits.head_bytes_max
                ):
                    raise Refusal(431, "RequestHeaderFieldsTooLarge", "the request head is too large")
                await self._read_nothing_more()
        except TimeoutError as error:
            raise Refusal(408, "Timeout", "no whole request head in time") from error
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint, "BadRequest", str(error)) from error
        except UnicodeDecodeError as error:
            raise Refusal(400, "BadRequest", "the request line is not ASCII") from error
        return True

    async def _next_request(self) -> h11.Request | None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is h11.NEED_DATA:
                data = await self.reader.read(self._limits.chunk_bytes)
                if not data and not self._http.trailing_data[0]:
                    return None
                self._http.receive_data(data)
            else:
                return None

    async def _read_nothing_more(self) -> None:
        """Check that no body comes: nothing the gateway serves has one."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return
            if isinstance(event, h11.Data):
                raise Refusal(413, "RequestEntityTooLarge", "a request body is not served here")
            if event is h11.NEED_DATA:
                self._http.receive_data(await self.reader.read(self._limits.chunk_bytes))

    def header(self, name: str) -> str:
        """Return a header's value; several of one name are joined, as HTTP allows."""
        return ", ".join(value for key, value in self._headers if key == name.lower())

    def headers(self, prefixes: Sequence[str]) -> list[tuple[str, str]]:
        """Return the headers whose (lower-case) name starts with one of `prefixes`."""
        return [(key, value) for key, value in self._headers if key.startswith(tuple(prefixes))]

    @property
    def wants_upgrade(self) -> bool:
        """Whether the caller offers to change protocol."""
        return bool(self.header("upgrade")) and "upgrade" in self.header("connection").lower()

    def early_bytes(self) -> bytes:
        """Return what the caller sent after its head; it belongs to the new protocol."""
        return self._http.trailing_data[0]

    async def switch(self, headers: Headers) -> None:
        """Send 101: from here on the connection is the new protocol's."""
        await self._send(
            h11.InformationalResponse(status_code=101, headers=list(headers), reason=b"Switching Protocols")
        )

    async def begin(self, code: int, content_type: str) -> None:
        """Send a head whose body follows in pieces."""
        headers = [("Content-Type", content_type), ("Connection", "close")]
        await self._send(h11.Response(status_code=code, headers=headers))

    async def send(self, data: bytes) -> None:
        """Send a piece of the body and wait until the caller keeps up."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """Send the end of the body."""
        await self._send(h11.EndOfMessage())

    async def answer(self, code: int, body: bytes, content_type: str) -> None:
        """Send a whole answer."""
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")]
        await self._send(h11.Response(status_code=code, headers=headers))
        await self.send(b"" if self.method == "HEAD" else body)
        await self.end()

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal, unless an answer has begun: a Status, or for logs, like kubelet, its sentence alone.

        The API server reads a Status where a stream was refused, but quotes the body of a failed log in a Status of
        its own.
        """
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        if self.target.startswith("/containerLogs/"):
            await self.answer(refusal.code, refusal.message.encode(), "text/plain; charset=utf-8")
        else:
            await self.answer(refusal.code, orjson.dumps(refusal.status()), "application/json")

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self.writer.write(data)
            await self.writer.drain()
