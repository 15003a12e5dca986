"""The programs of a simulated cluster: ours as they are wired in a real one, the lab's in place of Kubernetes' own.

A process is a coroutine that a supervisor starts again when it ends, as a kubelet or systemd would.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any

from federation.as_source import Outside, SourceRole, SourceStores
from federation.as_target import control_target
from federation.clock import Clock
from federation.controllers.connections import Service
from federation.controllers.virtual_node import VirtualNodes
from federation.extender import start_extender
from federation.kinds import CLUSTER_TARGETS, TARGETS
from federation.kube.api import Api
from federation.kube.resources import NAMESPACES
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.model.pod import ProxyPod
from federation.model.target import Target
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


async def agent(
    api: Api,
    *,
    cluster_id: str,
    name: str,
    settings: AgentSettings,
    stores: SourceStores,
    clock: Clock,
    open_target: Callable[[Target], Awaitable[Api]],
    is_source: bool,
) -> None:
    """What `federation.agent` runs on the leading replica, without its sockets."""

    async def opened(target: Target, _: str | None) -> Api:
        return await open_target(target)

    def serving(nodes: VirtualNodes, _: Store[ProxyPod]) -> Service:
        return lambda connection: nodes.serve(connection, None)

    async with api, asyncio.TaskGroup() as group:
        control_target(group, api=api, settings=settings, cluster_id=cluster_id, clock=clock)
        if is_source:
            group.create_task(follow(api, NAMESPACES, stores.namespaces))
            group.create_task(follow(api, TARGETS, stores.targets))
            group.create_task(follow(api, CLUSTER_TARGETS, stores.cluster_targets))
            role = SourceRole(
                api=api,
                settings=settings,
                stores=stores,
                cluster_name=name,
                clock=clock,
                outside=Outside("v1.37.2", opened, serving),
            )
            await role.control(group)


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
