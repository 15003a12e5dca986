"""Signals and cancellations, so that they end a wait at once and never a request half-way.

A pipe carries the news: whoever waits selects on it too. SIGQUIT asks to finish what is being done; SIGTERM and
SIGINT to stop now.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Terminated(BaseException):
    """Raised out of a held job request by a signal; not an error to be caught on the way."""


class Interrupts:
    """`is_graceful`: finish the job, then exit. `is_forced`: stop now."""

    def __init__(self, *, quit_ends_poll: bool = False) -> None:
        self.is_graceful = False
        self.is_forced = False
        self._quit_ends_poll = quit_ends_poll
        self._is_polling = False
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)

    def install(self) -> None:
        """Takes over the program's signals; only from the main thread."""
        signal.signal(signal.SIGQUIT, self._quit)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _quit(self, number: int, frame: FrameType | None) -> None:
        self.is_graceful = True
        self.nudge()
        if self._is_polling and self._quit_ends_poll:
            raise Terminated

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.is_forced:
            os._exit(1)  # asked twice: the real runner's "forced exit"
        self.is_forced = True
        self.nudge()
        if self._is_polling:
            raise Terminated

    def nudge(self) -> None:
        """Ends the wait of whoever is waiting; from any thread."""
        with suppress(BlockingIOError):  # full of earlier news: just as good
            os.write(self._write_fd, b"!")

    def drain(self) -> None:
        """Takes the news out of the pipe, before acting on it."""
        with suppress(BlockingIOError):
            os.read(self.fd, 4096)

    @contextmanager
    def polling(self) -> Iterator[None]:
        """A request that holds nothing: a signal may end it."""
        self._is_polling = True
        try:
            if self.is_forced:
                raise Terminated
            yield
        finally:
            self._is_polling = False

    def sleep(self, seconds: float) -> None:
        """Sleeps, but not through a signal."""
        if not (self.is_forced or self.is_graceful):
            select.select([self.fd], [], [], seconds)
            self.drain()
