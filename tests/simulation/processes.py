"""The programs of a simulated cluster: ours as they are wired in a real one, the lab's in place of Kubernetes' own.

A process is a coroutine that a supervisor starts again when it ends, as a kubelet or systemd would.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from federation.as_source import Outside, SourceRole, SourceStores
from federation.clock import Clock
from federation.controllers.connection import PULSE_SECONDS
from federation.controllers.connections import OpenTarget, Service
from federation.controllers.virtual_node import VirtualNodes
from federation.extender import start_extender
from federation.kube.api import Api
from federation.kube.store import Store
from federation.model.pod import ProxyPod
from federation.reservation.extender import BindRequest
from federation.settings import AgentSettings, ExtenderSettings
from lab.scheduler.cluster import Cluster as SchedulerCluster
from lab.scheduler.configuration import ExtenderConfiguration
from lab.scheduler.extender import Extender, ExtenderError
from lab.scheduler.model import Pod
from lab.scheduler.reports import Reports
from lab.scheduler.scheduler import Scheduler

Program = Callable[[], Coroutine[Any, Any, None]]
_RESTART_SECONDS = 5.0


class Process:
    """A program that is kept running. `kill` ends it like kill -9: nothing that it does comes after."""

    def __init__(self, program: Program, random: Random) -> None:
        self._program = program
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self.kills = 0

    async def run(self) -> None:
        """Start it, again and again, until cancelled."""
        while True:
            self._task = asyncio.create_task(self._program())
            try:
                await asyncio.shield(self._task)
            except asyncio.CancelledError:
                self._task.cancel()
                await asyncio.wait([self._task])
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            await asyncio.sleep(self._random.random() * _RESTART_SECONDS)

    def kill(self) -> None:
        """End it now."""
        if self._task is not None and not self._task.done():
            self.kills += 1
            self._task.cancel()


async def source(
    group: asyncio.TaskGroup,
    api: Api,
    *,
    name: str,
    settings: AgentSettings,
    stores: SourceStores,
    clock: Clock,
    open_target: OpenTarget,
    pulse_seconds: float = PULSE_SECONDS,
) -> None:
    """Start in `group` what an agent starts for a source, but for gateway and admission."""

    def serving(nodes: VirtualNodes, _: Store[ProxyPod]) -> Service:
        return lambda connection: nodes.serve(connection, None)

    stores.follow(group, api)
    role = SourceRole(
        api=api,
        settings=settings,
        stores=stores,
        cluster_name=name,
        clock=clock,
        outside=Outside("v1.37.2", open_target, serving),
        pulse_seconds=pulse_seconds,
    )
    role.follow(group)
    group.create_task(role.lead())


async def scheduler(api: Api, profile: str, clock: Clock, extenders: "list[HeldInMemory]") -> None:
    """A kube-scheduler with one profile: the embedded one."""
    seconds = asyncio.get_running_loop().time
    async with api:
        cluster = SchedulerCluster([profile], seconds)
        await Scheduler(api, cluster, extenders, Reports(api, clock), seconds).run()


class HeldInMemory(Extender):
    """The scheduler's way to our extender, without a socket. `serve` is None while that is down."""

    def __init__(self) -> None:
        self.configuration = ExtenderConfiguration(urlPrefix="http://extender", bindVerb="bind", httpTimeout=120)
        self.serve: Callable[[BindRequest], asyncio.Task[str]] | None = None

    async def bind(self, pod: Pod, node: str) -> None:
        """See Extender: the call ends when the scheduler hangs up, and fails when the extender dies meanwhile."""
        if self.serve is None:
            raise ExtenderError("connection refused")
        namespace, name = pod.key
        serving = self.serve(BindRequest(name, namespace, pod.uid, node))
        try:
            done, _ = await asyncio.wait([serving], timeout=self.configuration.http_timeout_seconds)
        finally:
            serving.cancel()
        if not done:
            raise ExtenderError("context deadline exceeded")
        if serving.cancelled() or serving.exception():
            raise ExtenderError("EOF")
        if answer := serving.result():
            raise ExtenderError(answer)


async def extender(api: Api, held: HeldInMemory, settings: ExtenderSettings) -> None:
    """What `isthmus extender` runs, without its socket."""
    tasks: dict[asyncio.Task[str], None] = {}

    async with api, asyncio.TaskGroup() as group:
        served = await start_extender(group, api, settings)

        def serve(request: BindRequest) -> asyncio.Task[str]:
            task = asyncio.create_task(served.bind(request))
            tasks[task] = None
            task.add_done_callback(lambda done: tasks.pop(done, None))
            return task

        held.serve = serve
        try:
            await asyncio.Event().wait()
        finally:
            held.serve = None
            for task in tuple(tasks):
                task.cancel()
