"""What stands between a source and a target: a wire that may be cut or slowed down without anybody being told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """Carries bytes to one server until it is `cut`, and again once it is mended; answers may come late."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self.port = 0
        self.late_seconds = 0.0  # by how much what the server says comes late

    def cut(self) -> None:
        """Deliver nothing any more, in either direction; connections stay as they are."""
        self._is_whole.clear()

    def mend(self) -> None:
        """Deliver again, also what was sent meanwhile."""
        self._is_whole.set()

    @property
    def url(self) -> str:
        """Where to reach the server by this wire."""
        return f"{self._server.scheme}://{self._server.hostname}:{self.port}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it."""
        with suppress(OSError):
            there, back = await asyncio.open_connection(self._server.hostname, self._server.port)
            arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            carrying = [
                asyncio.create_task(self._carry(reader, back)),
                asyncio.create_task(_collect(there, arrived)),
                asyncio.create_task(self._answer(arrived, writer)),
            ]
            try:
                await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in carrying:
                    task.cancel()
                await asyncio.gather(*carrying, return_exceptions=True)
                back.close()
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            await self._is_whole.wait()
            writer.write(piece)
            await writer.drain()

    async def _answer(self, arrived: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while (came := await arrived.get())[1]:
            await asyncio.sleep(came[0] + self.late_seconds - asyncio.get_running_loop().time())
            await self._is_whole.wait()
            writer.write(came[1])
            await writer.drain()


async def _collect(reader: asyncio.StreamReader, arrived: "asyncio.Queue[tuple[float, bytes]]") -> None:
    """Note when each piece came; an empty one is the end."""
    piece = b"the first"
    while piece:
        piece = await reader.read(65536)
        arrived.put_nowait((asyncio.get_running_loop().time(), piece))
    await asyncio.Event().wait()  # the end is delivered as late as the rest


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[Wire]:
    """Lay a wire to a server for the length of the block."""
    wire = Wire(url)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
