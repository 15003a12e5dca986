"""A server that is a stranger: it answers every request with bytes of the test's choice.

Plain HTTP by a socket, because what it sends no proper HTTP server would. `asked` records the requests' first lines,
`headers` their heads. What it is to send is a list of chunks, each sent as it is; a number is a pause in seconds,
`None` keeps the connection open and silent, and an endless generator never ends by itself.
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from federation.kube.api import Api, connect
from federation.kube.dialling import Dialable
from federation.kube.limits import STRANGER, Limits

Chunks = Iterable[bytes | float | None]


@dataclass(slots=True)
class Stranger:
    """A running one; `answer` maps a request's first line to what is sent."""

    answer: Callable[[str], Chunks]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    sent: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, each request in turn."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first = head.partition(b"\r\n")[0].decode()
                self.asked.append(first)
                self.heads.append(head.decode())
                for chunk in self.answer(first):
                    if chunk is None:
                        await asyncio.Event().wait()
                    elif isinstance(chunk, float):
                        await asyncio.sleep(chunk)
                    else:
                        self.sent += len(chunk)
                        writer.write(chunk)
                        await writer.drain()
                        await asyncio.sleep(0)  # what fits into the buffer does not wait: others want to run
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def kubeconfig(self, **cluster: Any) -> dict[str, Any]:
        """Return a kubeconfig that leads here."""
        return {
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": self.url} | cluster}],
            "users": [{"name": "x", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }

    async def api(self, limits: Limits = STRANGER) -> Api:
        """Return a client as an agent has it of a target, which its administrator lets it dial."""
        return await connect(self.kubeconfig(), limits=limits, dialable=Dialable.of([self.url]))


@asynccontextmanager
async def stranger(answer: Callable[[str], Chunks]) -> AsyncIterator[Stranger]:
    """Run one at a free port of this machine."""
    made = Stranger(answer)
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # the end of the test
            await made.serve(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def whole(body: bytes, status: str = "200 OK", **headers: str) -> list[bytes | float | None]:
    """Return an answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode() + body]


def zipped(piece: bytes, times: int) -> list[bytes | float | None]:
    """Return an answer of a piece repeated, compressed, asked or not."""
    packer = zlib.compressobj(wbits=31)
    body = b"".join([*(packer.compress(piece) for _ in range(times)), packer.flush()])
    return whole(body, Content_Encoding="gzip")


def chunked(pieces: Iterable[bytes], status: str = "200 OK") -> Chunks:
    """Return an answer without a length, which ends where the pieces end."""
    yield f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n".encode()
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def endless(piece: bytes) -> Iterable[bytes]:
    """Return the same piece for ever."""
    while True:
        yield piece


def thing(name: str = "a", **fields: Any) -> dict[str, Any]:
    """Return an object as a server tells it."""
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "5"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}


def page(*items: Any, version: Any = "10", following: Any = "") -> bytes:
    """Return one page of a list."""
    metadata = {"resourceVersion": version} | ({"continue": following} if following else {})
    return orjson.dumps({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def event(kind: Any, manifest: Any) -> bytes:
    """Return one line of a watch."""
    return orjson.dumps({"type": kind, "object": manifest}) + b"\n"
