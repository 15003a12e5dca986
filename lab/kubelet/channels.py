"""The channel protocol of exec and attach over WebSocket: v5.channel.k8s.io, and v4 without half-close.

Each binary message starts with its channel's number. In v5 the message (255, n) closes channel n: that is how a client
says that stdin has ended.
"""

import asyncio
import contextlib
import fcntl
import json
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
PROTOCOLS = (V5, V4)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which channels a request asks for."""

    stdin: bool
    stdout: bool
    stderr: bool
    terminal: bool

    @classmethod
    def of(cls, request: web.Request) -> "Wanted":
        """Read the query, in the kubelet's words or the API's."""

        def asks(*names: str) -> bool:
            return any(request.query.get(name, "") in ("1", "true") for name in names)

        terminal = asks("tty")
        stderr = asks("error", "stderr") and not terminal
        return cls(asks("input", "stdin"), asks("output", "stdout"), stderr, terminal)


class Channels:
    """The server's end of one exec or attach."""

    def __init__(self, socket: web.WebSocketResponse, wanted: Wanted) -> None:
        self._socket = socket
        self._wanted = wanted
        self.terminal: int | None = None  # resized as the client says

    async def open(self) -> None:
        """Tell the client that the connection stands, as upstream does: an empty message on the first channel."""
        await self._send(STDOUT if self._wanted.stdout else STDERR if self._wanted.stderr else ERROR, b"")

    async def write(self, channel: int, data: bytes) -> None:
        """Send what a stream has to say, if the client wants that stream."""
        if (channel == STDOUT and self._wanted.stdout) or (channel == STDERR and self._wanted.stderr):
            await self._send(channel, data)

    async def finish(self, status: dict[str, Any]) -> None:
        """Say how it ended and close."""
        await self._send(ERROR, json.dumps(status).encode())
        await self._socket.close()

    async def stdin(self) -> AsyncIterator[bytes]:
        """What the client sends on stdin, until it closes that channel or the connection. Resizes on the way."""
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == CLOSE and self._socket.ws_protocol == V5 and data[:1] == bytes([STDIN]):
                yield b""
            elif channel == STDIN and data and self._wanted.stdin:
                yield data
            elif channel == RESIZE:
                self._resize(data)

    async def _send(self, channel: int, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # the reader sees that the client has gone
            await self._socket.send_bytes(bytes([channel]) + data)

    def _resize(self, data: bytes) -> None:
        if self.terminal is None:
            return
        with contextlib.suppress(ValueError, KeyError, OSError, struct.error):
            size = json.loads(data)
            window = struct.pack("HHHH", int(size["Height"]), int(size["Width"]), 0, 0)
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, window)


async def gone(tasks: set["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
