"""Reading and writing pipes and terminals without blocking the loop; nothing is read before it is wanted."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator

CHUNK_BYTES = 64 * 1024  # a pipe's own size on Linux


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """What comes out of the descriptor until its other end is closed; does not close this end."""
    os.set_blocking(descriptor, False)
    while True:
        try:
            piece = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            await _ready(descriptor, to_write=False)
            continue
        except OSError as error:
            if error.errno == errno.EIO:  # how a terminal says that nobody is left on its other side
                return
            raise
        if not piece:
            return
        yield piece


async def feed(descriptor: int, data: bytes) -> bool:
    """Write all of it; False if nobody reads any more."""
    os.set_blocking(descriptor, False)
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            await _ready(descriptor, to_write=True)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF):
                return False
            raise
    return True


async def _ready(descriptor: int, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def now() -> None:
        if not ready.done():
            ready.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(descriptor, now)
    try:
        await ready
    finally:
        remove(descriptor)
