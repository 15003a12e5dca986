"""A run of tests that is ended leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.warden import MARK, marked

SLEEPER = """
import subprocess, sys, time
from tests import warden
warden.watch()
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(left.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_run_started_dies_with_it(number: signal.Signals) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    left = int(run.stdout.readline())
    mark = _mark_of(left)
    assert marked(mark) == [left]
    run.send_signal(number)
    run.wait()
    run.stdout.close()
    deadline = time.monotonic() + 20
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []


def test_this_run_is_watched() -> None:
    assert os.environ[MARK]


def _mark_of(pid: int) -> str:
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in environment if "=" in line)[MARK]
