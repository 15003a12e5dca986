"""Runs one stage's script in bash, in a process group of its own, until it ends or must not go on."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from lab.runner.trace import Trace

KILL_AFTER_SECONDS = 1.0  # between asking the group to end and making it; a lab must be able to stop within two seconds
DRAIN_SECONDS = 0.5  # output of background processes that outlive the script is waited for no longer
LOOK_SECONDS = 1.0  # how late a deadline may be noticed


class Stopped(Exception):
    """The script was stopped; `reason` is what `why_stop` gave."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Bash:
    """`why_stop` is asked whenever anything happens; `wake_fd` becomes readable when it should be asked at once."""

    def __init__(self, trace: Trace, environment: Mapping[str, str], scripts_dir: Path, wake_fd: int) -> None:
        self._trace = trace
        self._environment = environment
        self._scripts_dir = scripts_dir
        self._wake_fd = wake_fd

    def run(self, stage: str, script: str, stream: str, why_stop: Callable[[], str]) -> int:
        """The script's exit code; raises Stopped. `stream` is the trace's two digits for its output."""
        self._scripts_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._scripts_dir / f"script_{stage}"
        path.touch(mode=0o600)
        path.write_text(script)
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        try:
            return self._follow(process, stream, why_stop)
        finally:
            _kill(process, signal.SIGKILL)
            process.wait()
            self._trace.settle()
            path.unlink()

    def _follow(self, process: subprocess.Popen[bytes], stream: str, why_stop: Callable[[], str]) -> int:
        assert process.stdout is not None
        assert process.stderr is not None
        ended = os.pidfd_open(process.pid)
        names = {process.stdout.fileno(): f"{stream}O", process.stderr.fileno(): f"{stream}E"}
        with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
            for descriptor in (*names, ended, self._wake_fd):
                selector.register(descriptor, selectors.EVENT_READ)
            try:
                return self._until_end(process, selector, names, why_stop)
            finally:
                os.close(ended)

    def _until_end(
        self,
        process: subprocess.Popen[bytes],
        selector: selectors.BaseSelector,
        names: dict[int, str],
        why_stop: Callable[[], str],
    ) -> int:
        while process.poll() is None:
            reason = why_stop()
            if reason:
                self._stop(process)
                self._read_ready(selector, names, 0)
                raise Stopped(reason)
            self._read_ready(selector, names, LOOK_SECONDS)
        patience = time.monotonic() + DRAIN_SECONDS
        selector.unregister(self._wake_fd)
        while names and (left := patience - time.monotonic()) > 0:
            self._read_ready(selector, names, left)
        return process.returncode

    def _read_ready(self, selector: selectors.BaseSelector, names: dict[int, str], timeout: float) -> None:
        for key, _ in selector.select(timeout):
            if key.fd == self._wake_fd:
                os.read(key.fd, 4096)
            elif key.fd not in names:
                selector.unregister(key.fd)  # the process has ended
            elif data := os.read(key.fd, 65536):
                self._trace.write(names[key.fd], data)
            else:
                selector.unregister(key.fd)
                del names[key.fd]

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        _kill(process, signal.SIGTERM)
        try:
            process.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process, signal.SIGKILL)


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):  # the whole group has ended by itself
        os.killpg(process.pid, number)
