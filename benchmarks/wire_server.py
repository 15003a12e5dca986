"""An API server's read side and nothing else, as fast as it can be: pages of a list, then a watch that bursts.

    python -m benchmarks.wire_server KIND LISTED WATCHED

It prints its port, serves `LISTED` objects in a list and `WATCHED` MODIFIED events in a watch, and runs until its
standard input is closed. In a process of its own, so that what is measured has a CPU to itself.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator

import orjson
from aiohttp import web

from benchmarks import wire_objects
from benchmarks.wire_objects import Manifest

KINDS: dict[str, Callable[[int], Manifest]] = {
    "proxy": wire_objects.proxy,
    "gated proxy": lambda number: wire_objects.proxy(number, is_bound=False),
    "chaperon": wire_objects.chaperon,
    "delegate": wire_objects.delegate,
}
_LINES_AT_ONCE = 50  # a busy API server's writes hold several events too


class Server:
    """Serves one kind."""

    def __init__(self, kind: str, listed: int, watched: int) -> None:
        self._make = KINDS[kind]
        self._objects = [orjson.dumps(self._make(number)) for number in range(listed)]
        self._chunks = list(self._events(watched))

    def _events(self, count: int) -> Iterator[bytes]:
        lines = []
        for number in range(count):
            changed = self._make(number % max(len(self._objects), 1))
            changed["metadata"]["resourceVersion"] = str(1_000_000 + number)
            lines.append(orjson.dumps({"type": "MODIFIED", "object": changed}) + b"\n")
            if len(lines) == _LINES_AT_ONCE or number + 1 == count:
                yield b"".join(lines)
                lines = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """GET of the collection: a page, or the watch."""
        if "watch" in request.query:
            return await self._watch(request)
        start, limit = int(request.query.get("continue", "0")), int(request.query["limit"])
        end = start + limit
        token = str(end) if end < len(self._objects) else ""
        metadata = orjson.dumps({"resourceVersion": "1000000", "continue": token})
        body = b'{"metadata":%b,"items":[%b]}' % (metadata, b",".join(self._objects[start:end]))
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for chunk in self._chunks:
            await response.write(chunk)
        await asyncio.Event().wait()  # a watch stays open
        return response


async def serve(kind: str, listed: int, watched: int) -> None:
    """Serve until standard input ends."""
    app = web.Application()
    app.router.add_get("/{path:.*}", Server(kind, listed, watched).answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
