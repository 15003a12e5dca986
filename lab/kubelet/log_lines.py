"""A container's log as it is kept and as it is asked for. Pure.

A line of the file is `<RFC 3339 time, nanoseconds> <stream> <F|P> <text>`, upstream's format: F ends a line, P says
that the text goes on in the next one. Queries are those of the API: tail, since, limit, timestamps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

# Upstream splits longer lines too; a line is held in memory whole until it ends or gets this long.
LINE_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """What of a log to give."""

    tail_lines: int | None = None
    since: str = ""  # a time in the form the lines have, "" for all
    limit_bytes: int | None = None
    has_timestamps: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One kept line."""

    time: str
    stream: str
    is_whole: bool
    text: bytes


def write_line(nanoseconds: int, stream: str, text: bytes, *, is_whole: bool) -> bytes:
    """The line as it is kept."""
    return b"%s %s %s %s\n" % (stamp(nanoseconds).encode(), stream.encode(), b"F" if is_whole else b"P", text)


def read_line(raw: bytes) -> Line:
    """A kept line, without its line end, read back."""
    time, stream, flag, text = raw.split(b" ", 3)
    return Line(time.decode(), stream.decode(), flag == b"F", text)


def stamp(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as RFC 3339 with nine digits, so that times sort as text."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def select(lines: Iterable[Line], query: Query) -> Iterator[bytes]:
    """The bytes to send for the lines there are, tail and since applied (the limit counts while sending)."""
    wanted = [line for line in lines if line.time >= query.since]
    if query.tail_lines is not None:
        wanted = _tail(wanted, query.tail_lines)
    for line in wanted:
        yield render(line, query)


def render(line: Line, query: Query) -> bytes:
    """One line as a person sees it."""
    text = line.text + b"\n" if line.is_whole else line.text
    return line.time.encode() + b" " + text if query.has_timestamps else text


def _tail(lines: list[Line], count: int) -> list[Line]:
    found = 0
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].is_whole or index == len(lines) - 1:
            found += 1
        if found > count:
            return lines[index + 1 :]
    return lines
