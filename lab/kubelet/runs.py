"""One run of a container: its process, its log, whoever is attached to it, and how it is brought to an end."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.kubelet import processes
from lab.kubelet.descriptors import chunks
from lab.kubelet.logs import Log
from lab.kubelet.processes import Order, Process

# What an attached client may lag behind before it is dropped: the container must not wait for it. 64 KiB a piece.
ATTACHED_PIECES_MAX = 64

Terminal = dict[str, int] | None


@dataclass(eq=False)
class Attached:
    """Someone who sees what a container writes from now on; None is the end."""

    pieces: asyncio.Queue[tuple[str, bytes] | None] = field(
        default_factory=lambda: asyncio.Queue(ATTACHED_PIECES_MAX + 1)
    )
    is_lost: bool = False

    def give(self, stream: str, data: bytes) -> None:
        """Pass a piece on, or give up on a client that does not keep up."""
        if self.is_lost:
            return
        if self.pieces.qsize() >= ATTACHED_PIECES_MAX:
            self.is_lost = True
            self.pieces.put_nowait(None)
            return
        self.pieces.put_nowait((stream, data))

    def end(self) -> None:
        """Say that nothing more comes."""
        if not self.is_lost:
            self.pieces.put_nowait(None)


class Run:
    """A running container. `ended` is set when its process has gone and its log is complete."""

    def __init__(self, name: str, identity: str, order: Order, process: Process, log: Log, now: datetime) -> None:
        self.name = name
        self.identity = identity
        self.started_at = now
        self.log = log
        self.process = process
        self.ended = asyncio.Event()
        self.has_terminal = bool(order["terminal"])
        self._order = order
        self._attached: list[Attached] = []

    async def watch(self, then: Callable[["Run", int], None]) -> None:
        """Keep the log until the container ends, then call `then(run, exit code)`."""
        try:
            async with asyncio.TaskGroup() as group:
                if self.process.terminal is not None:
                    group.create_task(self._keep("stdout", self.process.terminal))
                for stream, pipe in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
                    if pipe is not None:
                        group.create_task(self._keep(stream, pipe.fileno()))
                code = await self.process.wait()
        finally:
            self._close()
        then(self, code)
        self.ended.set()

    async def stop(self, grace: Callable[[], float]) -> None:
        """Ask it to end, and make it end once `grace()` seconds are over; `grace` may shrink meanwhile."""
        self.process.signal(self._order["stop_signal"])
        while not self.ended.is_set():
            left = grace()
            if left <= 0:
                self.kill()
                await self.ended.wait()
                return
            try:
                async with asyncio.timeout(min(left, 0.5)):  # looks at a shortened grace period twice a second
                    await self.ended.wait()
            except TimeoutError:
                continue

    def kill(self) -> None:
        """End it and everything it started, now."""
        self.process.signal(signal.SIGKILL)

    async def enter(self, command: list[str], *, terminal: Terminal = None, has_stdin: bool = False) -> Process:
        """Start one more process in the container. Raises StartFailed."""
        order = {**self._order, "do": "enter", "pid": self.process.pid, "command": command, "terminal": terminal}
        if terminal is not None:
            order["environment"] = {"TERM": "xterm", **self._order["environment"]}
        return await processes.start(order, has_stdin=has_stdin)

    def attach(self) -> Attached:
        """See what the container writes from now on."""
        attached = Attached()
        self._attached.append(attached)
        return attached

    def detach(self, attached: Attached) -> None:
        """Stop seeing it."""
        if attached in self._attached:
            self._attached.remove(attached)

    async def _keep(self, stream: str, descriptor: int) -> None:
        async for piece in chunks(descriptor):
            self.log.write(stream, piece)
            for attached in self._attached:
                attached.give(stream, piece)

    def _close(self) -> None:
        close(self.process)
        self.log.close()
        for attached in self._attached:
            attached.end()


def close(process: Process) -> None:
    """Give back the descriptors of a process that has ended, or that nobody listens to any more."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            pipe.close()
    if process.terminal is not None:
        os.close(process.terminal)
        process.terminal = None


def exec_exit(code: int) -> dict[str, Any]:
    """How the API says that an exec'ed command ended, as a Status."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
