"""What pods wait while one of three targets is silent (rule F4): `python -m benchmarks.silence --engine kube`.

All pods are to be asked for there first (its weight). They run once with all well, then with that target's API server
frozen (SIGSTOP), its etcd frozen, the way to it cut off, and its answers five seconds late; each as a ratio to the
usual time of the same run, taken before and after, of which the shorter counts. Nodes are kwok's.
"""

import argparse
import asyncio
import base64
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.load import Load, TooSlow, following
from benchmarks.middleman import Wire, wire_to
from benchmarks.rows import Row, percentile, print_table, write_json
from benchmarks.site import numbered, until_ready
from federation.kinds import TARGETS
from federation.kube.resources import SECRETS
from lab.construction import WORK_NAMESPACE, Report
from lab.parts.federation import source_kubeconfig
from lab.plan import Component, EngineName, LabPlan, parse_clusters
from lab.processes import Process
from lab.running import RunningLab, running
from lab.waiting import StartFailed

SILENT = "east"
CLUSTERS = f"home:linux/amd64,{SILENT}:linux/amd64,west:linux/amd64"
LATE_SECONDS = 5.0
SETTLE_SECONDS = 3.0  # the agent has heard of a target that came or went
_COLUMNS = ("name", "pods", "p50_seconds", "p99_seconds", "all_seconds", "ratio_to_usual")


class Measurement:
    """Bursts of pods on one lab, one after the other."""

    def __init__(self, lab: RunningLab, wire: Wire, *, pods: int, seconds: float, report: Report) -> None:
        self._lab = lab
        self._wire = wire
        self._pods = pods
        self._seconds = seconds
        self._report = report
        self._round = 0

    async def rows(self) -> list[Row]:
        """Measure all; returns the usual time first."""
        async with following(self._lab.api(), WORK_NAMESPACE) as load:
            await self._burst(load)  # opens every connection and loads every path once
            usual, found = await self._burst(load), []
            for role in ("api-server", "etcd"):
                if any(process.role == role for process in self._processes()):
                    with self._frozen(role):
                        found.append((f"{role} frozen", await self._burst(load, is_deleted=False)))
                    await self._clear(load)
            self._wire.cut()
            found.append(("cut off", await self._burst(load, is_deleted=False)))
            self._wire.mend()
            await self._clear(load)
            self._wire.late_seconds = LATE_SECONDS
            await asyncio.sleep(SETTLE_SECONDS)
            found.append((f"answers after {LATE_SECONDS:.0f} s", await self._burst(load, is_deleted=False)))
            self._wire.late_seconds = 0.0
            await self._clear(load)
            found = [("usual, before", usual), *found, ("usual, after", await self._burst(load))]
        shorter = min(max(found[0][1]), max(found[-1][1]))
        return [row(name, latencies, shorter) for name, latencies in found]

    def _processes(self) -> list[Process]:
        table = self._lab.directory.processes(self._lab.record.mark)
        return [process for process in table.all() if process.cluster == SILENT and process.is_alive()]

    @contextmanager
    def _frozen(self, role: str) -> Iterator[None]:
        pids = [process.pid for process in self._processes() if process.role == role]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def _burst(self, load: Load, *, is_deleted: bool = True) -> list[float]:
        self._round += 1
        self._report(f"burst {self._round} of {self._pods} pods")
        names = numbered(f"p{self._round}", self._pods)
        latencies = await load.run(names, is_elected=True, seconds=self._seconds)
        if is_deleted:
            await self._clear(load)
        return latencies

    async def _clear(self, load: Load) -> None:
        """Delete all pods, and wait until the target is used again."""
        await load.delete(numbered(f"p{self._round}", self._pods), seconds=self._seconds)
        await until_ready(self._lab.api(), list(self._lab.apis))
        await asyncio.sleep(SETTLE_SECONDS)


def row(name: str, latencies: Sequence[float], usual_seconds: float) -> Row:
    """Return the row of a burst: each pod's seconds from its POST to Running, beside what all of them usually take."""
    return Row(
        name=name,
        targets=3,
        pods=len(latencies),
        p50_seconds=percentile(latencies, 0.5),
        p99_seconds=percentile(latencies, 0.99),
        details={"all_seconds": max(latencies), "ratio_to_usual": max(latencies) / usual_seconds},
    )


@asynccontextmanager
async def by_wire(lab: RunningLab) -> AsyncIterator[Wire]:
    """Lead the Target's kubeconfig through a wire of ours, and have all pods asked for there first."""
    kubeconfig = source_kubeconfig(lab.directory, SILENT).read_text()
    [url] = set(re.findall(r"https://[\w.:]+", kubeconfig))
    async with wire_to(url) as wire:
        data = {"config": base64.b64encode(kubeconfig.replace(url, wire.url).encode()).decode()}
        await lab.api().patch(SECRETS, SILENT, {"data": data}, WORK_NAMESPACE)
        await lab.api().patch(TARGETS, SILENT, {"spec": {"weight": 100}}, WORK_NAMESPACE)
        await asyncio.sleep(SETTLE_SECONDS)
        await until_ready(lab.api(), list(lab.apis))
        yield wire


async def measure(options: argparse.Namespace) -> list[Row]:
    """Bring the lab up, measure, take it down; returns the rows."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as directory:
        clusters = parse_clusters(CLUSTERS, options.nodes)
        plan = LabPlan(Path(directory) / "lab", EngineName(options.engine), clusters, frozenset({Component.FEDERATION}))
        async with running(plan, _report) as lab, by_wire(lab) as wire:
            return await Measurement(lab, wire, pods=options.pods, seconds=options.seconds, report=_report).rows()


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.silence", description=__doc__)
    parser.add_argument("--engine", choices=[name.value for name in EngineName], default="kube")
    parser.add_argument("--pods", type=int, default=100, help="pods at once [100]")
    parser.add_argument("--nodes", type=int, default=10, help="fake nodes in each cluster [10]")
    parser.add_argument("--seconds", type=float, default=300, help="how long a step may take [300]")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it from the command line."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        rows = asyncio.run(measure(options))
    except (TooSlow, StartFailed) as error:
        sys.exit(f"benchmarks.silence: {error}")
    print_table(f"One of three targets is silent, engine {options.engine}", [row.flat() for row in rows], _COLUMNS)
    if options.json:
        write_json(options.json, "silence", rows, {"engine": options.engine})


if __name__ == "__main__":
    main()
