"""The job's log in the form the runner sends it: every line with its time and stream, masked, and bounded in size.

    2026-11-23T19:22:04.200830Z 01O hello

`00` is the runner's own stream and `01` the job's, `O` or `E` tells output from errors, and a `+` in place of the
last space joins a line to the one before. Bytes are only ever added; the sending thread reads them by position.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterable

from lab.runner.masking import Masker

PARTIAL_BYTES_MAX = 16 * 1024  # a line longer than this is sent in pieces
GREEN, RED, CYAN, YELLOW, RESET = "\x1b[32;1m", "\x1b[31;1m", "\x1b[36;1m", "\x1b[0;33m", "\x1b[0;m"


def _timestamp(now: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now % 1 * 1_000_000):06d}Z"


class Trace:
    """Append-only and safe to read from another thread. `clock` gives seconds since the epoch."""

    def __init__(
        self, masks: Iterable[str], prefixes: Iterable[str], limit_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._masks, self._prefixes = list(masks), list(prefixes)
        self._limit = limit_bytes
        self._clock = clock
        self._bytes = bytearray()
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._is_full = False

    def line(self, text: str) -> None:
        """A line of the runner itself."""
        self.write("00O", f"{text}\n".encode())

    def section_start(self, name: str, title: str) -> None:
        self.line(f"section_start:{int(self._clock())}:{name}\r\x1b[0K{CYAN}{title}{RESET}")

    def section_end(self, name: str) -> None:
        self.line(f"section_end:{int(self._clock())}:{name}\r\x1b[0K")

    def write(self, stream: str, data: bytes) -> None:
        """Output as it comes; whole lines are recorded, the rest waits."""
        if stream not in self._streams:
            self._streams[stream] = _Stream(Masker(self._masks, self._prefixes))
        found = self._streams[stream]
        found.pending += found.masker.feed(data)
        *lines, found.pending = found.pending.split(b"\n")
        for line in lines:
            self._record(stream, found, line)
            found.is_continued = False
        if len(found.pending) > PARTIAL_BYTES_MAX:
            self._record_partial(stream, found)

    def settle(self) -> None:
        """Records what is still waiting in all streams: their writers are done."""
        for name, stream in self._streams.items():
            stream.pending += stream.masker.flush()
            if stream.pending:
                self._record_partial(name, stream)
            stream.is_continued = False

    def _record_partial(self, name: str, stream: _Stream) -> None:
        self._record(name, stream, stream.pending)
        stream.pending, stream.is_continued = b"", True

    def _record(self, name: str, stream: _Stream, line: bytes) -> None:
        joint = "+" if stream.is_continued else " "
        self._append(f"{_timestamp(self._clock())} {name}{joint}".encode() + line + b"\n")

    def _append(self, data: bytes) -> None:
        with self._lock:
            if self._is_full:
                return
            if len(self._bytes) + len(data) > self._limit:
                self._is_full = True
                limit = (
                    f"Job's log exceeded limit of {self._limit} bytes.\nJob execution will continue but no more output "
                )
                limit += "will be collected."
                data = f"\n{YELLOW}{limit}{RESET}\n".encode()
            self._bytes += data

    def since(self, start: int, size_max: int) -> bytes:
        """Bytes from a position on."""
        with self._lock:
            return bytes(self._bytes[start : start + size_max])

    def summary(self) -> tuple[str, int]:
        """(checksum, length) of all so far."""
        with self._lock:
            return f"crc32:{zlib.crc32(self._bytes):08x}", len(self._bytes)


class _Stream:
    """What one stream still owes the record."""

    def __init__(self, masker: Masker) -> None:
        self.masker = masker
        self.pending = b""
        self.is_continued = False
