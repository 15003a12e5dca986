"""Runs `isthmus audit` as a person would: the command, its exit code, its JSON."""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Audited:
    """What the command did."""

    code: int
    output: str
    errors: str

    @property
    def data(self) -> Data:
        """The JSON it printed."""
        found: Data = json.loads(self.output)
        return found

    def faults(self, *severities: str) -> set[tuple[str, str, str]]:
        """(rule, cluster, name) of the findings, of these severities."""
        wanted = severities or ("violation", "leak")
        return {
            (one["rule"], one["cluster"], one["name"]) for one in self.data["findings"] if one["severity"] in wanted
        }


async def run_audit(*arguments: str, settle_seconds: float = 1.0) -> Audited:
    """Run the command; its environment has no kubeconfig and no home."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus",
        "audit",
        f"--settle={settle_seconds}",
        "--dialable=127.0.0.0/8",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Audited(process.returncode, output.decode(), errors.decode())
