"""Container logs on disk: one file per run, written as the container speaks, read and followed by anybody."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from lab.kubelet.log_lines import LINE_BYTES_MAX, Line, Query, read_line, render, select, write_line


class Log:
    """The log of one run of a container."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._rest: dict[str, bytes] = {}
        self._grown = asyncio.Event()
        self.is_complete = False

    @classmethod
    def kept(cls, path: Path) -> "Log | None":
        """The log that an earlier kubelet left at `path`, or None."""
        if not path.exists():
            return None
        log = cls(path)
        log.close()
        return log

    def write(self, stream: str, data: bytes) -> None:
        """Take in what came from `stream`; a line is kept when it ends, or gets too long."""
        pieces = (self._rest.pop(stream, b"") + data).split(b"\n")
        now = time.time_ns()
        lines = [write_line(now, stream, piece, is_whole=True) for piece in pieces[:-1]]
        rest = pieces[-1]
        while len(rest) >= LINE_BYTES_MAX:
            lines.append(write_line(now, stream, rest[:LINE_BYTES_MAX], is_whole=False))
            rest = rest[LINE_BYTES_MAX:]
        if rest:
            self._rest[stream] = rest
        if lines:
            self._append(lines)

    def close(self) -> None:
        """Say that nothing more will come; lines without an end are kept as they are."""
        now = time.time_ns()
        self._append([write_line(now, stream, rest, is_whole=False) for stream, rest in self._rest.items()])
        self._rest.clear()
        self._file.close()
        self.is_complete = True
        self._wake()

    def end(self, bytes_max: int) -> str:
        """The last of what was written, as text."""
        with self._path.open("rb") as file:
            shown = b"".join(select(_lines(file.readlines()), Query(tail_lines=80)))
        return shown[-bytes_max:].decode(errors="replace")

    async def read(self, query: Query, *, follow: bool) -> AsyncIterator[bytes]:
        """What `query` asks for, piece by piece; with `follow` until the container has ended."""
        left = query.limit_bytes
        async for piece in self._pieces(query, follow=follow):
            if left is None:
                yield piece
                continue
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    async def _pieces(self, query: Query, *, follow: bool) -> AsyncIterator[bytes]:
        with self._path.open("rb") as file:
            yield b"".join(select(_lines(file.readlines()), query))
            while follow:
                grown, was_complete = self._grown, self.is_complete
                if lines := _lines(file.readlines()):
                    yield b"".join(render(line, query) for line in lines)
                elif was_complete:
                    return
                else:
                    await grown.wait()

    def _append(self, lines: list[bytes]) -> None:
        if lines:
            self._file.write(b"".join(lines))
            self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


def _lines(raw: list[bytes]) -> list[Line]:
    return [read_line(line.removesuffix(b"\n")) for line in raw]
