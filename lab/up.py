"""Brings a lab up: clusters and services side by side, then what spans them.

`up` returns when everything is ready and leaves the processes running, belonging to nobody. When it fails or is broken
off, it ends what it started and leaves the directory with the logs; `down` removes that, or the next `up` does.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace

from federation.kube.api import connect
from lab.construction import Cluster, Construction, Report
from lab.directory import LabBusy, LabDirectory, LabRecord, NoLab
from lab.down import end_processes
from lab.engines.control_plane import Site, start_control_plane
from lab.engines.engine import load_engine, missing_parts
from lab.identities import Identities
from lab.parts import bridge, fake_nodes, federation, gitlab, nodes
from lab.plan import ClusterPlan, Component, LabPlan
from lab.waiting import StartFailed, ended


async def up(plan: LabPlan, report: Report = lambda _: None) -> LabRecord:
    """Start the lab and return its record when it is ready; raises StartFailed, LabBusy, NoLab."""
    if missing := missing_parts(plan.engine) or fake_nodes.missing(plan):
        raise StartFailed(missing)
    directory = LabDirectory(plan.directory.absolute())
    directory.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with directory.locked():
        _clear(directory)
        record = directory.create(plan)
        processes = directory.processes(record.mark)
        lab = Construction(plan, directory, record, load_engine(plan.engine), processes, _timed(report))
        try:
            async with AsyncExitStack() as clients:
                await _start(lab, clients)
        except BaseException as error:
            # Also on Ctrl-C: nothing may go on running that nobody waits for.
            await asyncio.shield(end_processes(processes))
            raise _first(error) from error
        directory.write(record := replace(lab.record, is_ready=True))
        lab.report("ready")
        return record


async def _start(lab: Construction, clients: AsyncExitStack) -> None:
    names = ", ".join(cluster.name for cluster in lab.plan.clusters)
    lab.report(f"starting on engine {lab.plan.engine}: {names}")
    async with asyncio.TaskGroup() as group:
        for cluster in lab.plan.clusters:
            group.create_task(_start_cluster(lab, cluster, clients))
        if lab.has(Component.GITLAB):
            group.create_task(gitlab.start_gitlab_and_registry(lab))
    async with asyncio.TaskGroup() as group:
        if lab.has(Component.FEDERATION):
            group.create_task(federation.join(lab))
        if lab.has(Component.BRIDGE):
            group.create_task(bridge.start_bridge(lab))
    for process in lab.processes.all():
        if not process.is_alive():
            raise ended(process)


async def _start_cluster(lab: Construction, plan: ClusterPlan, clients: AsyncExitStack) -> None:
    name, directory = plan.name, lab.directory.cluster(plan.name)
    identities = Identities(name, directory / "keys")
    admin = lab.directory.kubeconfig(name)
    flags = tuple(flag.replace("{directory}", str(directory)) for flag in lab.plan.api_server_flags)
    engine = replace(lab.engine, api_server_extra=(*lab.engine.api_server_extra, *flags))
    site = Site(name, directory, admin, engine, identities, lab.processes)
    url = await start_control_plane(site, federation.kinds() if lab.has(Component.FEDERATION) else ())
    lab.report(f"{name}: control plane ready at {url}")
    api = await clients.enter_async_context(await connect(admin))
    cluster = lab.clusters[name] = Cluster(plan, directory, url, identities, api)
    async with asyncio.TaskGroup() as group:
        start = fake_nodes.start_fake_nodes if plan.fake_nodes else nodes.start_nodes
        group.create_task(start(lab, cluster))
        if lab.has(Component.FEDERATION):
            group.create_task(federation.start_in_cluster(lab, cluster))


def _clear(directory: LabDirectory) -> None:
    """Make room for a new lab: remove a dead one, refuse a living one and anything that is no lab."""
    if not directory.record_path.exists():
        if any(directory.root.iterdir()):
            raise NoLab(f"{directory.root} is not empty and no lab's directory: choose another --dir")
        return
    processes = directory.processes(directory.read().mark)
    if any(process.is_alive() for process in processes.all()) or processes.unrecorded():
        raise LabBusy(f"a lab already runs in {directory.root} (end it: isthmus lab down --dir {directory.root})")
    directory.empty()


def _timed(report: Report) -> Report:
    started = time.monotonic()
    return lambda line: report(f"{time.monotonic() - started:5.1f} s  {line}")


def _first(error: BaseException) -> BaseException:
    """The first error of a group: the others are its consequences, or the same in another cluster."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
