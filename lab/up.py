"""Brings a lab up: cluster by cluster side by side, then what runs across them, in the order of `Component`.

`up` returns when everything is ready and leaves the processes running, belonging to nobody. When it fails or is broken
off, it ends what it started and leaves the directory with the logs; `down` removes that, or the next `up` does.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.directory import LabBusy, LabDirectory, LabRecord, NoLab
from lab.down import end_processes
from lab.engines.control_plane import Site, start_control_plane
from lab.engines.engine import Engine, load_engine, missing_parts
from lab.identities import Identities
from lab.plan import LabPlan
from lab.processes import ProcessTable
from lab.waiting import StartFailed

Report = Callable[[str], None]


@dataclass(slots=True)
class Cluster:
    """A cluster that has been started: where it answers and who can sign certificates for it."""

    name: str
    site: Site
    url: str


@dataclass(slots=True)
class Lab:
    """A lab while it is brought up: what later parts need to know of earlier ones."""

    plan: LabPlan
    directory: LabDirectory
    record: LabRecord
    engine: Engine
    processes: ProcessTable
    clusters: dict[str, Cluster]


async def up(plan: LabPlan, report: Report = lambda _: None) -> LabRecord:
    """Start the lab and return its record when it is ready; raises StartFailed, LabBusy, NoLab."""
    started = time.monotonic()

    def timed(line: str) -> None:
        report(f"{time.monotonic() - started:5.1f} s  {line}")

    if missing := missing_parts(plan.engine):
        raise StartFailed(missing)
    directory = LabDirectory(plan.directory.absolute())
    directory.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with directory.locked():
        await _clear(directory)
        record = directory.create(plan)
        processes = directory.processes(record.mark)
        lab = Lab(plan, directory, record, load_engine(plan.engine), processes, {})
        try:
            await _start(lab, timed)
        except BaseException as error:
            # Also on Ctrl-C: nothing may go on running that nobody waits for.
            await asyncio.shield(end_processes(processes))
            raise _only(error) from error
        directory.write(record := replace(lab.record, is_ready=True))
        return record


async def _clear(directory: LabDirectory) -> None:
    """Make room for a new lab: remove a dead one, refuse a living one and anything that is no lab."""
    if not directory.record_path.exists():
        if any(directory.root.iterdir()):
            raise NoLab(f"{directory.root} is not empty and no lab's directory: choose another --dir")
        return
    processes = directory.processes(directory.read().mark)
    if any(process.is_alive() for process in processes.all()) or processes.unrecorded():
        raise LabBusy(f"a lab already runs in {directory.root} (end it: isthmus lab down --dir {directory.root})")
    directory.empty()


async def _start(lab: Lab, report: Report) -> None:
    names = ", ".join(cluster.name for cluster in lab.plan.clusters)
    report(f"starting {len(lab.plan.clusters)} clusters on engine {lab.plan.engine}: {names}")
    async with asyncio.TaskGroup() as group:
        for cluster in lab.plan.clusters:
            group.create_task(_start_cluster(lab, cluster.name, report))


async def _start_cluster(lab: Lab, name: str, report: Report) -> None:
    directory = lab.directory.cluster(name)
    identities = Identities(name, directory / "keys")
    site = Site(name, directory, lab.directory.kubeconfig(name), lab.engine, identities, lab.processes)
    url = await start_control_plane(site)
    lab.clusters[name] = Cluster(name, site, url)
    report(f"{name}: control plane ready at {url}")


def _only(error: BaseException) -> BaseException:
    """The first error of a group: the others are its consequences or the same thing in another cluster."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
