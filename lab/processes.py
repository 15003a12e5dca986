"""The processes of a lab: started in sessions of their own, on record, and ended one by one, never by name.

What this keeps true:
- A process outlives `lab up` and is found again: its pid *and* start time are on record, so that a pid which the
  kernel gave to someone else in the meantime is never touched.
- A process that was started but not yet recorded (`lab up` was killed in between), or that a recorded one left behind,
  is found too: all carry the lab's random mark in their environment, and so do their children.

`posix_spawn` instead of `subprocess`, because nobody waits for these: they belong to no one once `lab up` has returned.
While their parent still lives (a test run) an ended one is reaped here.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import lab

MARK = "ISTHMUS_LAB_INSTANCE"

# For programs that leave their log's format to loguru: its own default drops the fields, which carry the data.
LOG_FORMAT = "{time:HH:mm:ss.SSS} {level: <7} {name} {message} {extra}"

# A process is looked at this often while it is being waited for: short beside the time any of them takes to end.
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """A started program: who it is for, its pid with the start time that makes it unique, and where it logs."""

    name: str
    role: str
    cluster: str
    pid: int
    start_ticks: int
    log: str

    def is_alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not)."""
        return self.start_ticks > 0 and _start_ticks(self.pid) == self.start_ticks

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it logged, for error messages."""
        try:
            text = Path(self.log).read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:]) or "(it logged nothing)"


class ProcessTable:
    """The processes of one lab, recorded as one file each in `records`."""

    def __init__(self, records: Path, logs: Path, mark: str) -> None:
        self._records, self._logs, self._mark = records, logs, mark

    def start(
        self, name: str, command: Sequence[str], *, role: str, cluster: str = "", env: Mapping[str, str] | None = None
    ) -> Process:
        """Start `command` with its output going to `<logs>/<name>.log`, and record it."""
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        pid = os.posix_spawn(
            command[0],
            list(command),
            {**_environment(), **(env or {}), MARK: self._mark},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        process = Process(name, role, cluster, pid, _start_ticks(pid), str(log))
        record = self._records / f"{name}.json"
        record.with_suffix(".tmp").write_text(json.dumps(asdict(process)))
        record.with_suffix(".tmp").replace(record)
        return process

    def all(self) -> list[Process]:
        """Every recorded process, alive or not, by name."""
        return [Process(**json.loads(path.read_text())) for path in sorted(self._records.glob("*.json"))]

    def forget(self, process: Process) -> None:
        """Remove the record of a process that was ended on purpose."""
        (self._records / f"{process.name}.json").unlink(missing_ok=True)

    async def stop(self, processes: Iterable[Process], *, grace_seconds: float) -> None:
        """End these processes together: ask, wait for `grace_seconds`, then kill. 0 kills at once."""
        going = [process for process in processes if process.is_alive()]
        if grace_seconds:
            _signal(going, signal.SIGTERM)
            going = await _wait_for_end(going, grace_seconds)
        _signal(going, signal.SIGKILL)
        # Only an uninterruptible system call survives SIGKILL; whatever that is, ten seconds are enough to wait for it.
        if left := await _wait_for_end(going, 10):
            names = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
            raise TimeoutError(f"these processes do not end even when killed: {names}")

    def unrecorded(self) -> list[Process]:
        """Processes that carry this lab's mark and are on no record; a recorded one that is alive is left out."""
        recorded = {(process.pid, process.start_ticks) for process in self.all()}
        found = [Process(f"pid-{pid}", "unknown", "", pid, ticks, os.devnull) for pid, ticks in _marked(self._mark)]
        return [process for process in found if (process.pid, process.start_ticks) not in recorded]


def _environment() -> dict[str, str]:
    """The environment for started programs: ours, and `lab` importable also where the project is not installed."""
    root = str(Path(lab.__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root,
        "PYTHONUNBUFFERED": "1",
        "LOGURU_FORMAT": LOG_FORMAT,
    }


def _start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot (proc(5), field 22); 0 where it has ended."""
    try:
        # The command's name, in brackets, may itself contain brackets and blanks: count from the last one on.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    if fields[0] in "ZX":
        _reap(pid)
        return 0
    return int(fields[19])


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # not ours: whoever started it, or init, does that
        os.waitpid(pid, os.WNOHANG)


def _marked(mark: str) -> list[tuple[int, int]]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended, or it is someone else's and so not of this lab
        if wanted in environment.split(b"\0") and (ticks := _start_ticks(int(entry.name))):
            found.append((int(entry.name), ticks))
    return found


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.is_alive():
            with suppress(ProcessLookupError):  # it ended by itself in this very moment
                os.kill(process.pid, number)


async def _wait_for_end(processes: list[Process], seconds: float) -> list[Process]:
    """Wait until these have ended; returns those that still run after `seconds`."""
    deadline = time.monotonic() + seconds
    while (  # noqa: ASYNC110  # an event cannot come from a process that is not our child
        left := [process for process in processes if process.is_alive()]
    ) and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
    return left
