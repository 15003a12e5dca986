"""What a federated pod costs, beside a plain one: `python -m benchmarks.federate --engine kube`.

For each number of targets: plain pods in one cluster by its own kube-scheduler, then as many elected pods, each from
its POST until a watch has seen it Running; then some one at a time, on an idle federation. Nodes are kwok's, on either
engine: nothing runs, what is measured is the way there. Writes are counted by the API servers themselves, from the
first POST until no more come; deleting is counted apart.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.api_writes import events, per_pod, reads, settled, without_events, writes
from benchmarks.load import Load, TooSlow, following
from benchmarks.processes import own_cpu_seconds, usage
from benchmarks.rows import Row, percentile, print_table, shown, write_json
from benchmarks.site import PLAIN_NAMESPACE, Site, numbered, running_site
from lab.construction import WORK_NAMESPACE
from lab.plan import EngineName
from lab.waiting import StartFailed

WARM_UP_PODS = 20
SETTLE_SECONDS = 30.0
_COLUMNS = (
    *("name", "pods", "pods_per_second", "ratio_to_plain", "p50_seconds", "p99_seconds", "one_pod_seconds"),
    *("writes_per_pod", "events_per_pod", "reads_per_pod", "cleanup_writes_per_pod", "cpu_seconds_per_pod"),
)


class Measurement:
    """One lab's measurements, one after the other."""

    def __init__(self, site: Site, *, pods: int, alone: int, seconds: float, is_audited: bool) -> None:
        self._site = site
        self._pods = pods
        self._alone = alone
        self._seconds = seconds
        self._audit = site.audit() if is_audited else None
        self._round = 0
        self.rows: list[Row] = []

    async def warm_up(self) -> None:
        """Open every connection and load every path once."""
        async with following(self._site.home, PLAIN_NAMESPACE) as load:
            await self._run_and_delete(load, numbered("warm", WARM_UP_PODS), is_elected=False)
        async with following(self._site.home, WORK_NAMESPACE) as load:
            await self._run_and_delete(load, numbered("warm", WARM_UP_PODS), is_elected=True)

    async def _run_and_delete(self, load: Load, names: Sequence[str], *, is_elected: bool) -> None:
        await load.run(names, is_elected=is_elected, seconds=self._seconds)
        await load.delete(names, seconds=self._seconds)
        await settled(self._site.apis, SETTLE_SECONDS)

    async def plain(self) -> Row:
        """Pods of one cluster, by its own scheduler."""
        async with following(self._site.home, PLAIN_NAMESPACE) as load:
            return await self._measure(load, "plain", 0, None)

    async def federated(self, targets: int, plain: Row) -> Row:
        """Elected pods with so many targets."""
        async with following(self._site.home, WORK_NAMESPACE) as load:
            return await self._measure(load, f"{targets} target{'s' if targets > 1 else ''}", targets, plain)

    async def _measure(self, load: Load, name: str, targets: int, plain: Row | None) -> Row:
        self._round += 1
        names, apis = numbered(f"p{self._round}", self._pods), self._site.apis
        processes = self._site.lab.directory.processes(self._site.lab.record.mark).all()
        written, asked, used, own = await writes(apis), await reads(apis), usage(processes), own_cpu_seconds()
        latencies = await load.run(names, is_elected=plain is not None, seconds=self._seconds)
        rate = self._pods / load.elapsed_seconds(names)
        spent, own = usage(processes), own_cpu_seconds() - own
        made = await settled(apis, SETTLE_SECONDS)
        questions = per_pod(await reads(apis), asked, self._pods)
        cpu = {**spent.since(used), "this benchmark": own}
        kinds = per_pod(made, written, self._pods)
        self._tell_who(name)
        await load.delete(names, seconds=self._seconds)
        cleanup = per_pod(await settled(apis, SETTLE_SECONDS), made, self._pods)
        self._tell_who(f"{name}, deleting")
        alone = await self._one_at_a_time(load, is_elected=plain is not None)
        row = Row(
            name=name,
            targets=targets,
            pods=self._pods,
            pods_per_second=rate,
            ratio_to_plain=rate / plain.pods_per_second if plain and plain.pods_per_second else 1.0,
            writes_per_pod=without_events(kinds),
            p50_seconds=percentile(latencies, 0.5),
            p99_seconds=percentile(latencies, 0.99),
            details={
                "one_pod_seconds": alone,
                "events_per_pod": events(kinds),
                "reads_per_pod": sum(questions.values()),
                "cleanup_writes_per_pod": without_events(cleanup),
                "cpu_seconds_per_pod": sum(cpu.values()) / self._pods,
                "writes_by_kind": kinds,
                "reads_by_kind": questions,
                "cleanup_by_kind": cleanup,
                "cpu_seconds_by_role": cpu,
                "memory_mb_by_role": spent.memory_mb,
            },
        )
        self.rows.append(row)
        return row

    async def _one_at_a_time(self, load: Load, *, is_elected: bool) -> float:
        latencies = []
        names = numbered(f"one{self._round}", self._alone)
        for name in names:
            latencies += await load.run([name], is_elected=is_elected, seconds=self._seconds)
            await asyncio.sleep(0.5)  # what follows Running (status, events) is not the next one's business
        await load.delete(names, seconds=self._seconds)
        await settled(self._site.apis, SETTLE_SECONDS)
        return statistics.median(latencies)

    def _tell_who(self, title: str) -> None:
        if self._audit is None:
            return
        rows = [
            {"request": kind, "who": who, "per_pod": count / self._pods}
            for (kind, who), count in sorted(self._audit.take().items(), key=lambda item: -item[1])
            if count >= self._pods / 20
        ]
        print_table(f"{title}: requests per pod by who makes them", rows, ("request", "who", "per_pod"))


