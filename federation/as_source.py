"""Wires what an agent does for its cluster as a *source*: connections, virtual nodes, placement, feedback."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import orjson
from loguru import logger

from federation import names
from federation.clock import Clock
from federation.controllers.connection import PULSE_SECONDS, Connection
from federation.controllers.connections import OpenTarget, Service, client_for
from federation.controllers.experience import Experience
from federation.controllers.feedback import Feedback
from federation.controllers.placement import Placement
from federation.controllers.proxies import proxy_store
from federation.controllers.renewal import Renewals
from federation.controllers.unused import Unused
from federation.controllers.virtual_node import VirtualNodes
from federation.controllers.waking import Waking
from federation.decisions.ending import Stage
from federation.decisions.node_policy import node_policy
from federation.decisions.travelling import matcher
from federation.kinds import CLUSTER_TARGETS, TARGETS
from federation.kube.api import Api, connect
from federation.kube.resources import NAMESPACES, NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import MayWork, Workqueue, always, run_all
from federation.model.pod import ProxyPod
from federation.model.scheduling import SchedulingNode, parse_scheduling_node
from federation.model.target import Target, parse_target
from federation.settings import AgentSettings
from federation.targets import KeptTargets
from federation.virtual_kubelet import VirtualKubelet, client_ca
from federation.what_follows import WhatFollows

_NODES = f"{names.PROVIDER_KEY}={names.PROVIDER}"


def _is_labelled(manifest: dict[str, object]) -> bool | None:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    labels = metadata.get("labels") or {}
    return True if labels.get(names.NAMESPACE_LABEL) == names.NAMESPACE_LABEL_VALUE else None


@dataclass(frozen=True, slots=True)
class SourceStores:
    """What every replica follows, because admission needs it too."""

    namespaces: Store[bool] = field(default_factory=lambda: Store(_is_labelled))
    targets: Store[Target] = field(default_factory=lambda: Store(parse_target))
    cluster_targets: Store[Target] = field(default_factory=lambda: Store(parse_target))

    def follow(self, group: asyncio.TaskGroup, api: Api) -> None:
        """Keep them current in `group`."""
        group.create_task(follow(api, NAMESPACES, self.namespaces))
        group.create_task(follow(api, TARGETS, self.targets))
        group.create_task(follow(api, CLUSTER_TARGETS, self.cluster_targets))

    def all_targets(self) -> list[Target]:
        """Return the targets of both kinds."""
        return [*self.targets.values(), *self.cluster_targets.values()]

    def finalizers_for(self, namespace: str) -> list[str]:
        """Return the finalizers that a proxy in a namespace begins with: those of the targets that serve it."""
        served = (target for target in self.all_targets() if target.serves(namespace) and not target.is_going)
        return sorted(target.finalizer for target in served)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a source reaches and serves beyond its own API server, whose version its virtual nodes show.

    `serving` returns what runs beside each connection: the virtual node, and the gateway to its pods.
    """

    kubelet_version: str
    open_target: OpenTarget
    serving: Callable[[VirtualNodes, Store[ProxyPod]], Service]


async def outside(api: Api, settings: AgentSettings, clock: Clock) -> Outside:
    """Return targets by their kubeconfigs, and a gateway on sockets."""
    version: dict[str, str] = orjson.loads((await api.request("GET", "/version")).body)
    authority = await client_ca(api)

    async def open_target(target: Target, text: str | None) -> Api:
        if target.is_self:
            return await connect(settings.kubeconfig, settings.context)
        return await client_for(text, target, settings.dialled, settings.of_strangers)

    def serving(nodes: VirtualNodes, pods: Store[ProxyPod]) -> Service:
        kubelet = VirtualKubelet(
            api=api, nodes=nodes, pods=pods, clock=clock, address=settings.gateway_address, client_ca_pem=authority
        )
        return kubelet.serve

    return Outside(version["gitVersion"], open_target, serving)


