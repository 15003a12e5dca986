"""exec and attach: joins the client's channels with a process. The end of either ends the other.

A client that goes takes its exec'ed process along; a container it was attached to lives on.
"""

import asyncio
from typing import Any

from aiohttp import web

from lab.kubelet.channels import PROTOCOLS, STDERR, STDOUT, Channels, Wanted, gone
from lab.kubelet.descriptors import chunks, feed
from lab.kubelet.processes import Process, StartFailed
from lab.kubelet.runs import Attached, Run, close, exec_exit

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}


async def execute(request: web.Request, run: Run) -> web.StreamResponse:
    """Run the command of the request in the container."""
    command = request.query.getall("command", [])
    if not command:
        return web.Response(status=400, text="you must specify at least 1 command")
    wanted = Wanted.of(request)
    socket = await _accept(request)
    channels = Channels(socket, wanted)
    await channels.open()
    size = {"rows": 0, "columns": 0} if wanted.terminal else None
    try:
        process = await run.enter(command, terminal=size, has_stdin=wanted.stdin)
    except StartFailed as error:
        await channels.finish(_internal(f"error executing command in container: {error}"))
        return socket
    channels.terminal = process.terminal
    try:
        if await _join(channels, process):
            await channels.finish(exec_exit(await process.wait()))
    finally:
        channels.terminal = None
        process.end()
        close(process)
    return socket


async def attach(request: web.Request, run: Run, *, closes_stdin: bool) -> web.StreamResponse:
    """Join the client with the container's own streams, from now on."""
    wanted = Wanted.of(request)
    attached = run.attach()
    socket = await _accept(request)
    channels = Channels(socket, wanted)
    channels.terminal = run.process.terminal
    try:
        await channels.open()
        reader = asyncio.create_task(_feed(channels, run.process, closes_stdin=closes_stdin))
        writer = asyncio.create_task(_show(channels, attached))
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            await channels.finish(exec_exit(0))
        await gone({reader, writer})
    finally:
        run.detach(attached)
    return socket


async def _accept(request: web.Request) -> web.WebSocketResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPBadRequest(text="the lab's kubelet speaks WebSocket only (v5.channel.k8s.io, v4.channel.k8s.io)")
    socket = web.WebSocketResponse(protocols=PROTOCOLS)
    await socket.prepare(request)
    return socket


async def _join(channels: Channels, process: Process) -> bool:
    """Pass data both ways until the process has ended (True) or the client has gone (False)."""
    reader = asyncio.create_task(_feed(channels, process, closes_stdin=True))
    writers = {asyncio.create_task(_copy(channels, number, fd)) for number, fd in _outputs(process)}
    whole = asyncio.create_task(_ended(process, writers))
    await asyncio.wait({reader, whole}, return_when=asyncio.FIRST_COMPLETED)
    has_ended = whole.done()
    await gone({reader, whole, *writers})
    return has_ended


async def _ended(process: Process, writers: set["asyncio.Task[None]"]) -> None:
    """Until the process has ended and all it wrote was passed on.

    Something it left running may hold its output open: that is waited for only a little.
    """
    await process.wait()
    await asyncio.wait(writers, timeout=1.0)


def _outputs(process: Process) -> list[tuple[int, int]]:
    if process.terminal is not None:
        return [(STDOUT, process.terminal)]
    pipes = ((STDOUT, process.stdout), (STDERR, process.stderr))
    return [(number, pipe.fileno()) for number, pipe in pipes if pipe is not None]


async def _copy(channels: Channels, number: int, descriptor: int) -> None:
    async for piece in chunks(descriptor):
        await channels.write(number, piece)


async def _feed(channels: Channels, process: Process, *, closes_stdin: bool) -> None:
    """Returns when the client has gone."""
    async for data in channels.stdin():
        pipe = process.stdin
        if process.terminal is not None:
            await feed(process.terminal, data or b"\x04")
        elif pipe is not None and not pipe.closed and not data:
            if closes_stdin:
                pipe.close()
        elif pipe is not None and not pipe.closed:
            await feed(pipe.fileno(), data)


async def _show(channels: Channels, attached: Attached) -> None:
    while (piece := await attached.pieces.get()) is not None:
        stream, data = piece
        await channels.write(_STREAMS[stream], data)


def _internal(message: str) -> dict[str, Any]:
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {message}",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
