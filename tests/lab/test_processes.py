"""Processes are found again, ended exactly, and nothing else is touched."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.processes import MARK, Process, ProcessTable
from lab.waiting import StartFailed, until_serving

SLEEPS = (sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)")
IGNORES_TERM = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
STARTS_ANOTHER = (
    sys.executable,
    "-c",
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('parted')",
)


@pytest.fixture
def table(tmp_path: Path) -> ProcessTable:
    return ProcessTable(tmp_path / "processes", tmp_path / "logs", f"test-{os.getpid()}-{tmp_path.name}")


async def until_logged(process: Process, text: str) -> None:
    async def logged() -> bool:
        return text in process.log_tail()

    await until_serving(process, logged, seconds=20)


async def test_a_process_is_on_record_and_ends_when_asked(table: ProcessTable) -> None:
    process = table.start("sleeper", SLEEPS, role="agent", cluster="home")
    assert table.all() == [process]
    assert process.is_alive()
    await table.stop([process], grace_seconds=10)
    assert not process.is_alive()


async def test_one_that_ignores_the_request_is_killed(table: ProcessTable) -> None:
    process = table.start("deaf", IGNORES_TERM, role="agent")
    await until_logged(process, "deaf")
    await table.stop([process], grace_seconds=0.2)
    assert not process.is_alive()


async def test_a_pid_that_now_is_someone_elses_is_not_touched(table: ProcessTable) -> None:
    process = table.start("sleeper", SLEEPS, role="agent")
    stale = replace(process, start_ticks=process.start_ticks - 1)
    await table.stop([stale], grace_seconds=0)
    assert process.is_alive()
    await table.stop([process], grace_seconds=0)


async def test_a_session_of_its_own_keeps_it_from_the_terminals_signals(table: ProcessTable) -> None:
    process = table.start("sleeper", SLEEPS, role="agent")
    assert os.getsid(process.pid) == process.pid
    await table.stop([process], grace_seconds=0)


async def test_what_is_on_no_record_is_found_by_its_mark(table: ProcessTable) -> None:
    recorded = table.start("recorded", SLEEPS, role="agent")
    lost = table.start("lost", SLEEPS, role="agent")
    table.forget(lost)
    assert [found.pid for found in table.unrecorded()] == [lost.pid]
    await table.stop([recorded, *table.unrecorded()], grace_seconds=0)
    assert table.unrecorded() == []


async def test_what_an_ended_process_leaves_behind_is_found_by_its_mark(table: ProcessTable) -> None:
    parent = table.start("parent", STARTS_ANOTHER, role="agent")
    with pytest.raises(StartFailed, match="parted"):
        await until_logged(parent, "never said")
    (child,) = table.unrecorded()
    assert child.pid != parent.pid
    await table.stop([child], grace_seconds=0)


async def test_another_labs_mark_is_not_ours(table: ProcessTable, tmp_path: Path) -> None:
    other = ProcessTable(tmp_path / "other", tmp_path / "logs", "another")
    process = other.start("sleeper", SLEEPS, role="agent", env={MARK: "overridden anyway"})
    assert table.unrecorded() == []
    await other.stop([process], grace_seconds=0)


async def test_one_that_ends_too_soon_is_an_error_with_its_last_words(table: ProcessTable) -> None:
    process = table.start("hasty", (sys.executable, "-c", "raise SystemExit('no such flag: --bind')"), role="agent")

    async def never() -> bool:
        return False

    with pytest.raises(StartFailed, match=r"hasty ended(.|\n)*no such flag: --bind"):
        await until_serving(process, never, seconds=20)
