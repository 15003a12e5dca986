"""What `benchmarks.silence` puts between a source and a target, and what it makes of the times."""

import asyncio

import pytest

from benchmarks.middleman import wire_to
from benchmarks.silence import row

LATE_SECONDS = 0.3


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def test_a_wire_carries_late_or_not_at_all() -> None:
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with wire_to(f"http://127.0.0.1:{port}") as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        wire.late_seconds, asked_at = LATE_SECONDS, loop.time()
        writer.write(b"two\n")
        assert await reader.readline() == b"two\n"
        assert loop.time() - asked_at >= LATE_SECONDS
        wire.late_seconds = 0.0
        wire.cut()
        writer.write(b"three\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        wire.mend()
        assert await reader.readline() == b"three\n"
        writer.close()
    server.close()


def test_what_counts_is_when_the_last_pod_runs() -> None:
    found = row("cut off", [1.0, 2.0, 6.0], 4.0).flat()
    assert found["all_seconds"] == 6.0
    assert found["ratio_to_usual"] == 1.5
