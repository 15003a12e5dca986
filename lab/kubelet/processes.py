"""Starts the launcher and watches over what it became: one `Process` per container run, one per exec.

The first process of a container is signalled through a pidfd, so that a signal can never hit a stranger that got the
same number; its end is seen through the launcher, whose exit code is the container's.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from lab.kubelet.launcher.program import main; main()"

# Building a view takes 50 ms; on a machine that is ten times overloaded it takes a second.
START_SECONDS_MAX = 30.0

Order = dict[str, Any]


class StartFailed(Exception):
    """The command could not be started; the message says why, in a container runtime's words."""


class Process:
    """A started container or exec."""

    def __init__(self, launcher: "subprocess.Popen[bytes]", pid: int, terminal: int | None) -> None:
        self._launcher = launcher
        self.pid = pid
        self.terminal = terminal  # the descriptor of its terminal's other end, for the caller to close
        self._pidfd = _open(pid)
        self._exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._launcher_fd = os.pidfd_open(launcher.pid)
        asyncio.get_running_loop().add_reader(self._launcher_fd, self._reap)

    async def wait(self) -> int:
        """The exit code, once it has ended; many may wait, and each may stop waiting."""
        return await asyncio.shield(self._exit_code)

    def signal(self, number: int) -> None:
        """Send a signal to the first process, if it is still there."""
        if self._pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def end(self) -> None:
        """Kill it with all it started; with `exec` the launcher takes its process along."""
        if not self._exit_code.done():
            self.signal(signal.SIGKILL)
            self._launcher.kill()

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe into it, if one was asked for."""
        return self._launcher.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe out of it, if one was asked for."""
        return self._launcher.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """The pipe of its errors, if one was asked for."""
        return self._launcher.stderr

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._launcher_fd)
        os.close(self._launcher_fd)
        code = self._launcher.wait()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._exit_code.set_result(128 - code if code < 0 else code)


async def start(order: Mapping[str, Any], *, has_stdin: bool) -> Process:
    """Start what `order` says and return once its command runs. Raises StartFailed.

    With a terminal there are no pipes but the terminal.
    """
    has_pipes = not order["terminal"]
    here, there = socket.socketpair()
    here.setblocking(False)
    order_descriptor = _in_memory({**order, "parent": os.getpid()})
    pipe = subprocess.PIPE if has_pipes else subprocess.DEVNULL
    try:
        launcher = subprocess.Popen(  # noqa: ASYNC220 - 2 ms, and asyncio's own would keep a thread per container
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(order_descriptor), str(there.fileno())],
            stdin=subprocess.PIPE if has_pipes and has_stdin else subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            pass_fds=(order_descriptor, there.fileno()),
            start_new_session=True,  # a Ctrl-C on the lab's terminal is for the lab to pass on
            bufsize=0,
            env={},
        )
    finally:
        os.close(order_descriptor)
        there.close()
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            messages, descriptors = await _report(here)
    except BaseException:
        launcher.kill()
        launcher.wait()
        raise
    finally:
        here.close()
    return _started(launcher, messages, descriptors)


def _started(launcher: "subprocess.Popen[bytes]", messages: list[dict[str, Any]], descriptors: list[int]) -> Process:
    told = {key: value for message in messages for key, value in message.items()}
    if "error" not in told and "pid" in told:
        return Process(launcher, told["pid"], descriptors[0] if descriptors else None)
    for descriptor in descriptors:
        os.close(descriptor)
    launcher.kill()
    launcher.wait()
    for stream in (launcher.stdin, launcher.stdout, launcher.stderr):
        if stream is not None:
            stream.close()
    raise StartFailed(str(told.get("error", "the launcher ended without a word")))


async def _report(here: socket.socket) -> tuple[list[dict[str, Any]], list[int]]:
    """Everything the launcher says until it closes the socket, and the descriptors it sends."""
    loop = asyncio.get_running_loop()
    data, descriptors = b"", []
    ready = asyncio.Event()
    loop.add_reader(here, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                piece, received, _, _ = socket.recv_fds(here, 65536, 1)
            except BlockingIOError:
                continue
            descriptors += received
            if not piece:
                return [json.loads(line) for line in data.splitlines()], descriptors
            data += piece
    finally:
        loop.remove_reader(here)


def _in_memory(order: Order) -> int:
    descriptor = os.memfd_create("order", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(json.dumps(order).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _open(pid: int) -> int:
    """Return a pidfd, or -1 where the process has ended already: looking first would leave a moment between."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