class SourceRole:
    """The controllers of a source: virtual nodes, placement and feedback.

    Every replica follows all that they need, targets and their chaperons included, and serves the gateway; the one that
    leads works. It begins with everything there is, and with nothing that an earlier term taught (rule M9).
    """

    def __init__(
        self,
        *,
        api: Api,
        settings: AgentSettings,
        stores: SourceStores,
        cluster_name: str,
        clock: Clock,
        outside: Outside,
        pulse_seconds: float = PULSE_SECONDS,
    ) -> None:
        self._api = api
        self._settings = settings
        self._stores = stores
        self._pods = proxy_store()
        self._nodes: Store[SchedulingNode] = Store(parse_scheduling_node)
        self._virtual_nodes = VirtualNodes(
            api=api,
            pods=self._pods,
            stage=self._stage,
            clock=clock,
            kubelet_version=outside.kubelet_version,
            policy=node_policy(settings.node_labels, settings.node_capacity_max),
        )
        self._waking = Waking(self._place, self._go_on, self._feed_back)
        self._kept = KeptTargets(
            api=api,
            settings=settings,
            cluster_name=cluster_name,
            clock=clock,
            targets=[stores.targets, stores.cluster_targets],
            pods=self._pods,
            nodes=self._nodes,
            service=outside.serving(self._virtual_nodes, self._pods),
            open_target=outside.open_target,
            waking=self._waking,
            wake_node=self._virtual_nodes.queue.add,
            pulse_seconds=pulse_seconds,
        )
        self._experience = Experience(clock)
        self._unused = Unused()
        placement = Placement(
            api=api,
            cluster_name=cluster_name,
            pods=self._pods,
            nodes=self._nodes,
            is_labelled=self._is_labelled,
            targets=stores.all_targets,
            outlook=self._kept.outlook,
            experience=self._experience,
            unused=self._unused,
            clock=clock,
            no_room_after=timedelta(seconds=settings.no_room_seconds),
            own_config_names=settings.own_configs,
        )
        connections = self._kept.connections.current
        feedback = Feedback(
            api=api, pods=self._pods, connections=connections, clock=clock, endpoint_cidrs=settings.endpoint_cidrs
        )
        renewals = Renewals(api=api, connections=connections, clock=clock)
        workers = settings.workers
        self._places: Workqueue[Key] = Workqueue(
            "placement", placement.reconcile, workers=workers, everything=self._look_at_all
        )
        self._experience.wake = self._places.add
        placement.writes.again = self._go_on
        self._statuses: Workqueue[Key] = Workqueue(
            "feedback", feedback.reconcile, workers=workers, everything=self._look_at_all
        )
        self._renewed: Workqueue[Key] = Workqueue(
            "renewals", renewals.reconcile, workers=None, everything=self._renew_all
        )
        api.on_back += [queue.retry_failed for queue in (self._places, self._statuses, self._renewed)]
        self._follows = WhatFollows(
            api=api,
            cluster_name=cluster_name,
            clock=clock,
            pods=self._pods,
            targets=self._kept_targets,
            trouble=self._kept.outlook.trouble,
            connections=connections,
            is_labelled=self._is_labelled,
            is_let_out=matcher(settings.followed_annotations.split(",")),
            workers=settings.workers,
            own_config_names=settings.own_configs,
            go_on=self._go_on,
        )
        self._has_read = asyncio.Event()
        self._connect_targets()
        self._connect_proxies()

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Follow in `group` what is needed to lead at any moment; writes nothing but what the gateway needs."""
        self._kept.follow(group)
        self._follows.follow(group)
        group.create_task(self._virtual_nodes.follow())
        group.create_task(follow(self._api, PODS, self._pods, label_selector=names.HAS_FINALIZER))
        group.create_task(follow(self._api, NODES, self._nodes, label_selector=_NODES))
        group.create_task(self._read_first())

    async def lead(self, may_work: MayWork = always) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._virtual_nodes.lead(may_work))
                group.create_task(self._kept.lead(may_work))
                group.create_task(self._renewed.run(may_work))
                await self._has_read.wait()
                self._experience.begin_term()
                group.create_task(run_all((self._places, self._statuses, self._experience.queue), may_work))
                group.create_task(self._follows.lead(may_work))
        finally:
            self._experience.end_term()

    def _stage(self, node: str) -> Stage:
        return self._kept.endings.stage(node)

    def _place(self, key: Key) -> None:
        self._places.add(key)

    def _go_on(self, key: Key, after: float = 0.0) -> None:
        self._places.add(key, after=after, is_begun=True)

    def _feed_back(self, key: Key) -> None:
        self._statuses.add(key)

    def _kept_targets(self) -> list[Target]:
        return [target for target in self._stores.all_targets() if not self._kept.outlook.is_lost(target)]

    def _connect_targets(self) -> None:
        """Say whom a change of a target concerns."""
        follows = self._follows

        def on_connected(connection: Connection) -> None:
            self._experience.follow_target(connection)
            self._unused.follow(connection)
            self._renewed.add(connection.target.key)
            follows.wake_by(connection)

        self._kept.on_connected = on_connected
        self._kept.on_wake = lambda target: follows.look_at_all(target.namespace)
        self._kept.endings.also_held = follows.held_by
        for store in (self._stores.targets, self._stores.cluster_targets):
            store.subscribe(lambda key, old, new: follows.look_at_all(key[0]) if old != new else None)

    def _connect_proxies(self) -> None:
        """Say whom a change of a proxy, a virtual node or a namespace concerns."""

        def on_node(key: Key, old: SchedulingNode | None, new: SchedulingNode | None) -> None:
            self._experience.on_node(key[1], old, new)
            if old is None or new is None or replace(old, allocatable=new.allocatable) != new:
                _add_unbound(self._pods, self._places.add)

        self._pods.subscribe(self._waking.on_pod)
        self._nodes.subscribe(on_node)
        self._experience.follow_pods(self._pods)
        self._stores.namespaces.subscribe(lambda key, old, new: _add_all(self._pods, self._places.add, key[1]))
        self._stores.namespaces.subscribe(lambda key, old, new: self._follows.look_at_all(key[1]))

    def _look_at_all(self) -> None:
        """Have all proxies looked at, and all parents of chaperons; a queue that nobody works on takes no part."""
        self._pods.tell(self._waking.on_pod)
        for connection in self._kept.connections.current():
            connection.chaperons.tell(self._waking.on_chaperon)

    def _renew_all(self) -> None:
        for connection in self._kept.connections.current():
            self._renewed.add(connection.target.key)

    async def _read_first(self) -> None:
        """Place nothing before every reachable target has been listed (rule S5), or the time for it is up."""
        connections = self._kept.connections
        await asyncio.gather(
            self._pods.synced.wait(),
            self._nodes.synced.wait(),
            self._stores.namespaces.synced.wait(),
            self._stores.targets.synced.wait(),
            self._stores.cluster_targets.synced.wait(),
        )
        expected = len(self._stores.targets) + len(self._stores.cluster_targets)

        async def settled() -> None:
            while len(connections.current()) + len(connections.problems) < expected:  # noqa: ASYNC110  # once, at start
                await asyncio.sleep(0.05)
            for connection in connections.current():
                await connection.has_answered.wait()
                if connection.pulse.is_reachable:
                    await connection.chaperons.synced.wait()

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.start_wait_seconds):
                await settled()
        logger.info("all is read that is needed to lead")
        self._has_read.set()

    def _is_labelled(self, namespace: str) -> bool:
        return bool(self._stores.namespaces.get("", namespace))


def _add_unbound(pods: Store[ProxyPod], add: Callable[[Key], None]) -> None:
    for pod in pods.values():
        if not pod.node_name:
            add((pod.namespace, pod.name))


def _add_all(pods: Store[ProxyPod], add: Callable[[Key], None], namespace: str) -> None:
    for pod in pods.values():
        if namespace in ("", pod.namespace):
            add((pod.namespace, pod.name))
