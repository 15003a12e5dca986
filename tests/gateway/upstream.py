"""A tiny API server for the far end of the gateway: it answers pod streams and remembers what it was sent."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from federation.certificates import KeyPair
from lab.pki import Authority

TOKEN = "secret-of-the-target"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUCCESS = b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}'


@dataclass
class Upstream:
    """What the tiny server saw, and what it is to say."""

    port: int = 0
    ca: str = ""
    heads: list[str] = field(default_factory=list)
    log_lines: int = 3
    log_pause_seconds: float = 0.05
    refusal: tuple[int, bytes] | None = None
    received: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def kubeconfig(self) -> dict[str, Any]:
        """How to reach it."""
        authority = base64.b64encode(self.ca.encode()).decode()
        server = f"https://127.0.0.1:{self.port}/clusters/far"
        return {
            "current-context": "far",
            "clusters": [{"name": "far", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "far", "user": {"token": TOKEN}}],
            "contexts": [{"name": "far", "context": {"cluster": "far", "user": "far"}}],
        }

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if self.refusal:
                code, body = self.refusal
                writer.write(f"HTTP/1.1 {code} No\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            elif "/log" in head.split("?")[0]:
                await self._log(writer)
            elif "sec-websocket-key" in head.lower():
                await self._websocket(head, reader, writer)
            else:
                await self._echo(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()

    async def _log(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(self.log_lines):
            line = f"line {number}\n".encode()
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await writer.drain()
            await asyncio.sleep(self.log_pause_seconds)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak a protocol nobody knows: greet, echo in capitals, end at `bye`."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n")
        writer.write(b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\ngreetings;")
        while data := await reader.read(65536):
            self.received += data
            writer.write(data.upper())
            await writer.drain()
            if data.endswith(b"bye"):
                return

    async def _websocket(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak v5.channel.k8s.io: echo standard input's first frame to standard output, then succeed."""
        headers = dict(
            line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head.split("\r\n")[1:] if line
        )
        accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + _GUID.encode()).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        writer.write(b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        stdin = (await _frame(reader))[1:] if "stdin=true" in head else b"hello from afar\n"
        for payload in (b"\x01" + stdin, b"\x03" + SUCCESS):
            writer.write(bytes([0x82, len(payload)]) + payload)
        writer.write(b"\x88\x02\x03\xe8")  # close, 1000
        await writer.drain()
        await reader.read(100)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Return the payload of the first frame of standard input (channel 0) that holds something."""
    while True:
        _, length = await reader.readexactly(2)
        assert length & 0x7F < 126, "the tests send little"
        mask = await reader.readexactly(4)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(await reader.readexactly(length & 0x7F)))
        if len(payload) > 1 and payload[0] == 0:
            return payload


@asynccontextmanager
async def serving(authority: Authority) -> AsyncIterator[Upstream]:
    """Serve a tiny API server under a certificate of `authority`."""
    pair = authority.server("far-api-server", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    KeyPair(pair.certificate, pair.key).load_into(context)
    upstream = Upstream(ca=authority.pair.certificate.decode())
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(upstream.handle(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
