"""An HTTPS server that says whatever it is told to say, byte by byte: what libraries refuse to send is the point here.

One handler answers every request; it may write anything, at any pace, and hang up in the middle.
"""

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.pki import Authority

_BODY_BYTES_MAX = 64 * 1024 * 1024  # of a request: what we are sent comes from the programs under test
_BUFFER_BYTES = 256 * 1024  # a flood must not fill our own memory


class HangUp(Exception):
    """Close the connection: the answer was none that another could follow."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON; {} where there is none."""
        return json.loads(self.body) if self.body else {}

    @property
    def is_watch(self) -> bool:
        """Whether it asks for a watch."""
        return self.query.get("watch") in {"1", "true"}


@dataclass(frozen=True, slots=True)
class Wire:
    """The way back to who asked."""

    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write bytes as they are and wait until the other side takes them."""
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # where nothing holds it up, whoever floods would be all that this loop does

    async def head(self, status: int, **headers: str) -> None:
        """Write a status line and headers (`_` stands for `-`)."""
        lines = [
            f"HTTP/1.1 {status} Whatever",
            *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items()),
        ]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Write a whole answer, by default of JSON."""
        given = {"Content_Type": "application/json"} | headers | {"Content_Length": str(len(body))}
        await self.head(status, **given)
        await self.send(body)

    async def json(self, status: int, value: object, **headers: str) -> None:
        """Write a whole answer."""
        await self.answer(status, json.dumps(value).encode(), **headers)

    async def begin_stream(self, **headers: str) -> None:
        """Write the head of an answer whose body comes in chunks."""
        await self.head(200, **({"Content_Type": "application/json"} | headers | {"Transfer_Encoding": "chunked"}))

    async def chunk(self, data: bytes) -> None:
        """Write one chunk."""
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        """Write the last chunk."""
        await self.send(b"0\r\n\r\n")


Handler = Callable[[Request, Wire], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, *, is_tls: bool = True) -> AsyncIterator[tuple[str, bytes]]:
    """Serve on 127.0.0.1 for the length of the block; gives the URL and the authority's certificate (PEM)."""
    authority = Authority("hostile")
    context = _context(authority) if is_tls else None
    open_now: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now.add(task)
        try:
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError, HangUp, ValueError):
                while request := await _read(reader):
                    await handler(request, Wire(writer))
        except asyncio.CancelledError:
            pass  # by us alone, at the end of the block; the loop would print it as a defect
        finally:
            open_now.discard(task)
            writer.transport.abort()  # no goodbye: who floods does not wait
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0, ssl=context, limit=_BUFFER_BYTES)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if is_tls else 'http'}://127.0.0.1:{port}", authority.pair.certificate
    finally:
        server.close()
        for task in list(open_now):
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        await asyncio.sleep(0.05)  # handshakes that were under way end with the loop's next turns


def _context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        context.load_cert_chain(*authority.server("hostile-server", ("127.0.0.1",)).write(Path(directory), "server"))
    return context


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)}
    length = min(int(headers.get("content-length", 0)), _BODY_BYTES_MAX)
    body = await reader.readexactly(length) if length else b""
    url = urlsplit(target)
    return Request(method, url.path, {key: values[-1] for key, values in parse_qs(url.query).items()}, headers, body)
