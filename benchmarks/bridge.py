"""What a look of the bridge costs, and how long a pending job waits for its pod.

    python -m benchmarks.bridge [--jobs 2000 --projects 100 --profiles 4] [--engine kube] [--json FILE]

1. *Reading*: requests and seconds of one look, by source, while a fleet is at work. The plain way, which the others are
   compared with, asks for each project's jobs and for each pod's.
2. *Deciding*: the whole decision, beside a plain loop that only matches tags.
3. *Serving*: all jobs are pending when the bridge starts; how long from then until a watch shows each one's pod. The
   plain way is a loop that creates as many Jobs, one after the other, on an API server of the same kind.

A pod of the third part waits for ever: what it takes to run one is `benchmarks/federate.py`.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from benchmarks.bridge_site import (
    BOUNDS,
    EVERYTHING,
    NAMESPACE,
    OPTIONS,
    TOKEN,
    Size,
    cluster,
    fleet,
    gitlab_with,
    one_pod,
    registered,
)
from benchmarks.rows import Row, percentile, print_table, write_json
from bridge import runners
from bridge.cluster import Cluster
from bridge.controller import Bridge, Pace
from bridge.demand import WantedRunner, decide
from bridge.gitlab_api import GitLab
from bridge.manifests import JOB_OF_POD
from bridge.observed import Fleet, Observed, PendingJob, RunnerPod
from bridge.reading import DemandReader
from bridge.registration import Registrar
from bridge.runner_spec import Registered
from bridge.sources import GraphQL, Rest, Source
from federation.kube.api import Api, Manifest
from federation.kube.resources import JOBS, PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.plan import EngineName

READING = ("name", "pods", "requests_per_look", "share_of_plain", "seconds_per_look")
DECIDING = ("name", "pods", "milliseconds", "times_plain")
SERVING = ("name", "pods", "pods_per_second", "ratio_to_plain", "writes_per_pod", "p50_seconds", "p99_seconds")
_REPEATS = 5
_TIMEOUT_SECONDS = 600


async def reading(size: Size) -> list[Row]:
    """Measure what one look reads, by source."""
    async with gitlab_with(size) as state:
        gitlab = GitLab(state.site.url, TOKEN)
        registrations = await registered(gitlab, size)
        pods = fleet(size, state, registrations)
        paths = await gitlab.all_project_paths()
        rest, graphql = Rest(gitlab), GraphQL(gitlab, state.site.url)
        found = [
            ("plain", *await _measured(gitlab, lambda: _plain_look(gitlab, registrations, pods, paths))),
            ("rest", *await _measured(gitlab, lambda: _look(rest, registrations, pods, paths))),
            ("graphql", *await _measured(gitlab, lambda: _look(graphql, registrations, pods, paths))),
        ]
    plain_requests = found[0][1]
    return [
        Row(
            f"read by {name}",
            0,
            len(pods),
            details={
                "requests_per_look": requests,
                "share_of_plain": requests / plain_requests,
                "seconds_per_look": seconds,
            },
        )
        for name, requests, seconds in found
    ]


async def _measured(gitlab: GitLab, look: Callable[[], Awaitable[int]]) -> tuple[int, float]:
    """Requests and seconds of a second look: the first may learn what the others need not ask."""
    assert await look() > 0, "there are jobs to be found"
    requests, started = gitlab.requests_sent, time.perf_counter()
    await look()
    return gitlab.requests_sent - requests, time.perf_counter() - started


async def _plain_look(
    gitlab: GitLab, registrations: Mapping[str, Registered], pods: Sequence[RunnerPod], paths: Sequence[str]
) -> int:
    for pod in pods:
        await gitlab.is_busy(registrations[pod.profile].id, pod.system_id)
    return sum([len(await gitlab.pending_jobs(path)) for path in paths])


async def _look(
    source: Source, registrations: Mapping[str, Registered], pods: Sequence[RunnerPod], paths: Sequence[str]
) -> int:
    for profile, runner in registrations.items():
        await source.busy(runner.id, {pod.system_id for pod in pods if pod.profile == profile})
    return len(await source.pending(paths, {}))


def deciding(size: Size) -> list[Row]:
    """Measure the decision about all jobs, with no pods and with as many as are allowed."""
    profiles, now = size.made(), datetime.now(UTC)
    tags = [frozenset(profile.tags) for profile in profiles]
    pending = [
        PendingJob(number, f"root/{number % size.projects}", "job", tags[number % len(tags)])
        for number in range(1, size.jobs + 1)
    ]
    full = [one_pod(number, profiles[number % len(profiles)].name, "t") for number in range(size.jobs)]
    plain = _milliseconds(lambda: [sum(job.tags <= set(profile.tags) for job in pending) for profile in profiles])
    rows = [Row("plain loop over tags", 0, 0, details={"milliseconds": plain, "times_plain": 1.0})]
    for pods in ([], full):
        busy = frozenset(pod.system_id for pod in pods[::2])
        observed = Observed(busy, pending, Fleet(pods), {profile.name: "t" for profile in profiles})
        spent = _milliseconds(lambda: decide(profiles, observed, BOUNDS, now))  # noqa: B023  # called at once
        rows.append(Row("decision", 0, len(pods), details={"milliseconds": spent, "times_plain": spent / plain}))
    return rows


def _milliseconds(work: Callable[[], object]) -> float:
    """The best of some tries."""
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best * 1000


class Seen:
    """When a watch showed the pod of each Job first."""

    def __init__(self, api: Api) -> None:
        self._at: dict[str, float] = {}
        self._api = api
        self._store: Store[Manifest] = Store(lambda manifest: manifest)
        self._store.subscribe(lambda _key, old, new: self._note(old, new))

    def _note(self, old: Manifest | None, new: Manifest | None) -> None:
        if old is None and new is not None:
            self._at.setdefault(new["metadata"]["labels"].get(JOB_OF_POD, ""), time.perf_counter())

    async def wait(self, count: int, started: float, work: Coroutine[object, object, object]) -> list[float]:
        """Do the work, or until that many pods are there; seconds from the start to each, in order."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(follow(self._api, PODS, self._store, namespace=NAMESPACE))
            working = tasks.create_task(work)
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while len(self._at) < count:  # noqa: ASYNC110  # nobody says that the last one came
                    await asyncio.sleep(0.02)
            watching.cancel()
            working.cancel()
        return sorted(at - started for at in self._at.values())


