"""Answers that no API server gives, each by the id of the attempt that it is. All are given for the list or the watch
of PodChaperons, which an agent cannot do without.
"""

import asyncio
import json
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from federation import names
from tests.strangers.hostile import HostileTarget, status
from tests.strangers.wire import Handler, HangUp, Request, Wire

KIND = "podchaperons"
UNFOLDED_BYTES = 128 * 1024 * 1024
# 1.1 KB of YAML that unfold to 9^12 texts.
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
)
SECRET_PAGE = "the-page-holds-swordfish"
FORGED = "12:00:00 | forged by a stranger"


@cache
def bomb() -> bytes:
    """128 MB of spaces within JSON, in gzip."""
    packer = zlib.compressobj(1, wbits=31)
    block = b" " * (1 << 20)
    parts = [packer.compress(b'{"metadata":{"resourceVersion":"5"},"items":[')]
    parts += [packer.compress(block) for _ in range(UNFOLDED_BYTES // len(block))]
    return b"".join([*parts, packer.compress(b"]}"), packer.flush()])


@cache
def foreigners() -> bytes:
    """40 000 PodChaperons that nobody asked for, of pods that do not exist."""
    metadata = {"namespace": "n", "resourceVersion": "5", "labels": {names.PARENT_UID: "u"}}
    items = [{"metadata": metadata | {"name": f"c{i}", "uid": f"u{i}"}, "spec": {}} for i in range(40_000)]
    return json.dumps({"metadata": {"resourceVersion": "5"}, "items": items}).encode()


def body(content: bytes | Callable[[], bytes], **headers: str) -> Handler:
    """Answer 200 with a body."""

    async def handle(request: Request, wire: Wire) -> None:
        await wire.answer(200, content if isinstance(content, bytes) else content(), **headers)

    return handle


def listed(**fields: Any) -> Handler:
    """Answer with a list of these fields."""
    return body(json.dumps({"metadata": {"resourceVersion": "5"}, "items": []} | fields).encode())


def refusal(code: int, message: str, reason: str = "Forbidden") -> Handler:
    """Answer with a Status."""

    async def handle(request: Request, wire: Wire) -> None:
        await wire.json(code, status(code, reason, message))

    return handle


def page(code: int, text: str) -> Handler:
    """Answer with something that is no Status."""

    async def handle(request: Request, wire: Wire) -> None:
        await wire.answer(code, text.encode(), Content_Type="text/html")

    return handle


def redirect(code: int, url: str) -> Handler:
    """Send whoever asks elsewhere."""

    async def handle(request: Request, wire: Wire) -> None:
        await wire.answer(code, b"", Location=url)

    return handle


def endless(piece: bytes, seconds: float = 0.0) -> Handler:
    """Answer with a body that does not end."""

    async def handle(request: Request, wire: Wire) -> None:
        await wire.begin_stream()
        while True:
            await wire.chunk(piece)
            await asyncio.sleep(seconds)

    return handle


async def never(request: Request, wire: Wire) -> None:
    """Answer nothing."""
    await asyncio.sleep(3600)


async def large_head(request: Request, wire: Wire) -> None:
    """Answer with headers of 1 MB."""
    await wire.answer(200, b"{}", **{f"X_{i}": "x" * 4000 for i in range(256)})


@cache
def deflated_pieces() -> tuple[bytes, bytes]:
    """A megabyte of spaces, and another that may follow any number of times."""
    packer = zlib.compressobj(9)
    pieces = [packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(2)]
    return pieces[0], pieces[1]


async def deflated(request: Request, wire: Wire) -> None:
    """Answer a watch with compressed events."""
    await wire.begin_stream(Content_Encoding="deflate")
    first, *others = deflated_pieces()
    await wire.chunk(first)
    for _ in range(UNFOLDED_BYTES >> 20):
        await wire.chunk(others[0])
    raise HangUp


async def ends_at_once(request: Request, wire: Wire) -> None:
    """Answer a watch that is over before it begins."""
    await wire.begin_stream()
    await wire.end_stream()


async def odd_events(request: Request, wire: Wire) -> None:
    """Answer a watch with events of every wrong shape, one a connection."""
    number = int(request.query.get("timeoutSeconds", "0")) % len(ODD_EVENTS)
    await wire.begin_stream()
    await wire.chunk(ODD_EVENTS[number] + b"\n")
    await wire.end_stream()


ODD_EVENTS = (
    b"5",
    b"null",
    b'{"type":"ADDED"}',
    b'{"type":"ADDED","object":7}',
    b'{"type":"ADDED","object":{"metadata":[]}}',
    b'{"type":"MODIFIED","object":{"metadata":{"name":5,"namespace":{},"resourceVersion":[]}}}',
    b'{"type":["ADDED"],"object":{"metadata":{}}}',
    b'{"type":"WHATEVER","object":{"metadata":{"resourceVersion":"9"}}}',
    '{"type":"ERROR","object":{"code":"²"}}'.encode(),
    b'{"type":"BOOKMARK","object":{}}',
    b"[" * 100_000,
)


def _arm(method: str, handler: Handler) -> Callable[[HostileTarget], None]:
    return lambda target: target.instead(method, KIND, handler)


BAD_LISTS: dict[str, Callable[[HostileTarget], None]] = {
    "gzip-list": _arm("GET", body(bomb, Content_Encoding="gzip")),
    "big-body": _arm("GET", endless(b" " * 65536)),
    "endless-pages": _arm("GET", listed(metadata={"resourceVersion": "5", "continue": "more"})),
    "slow-body": _arm("GET", endless(b" ", 1.0)),
    "no-answer": _arm("GET", never),
    "headers": _arm("GET", large_head),
    "bad-json": _arm("GET", page(200, "<html>welcome</html>")),
    "deep-json": _arm("GET", body(b"[" * 100_000)),
    "items-no-list": _arm("GET", listed(items=5, metadata="x")),
    "error-page": _arm("GET", page(500, SECRET_PAGE)),
    "forged-log": _arm("GET", refusal(403, f"no\r\n{FORGED}\n\x1b[31mred\x07\u202e")),
    "huge-message": _arm("GET", refusal(403, "word " * 400_000)),
    "foreign-chaperons": _arm("GET", body(foreigners)),
    "big-number": _arm("GET", body(b'{"metadata":{"resourceVersion":' + b"9" * 5000 + b'},"items":[]}')),
}
BAD_WATCHES: dict[str, Callable[[HostileTarget], None]] = {
    "deflate-watch": _arm("WATCH", deflated),
    "endless-line": _arm("WATCH", endless(b"x" * 65536)),
    "event-shapes": _arm("WATCH", odd_events),
    "watch-storm": _arm("WATCH", ends_at_once),
    "gone-storm": _arm("WATCH", refusal(410, "too old")),
}
