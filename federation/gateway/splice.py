"""Joins two connections: what comes in on one goes out on the other, byte for byte, both ways at once.

Each direction waits for its reader (a slow one makes the other side stop sending, by TCP). TLS has no half-close, and
the protocols that run here end their streams in frames of their own: so the first end of file ends both, after what
was already read has been written.
"""

import asyncio
import ssl
from contextlib import suppress

End = tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]


async def splice(one: End, other: End, idle_seconds_max: float, chunk_bytes: int) -> None:
    """Copy until one side ends, breaks, or nothing has moved for `idle_seconds_max`.

    Each end is its reader, its writer, and bytes already read from it. The writers stay open: whoever opened them
    closes them, which also sends what they still hold.
    """
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(idle_seconds_max) as deadline:

            async def copy(source: End, sink: End) -> None:
                reader, _, data = source
                writer = sink[1]
                with suppress(OSError, ssl.SSLError):
                    data = data or await reader.read(chunk_bytes)
                    while data:
                        deadline.reschedule(loop.time() + idle_seconds_max)
                        writer.write(data)
                        await writer.drain()
                        data = await reader.read(chunk_bytes)

            ways = [asyncio.create_task(copy(one, other)), asyncio.create_task(copy(other, one))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
