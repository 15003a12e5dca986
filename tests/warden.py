"""Ends what a run of tests has started, however the run itself ended: also by SIGKILL.

Labs outlive whoever starts them, so nobody else would. All that a run starts has its mark in the environment; a process
outside the run waits for the run's end, and kills what is left with that mark.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "ISTHMUS_TESTS_RUN"
_SECONDS_MAX = 20.0  # somebody who is just being started may start others

Warden = subprocess.Popen[bytes]


def watch() -> Warden:
    """Mark all that this process starts from now on, and have it ended when this process does."""
    mark = secrets.token_hex(8)
    os.environ[MARK] = mark
    # Without our environment: it would be one of those that it ends, or that another warden does.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark], stdin=subprocess.PIPE, env={}, start_new_session=True
    )


def marked(mark: str) -> list[int]:
    """Return the pids of what carries a mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def main(mark: str) -> None:
    """Wait for the other end of our input to go, and end what is left."""
    sys.stdin.buffer.read()
    deadline = time.monotonic() + _SECONDS_MAX
    while (left := marked(mark)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