async def serving(size: Size, engine: EngineName) -> list[Row]:
    """Measure how long pods take to come, made by a plain loop and by the bridge, on clusters of their own."""
    async with cluster(engine) as lab:
        started = time.perf_counter()
        seen = await Seen(lab.api()).wait(size.jobs, started, _plain_jobs(lab.api(), size))
    plain = _served("Jobs by a plain loop", seen)
    async with cluster(engine) as lab, gitlab_with(size) as state:
        started = time.perf_counter()
        seen = await Seen(lab.api()).wait(size.jobs, started, _bridge(lab.api(), state.site.url, size).run())
    served = _served("pending job to pod", seen)
    assert plain.pods_per_second
    assert served.pods_per_second
    return [
        replace(plain, ratio_to_plain=1.0),
        replace(served, ratio_to_plain=served.pods_per_second / plain.pods_per_second),
    ]


async def _plain_jobs(api: Api, size: Size) -> None:
    profiles = size.made()
    for number in range(size.jobs):
        job = PendingJob(number + 1, "root/project", "job", frozenset())
        await api.create(JOBS, runners.job(OPTIONS, WantedRunner(profiles[number % len(profiles)], job, 0), "f"))


def _bridge(api: Api, url: str, size: Size) -> Bridge:
    home, gitlab = Cluster(api, NAMESPACE, "isthmus"), GitLab(url, TOKEN)
    return Bridge(
        gitlab=gitlab,
        demand_reader=DemandReader(gitlab, EVERYTHING, lambda: datetime.now(UTC), url=url),
        cluster=home,
        registrar=Registrar(gitlab, home, OPTIONS, scope="instance", runner_url=url, version="0"),
        profiles=size.made(),
        options=OPTIONS,
        bounds=BOUNDS,
        pace=Pace(1.0, timedelta(minutes=20)),
    )


def _served(name: str, seconds: Sequence[float]) -> Row:
    rate = len(seconds) / seconds[-1]
    # The Job is the one write of ours; its controller's are Kubernetes' own.
    return Row(name, 1, len(seconds), rate, None, 1.0, percentile(seconds, 0.5), percentile(seconds, 0.99))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all three parts and show what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--projects", type=int, default=100)
    parser.add_argument("--profiles", type=int, default=4)
    parser.add_argument("--at-work", type=int, default=80, help="pods of the fleet while reading; half of them busy")
    parser.add_argument("--engine", type=EngineName, default=EngineName.EMBEDDED, choices=list(EngineName))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    logger.remove()
    size = Size(chosen.jobs, chosen.projects, chosen.profiles, chosen.at_work)
    facts = {"jobs": size.jobs, "projects": size.projects, "profiles": size.profiles, "engine": chosen.engine.value}
    parts = (
        ("Reading: one look", READING, asyncio.run(reading(size))),
        ("Deciding", DECIDING, deciding(size)),
        ("Serving", SERVING, asyncio.run(serving(size, chosen.engine))),
    )
    print(f"{size.jobs} pending jobs, {size.projects} projects, {size.profiles} profiles, engine {chosen.engine.value}")
    for title, columns, rows in parts:
        print_table(title, [row.flat() for row in rows], columns)
    if chosen.json:
        write_json(chosen.json, "bridge", [row for _, _, rows in parts for row in rows], facts)


if __name__ == "__main__":
    main()
