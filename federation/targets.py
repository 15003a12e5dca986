"""Wires what a source keeps of its Targets: connections, what may be believed of them, their status and their end."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from federation.clock import Clock
from federation.controllers.census import Census
from federation.controllers.connection import PULSE_SECONDS, Connection
from federation.controllers.connections import Connections, OpenTarget, Service
from federation.controllers.ending import TargetEndings
from federation.controllers.left_behind import LostTargets
from federation.controllers.outlook import Outlook
from federation.controllers.target_status import TargetStatus
from federation.controllers.waking import Waking
from federation.kube.api import Api
from federation.kube.store import Key, Store
from federation.kube.workqueue import MayWork, Workqueue, always, run_all
from federation.model.pod import ProxyPod
from federation.model.scheduling import SchedulingNode
from federation.model.target import Target
from federation.settings import AgentSettings


class KeptTargets:
    """All Targets of a source. `waking` has proxies looked at, `wake_node` one virtual node."""

    def __init__(
        self,
        *,
        api: Api,
        settings: AgentSettings,
        cluster_name: str,
        clock: Clock,
        targets: list[Store[Target]],
        pods: Store[ProxyPod],
        nodes: Store[SchedulingNode],
        service: Service,
        open_target: OpenTarget,
        waking: Waking,
        wake_node: Callable[[str], None],
        pulse_seconds: float = PULSE_SECONDS,
    ) -> None:
        self._targets = targets
        self._pods = pods
        self.on_connected: Callable[[Connection], None] = lambda _: None
        self.on_wake: Callable[[Target], None] = lambda _: (
            None
        )  # a target ends or is given up: look at what else is there
        self._waking = waking
        self._wake_node = wake_node
        lost_after = timedelta(seconds=settings.target_lost_seconds)
        self.connections = Connections(
            api=api,
            cluster_name=cluster_name,
            targets=targets,
            clock=clock,
            service=service,
            open_target=open_target,
            pulse_seconds=pulse_seconds,
        )
        self._census = Census(pods, clock)
        self.outlook = Outlook(connections=self.connections, census=self._census, clock=clock, lost_after=lost_after)
        self._lost = LostTargets(api=api, namespace=settings.namespace, pods=pods, targets=targets, clock=clock)
        self.endings = TargetEndings(
            api=api,
            targets=targets,
            pods=pods,
            nodes=nodes,
            outlook=self.outlook,
            lost=self._lost,
            clock=clock,
            lost_after=lost_after,
            wake=self._wake,
        )
        status = TargetStatus(
            api=api,
            targets=targets,
            outlook=self.outlook,
            clock=clock,
            problems=self.connections.problems,
            remains=self.endings.remains,
            leave_behind=self._lost.put_on_record,
            endpoint_cidrs=settings.endpoint_cidrs,
        )
        # One key for each target, and no bound: a target that does not answer keeps no other waiting (rule F4).
        self._links: Workqueue[Key] = Workqueue("targets", self.connections.reconcile, workers=None)
        self._told: Workqueue[Key] = Workqueue(
            "target status", status.reconcile, workers=None, everything=lambda: self._add_all(self._told)
        )
        self._ending: Workqueue[Key] = Workqueue(
            "target ending", self.endings.reconcile, workers=None, everything=lambda: self._add_all(self._ending)
        )
        self._cleared: Workqueue[Key] = Workqueue(
            "lost targets", self._clear, workers=None, everything=self._clear_everywhere
        )
        api.on_back += [queue.retry_failed for queue in (self._links, self._told, self._ending, self._cleared)]
        self._connect_events()

    def _connect_events(self) -> None:
        self.outlook.is_recorded = self._lost.is_recorded
        self._lost.on_record = self._clear_everywhere
        self._census.on_doubt = self._on_doubt
        self.connections.add = self._links.add
        self.connections.on_problem = self._tell
        self.connections.on_secret = self._ending.add
        self.connections.on_connected = self._on_connected
        for store in self._targets:
            for queue in (self._links, self._told, self._ending):
                store.subscribe(lambda key, old, new, queue=queue: queue.add(key))  # type: ignore[misc]  # bound early

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Keep the connections in `group`, on every replica: they only read."""
        group.create_task(self.connections.run())
        group.create_task(self._links.run())

    async def lead(self, may_work: MayWork = always) -> None:
        """Write what is to be written for Targets, until cancelled; what an earlier term taught is forgotten (M9)."""
        self.outlook.begin_term()
        self.endings.begin_term()
        self._lost.begin_term()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.connections.lead(may_work))
            group.create_task(run_all((self._told, self._ending, self._cleared), may_work))

    def _add_all(self, queue: Workqueue[Key]) -> None:
        for store in self._targets:
            store.tell(lambda key, old, new: queue.add(key))

    def _tell(self, key: Key) -> None:
        for queue in (self._told, self._ending, self._cleared):
            queue.add(key)

    def _on_connected(self, connection: Connection) -> None:
        """Look at a proxy again whenever its chaperon in this target, or the target's pulse, changes."""
        self._census.follow(connection)

        def on_change() -> None:
            self._wake_pods(connection.target)
            self._tell(connection.target.key)

        connection.chaperons.subscribe(self._waking.on_chaperon)
        connection.on_change = on_change
        self.on_connected(connection)

    def _on_doubt(self, node: str) -> None:
        for target in (target for store in self._targets for target in store.values()):
            if target.node_name == node:
                self._told.add(target.key)
                self._wake_pods(target)

    def _wake(self, target: Target) -> None:
        """Have a target's node, all proxies that it serves and all parents of its chaperons looked at."""
        self._wake_node(target.node_name)
        self._wake_pods(target)
        self.on_wake(target)
        connection = self.connections.get(target.key)
        for chaperon in connection.chaperons.values() if connection is not None else ():
            self._waking.both((chaperon.parent_namespace, chaperon.parent_name))

    def _wake_pods(self, target: Target) -> None:
        for pod in self._pods.values():
            if target.serves(pod.namespace):
                self._waking.both((pod.namespace, pod.name))

    def _clear_everywhere(self) -> None:
        for connection in self.connections.current():
            self._cleared.add(connection.target.key)

    async def _clear(self, key: Key) -> float | None:
        connection = self.connections.get(key)
        return await self._lost.clear(connection) if connection is not None else None
