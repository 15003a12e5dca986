"""`isthmus lab demo` as a person runs it: another process, watched by what it prints, and what it leaves behind."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.directory import LabDirectory, LabRecord
from lab.plan import EngineName
from lab.processes import ProcessTable

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "root/multi-arch-image"
# Under ten times the load of a machine that does nothing else.
SECONDS_MAX = 110


@dataclass(slots=True)
class RunningDemo:
    """A demo that has been started, and what it has printed so far."""

    process: asyncio.subprocess.Process
    directory: Path
    lines: list[str] = field(default_factory=list)

    async def until(self, words: str) -> None:
        """Wait until it prints a line with these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line.rstrip("\n"))
                if words in line:
                    return
        raise AssertionError(f"it never said {words!r}:\n{self.text}")

    async def end(self) -> int:
        """Wait until it has ended; returns its exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            rest = await self.process.stdout.read()
            self.lines += rest.decode().splitlines()
            return await self.process.wait()

    @property
    def text(self) -> str:
        """All that it has printed."""
        return "\n".join(self.lines)

    @property
    def record(self) -> LabRecord:
        """The lab's record."""
        return LabDirectory(self.directory).read()


@asynccontextmanager
async def started(directory: Path, engine: EngineName, *options: str) -> AsyncIterator[RunningDemo]:
    """A demo for the length of the block."""
    command = [sys.executable, "-m", "isthmus", "lab", "demo", f"--dir={directory}", f"--engine={engine}", *options]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
    )
    try:
        yield RunningDemo(process, directory)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def verified(directory: Path, json_file: Path) -> tuple[int, Json]:
    """Run the verification again; returns its exit code and its result."""
    command = [sys.executable, "-m", "lab.demo.verify", f"--dir={directory}", f"--project={PROJECT}"]
    process = await asyncio.create_subprocess_exec(
        *command, f"--json={json_file}", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode in (0, 1), out.decode()
    return process.returncode, read(json_file)


def read(json_file: Path) -> Json:
    """The result that was written to a file."""
    return dict(json.loads(json_file.read_text()))


def left_behind(directory: Path, record: LabRecord) -> list[str]:
    """What is still there of a lab that should be gone: processes (and with them ports), mounts, files."""
    found = [str(directory)] if directory.exists() else []
    table = ProcessTable(directory / "none", directory / "none", record.mark)
    found += [f"process {process.pid}" for process in table.unrecorded()]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    return found + _images_of(record)


def _images_of(record: LabRecord) -> list[str]:
    """Images for the lab's registry in root's own storage: jobs must have one of their own."""
    host = record.services.get("registry", {}).get("url", "https://nowhere").removeprefix("https://")
    storage = Path("/var/lib/containers/storage")
    lists = storage.glob("*-images/images.json") if os.access(storage, os.R_OK) else ()
    return [str(path) for path in lists if host in path.read_text()]
