"""CPU time and memory of a lab's processes, from proc(5)."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.processes import Process

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used: CPU seconds since their start, and resident memory now, by role."""

    cpu_seconds: Mapping[str, float]
    memory_mb: Mapping[str, float]

    def since(self, earlier: "Usage") -> dict[str, float]:
        """CPU seconds by role since an earlier look, the busiest first."""
        spent = {role: value - earlier.cpu_seconds.get(role, 0.0) for role, value in self.cpu_seconds.items()}
        return dict(sorted(spent.items(), key=lambda item: -item[1]))


def usage(processes: Iterable[Process]) -> Usage:
    """Look at these processes. Of several in one role CPU seconds are added up; of memory the largest counts."""
    seconds: defaultdict[str, float] = defaultdict(float)
    memory: dict[str, float] = {}
    for process in processes:
        role = process.role
        seconds[role] += _cpu_seconds(process.pid)
        memory[role] = max(memory.get(role, 0.0), _memory_mb(process.pid))
    return Usage(dict(seconds), memory)


def own_cpu_seconds() -> float:
    """CPU seconds of this process: the price of measuring."""
    times = os.times()
    return times.user + times.system


def _cpu_seconds(pid: int) -> float:
    try:
        # The command's name, in brackets, may itself contain brackets and blanks: count from the last one on.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