async def measure(options: argparse.Namespace) -> list[Row]:
    """Bring the lab up, measure, take it down; returns the rows."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as directory:
        async with running_site(
            Path(directory),
            EngineName(options.engine),
            fake_nodes=options.nodes,
            is_audited=options.who,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        ) as site:
            measurement = Measurement(
                site, pods=options.pods, alone=options.alone, seconds=options.seconds, is_audited=options.who
            )
            await site.have_targets(options.targets[0])
            await measurement.warm_up()
            for targets in options.targets:
                await site.have_targets(targets)
                plain = await measurement.plain()
                await measurement.federated(targets, plain)
            return measurement.rows


def report(rows: Sequence[Row], engine: str) -> None:
    """Print the tables."""
    flat = [row.flat() for row in rows]
    print_table(f"Pods on engine {engine}", flat, _COLUMNS)
    _by("API writes per pod, by kind", rows, "writes_by_kind")
    _by("API writes per pod for deleting it", rows, "cleanup_by_kind")
    _by("CPU seconds in all, by role", rows, "cpu_seconds_by_role")
    _by("Memory in MB, of the largest process of a role", rows, "memory_mb_by_role")


def _by(title: str, rows: Sequence[Row], detail: str) -> None:
    columns: dict[str, Mapping[str, float]] = {}
    for row in rows:
        found = row.details[detail]
        assert isinstance(found, Mapping)
        columns[row.name] = found  # of several plain rows the last: they are alike
    kinds = dict.fromkeys(kind for found in columns.values() for kind in found)
    lines = [{"kind": kind, **{name: found.get(kind) for name, found in columns.items()}} for kind in kinds]
    lines = [line for line in lines if any(shown(value) != "0" for key, value in line.items() if key != "kind")]
    print_table(title, lines, ("kind", *columns))


def _targets(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.federate", description=__doc__)
    parser.add_argument("--engine", choices=[name.value for name in EngineName], default="kube")
    parser.add_argument("--pods", type=int, default=500, help="pods at once [500]")
    parser.add_argument("--targets", type=_targets, default=[1, 2, 3, 10], help="numbers of targets [1,2,3,10]")
    parser.add_argument("--nodes", type=int, default=50, help="fake nodes in each cluster [50]")
    parser.add_argument("--alone", type=int, default=5, help="pods one at a time, of which the median counts [5]")
    parser.add_argument("--seconds", type=float, default=300, help="how long a step may take [300]")
    parser.add_argument("--who", action="store_true", help="also say who makes which request (kube; slower)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it from the command line."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        rows = asyncio.run(measure(options))
    except (TooSlow, StartFailed) as error:
        sys.exit(f"benchmarks.federate: {error}")
    report(rows, options.engine)
    if options.json:
        write_json(options.json, "federate", rows, {"engine": options.engine})


if __name__ == "__main__":
    main()
