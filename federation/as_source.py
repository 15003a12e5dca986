"""Wires what an agent does for its cluster as a *source*: connections, virtual nodes, placement, feedback."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import orjson

from federation import names
from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.controllers.connections import Connections
from federation.controllers.experience import Experience
from federation.controllers.feedback import Feedback
from federation.controllers.placement import Placement
from federation.controllers.proxies import proxy_store
from federation.controllers.renewal import Renewals
from federation.controllers.virtual_node import VirtualNodes
from federation.controllers.waking import Waking
from federation.decisions.ending import Stage
from federation.kube.api import Api, connect
from federation.kube.resources import NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
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

    def all_targets(self) -> list[Target]:
        """Return the targets of both kinds."""
        return [*self.targets.values(), *self.cluster_targets.values()]


class SourceRole:
    """The controllers of a source, to be started on the replica that leads."""

    def __init__(
        self, *, api: Api, settings: AgentSettings, stores: SourceStores, cluster_name: str, clock: Clock
    ) -> None:
        self._api = api
        self._settings = settings
        self._stores = stores
        self._cluster_name = cluster_name
        self._clock = clock

    async def control(self, group: asyncio.TaskGroup) -> None:
        """Start the controllers of a source in `group`: connections to targets, placement and feedback of proxies."""
        pods = proxy_store()
        nodes: Store[SchedulingNode] = Store(parse_scheduling_node)

        def stage(node: str) -> Stage:
            return kept.endings.stage(node)

        def place(key: Key) -> None:
            places.add(key)

        def feed_back(key: Key) -> None:
            statuses.add(key)

        waking = Waking(place, feed_back)
        virtual_nodes = VirtualNodes(
            api=self._api,
            pods=pods,
            stage=stage,
            clock=self._clock,
            kubelet_version=await self._version(),
        )
        kubelet = VirtualKubelet(
            api=self._api,
            nodes=virtual_nodes,
            pods=pods,
            clock=self._clock,
            address=self._settings.gateway_address,
            client_ca_pem=await client_ca(self._api),
        )
        kept = KeptTargets(
            api=self._api,
            settings=self._settings,
            cluster_name=self._cluster_name,
            clock=self._clock,
            targets=[self._stores.targets, self._stores.cluster_targets],
            pods=pods,
            nodes=nodes,
            service=kubelet.serve,
            self_api=lambda: connect(self._settings.kubeconfig, self._settings.context),
            waking=waking,
            wake_node=virtual_nodes.queue.add,
        )
        experience = Experience(self._clock)
        placement = Placement(
            api=self._api,
            cluster_name=self._cluster_name,
            pods=pods,
            nodes=nodes,
            is_labelled=self._is_labelled,
            targets=self._stores.all_targets,
            outlook=kept.outlook,
            experience=experience,
            clock=self._clock,
            no_room_after=timedelta(seconds=self._settings.no_room_seconds),
        )
        feedback = Feedback(api=self._api, pods=pods, connections=kept.connections.current)
        places: Workqueue[Key] = Workqueue("placement", placement.reconcile, workers=self._settings.workers)
        statuses: Workqueue[Key] = Workqueue("feedback", feedback.reconcile, workers=self._settings.workers)
        experience.wake = places.add
        renewals = Renewals(api=self._api, connections=kept.connections.current, clock=self._clock)
        renewed: Workqueue[Key] = Workqueue("renewals", renewals.reconcile)

        follows = WhatFollows(
            api=self._api,
            cluster_name=self._cluster_name,
            clock=self._clock,
            pods=pods,
            targets=lambda: [target for target in self._stores.all_targets() if not kept.outlook.is_lost(target)],
            trouble=kept.outlook.trouble,
            connections=kept.connections.current,
            is_labelled=self._is_labelled,
            workers=self._settings.workers,
        )

        def on_connected(connection: Connection) -> None:
            experience.follow_target(connection)
            renewed.add(connection.target.key)
            follows.wake_by(connection)

        kept.on_connected = on_connected
        kept.on_wake = lambda target: follows.look_at_all(target.namespace)
        kept.endings.also_held = follows.held_by
        for store in (self._stores.targets, self._stores.cluster_targets):
            store.subscribe(lambda key, old, new: follows.look_at_all(key[0]) if old != new else None)
        group.create_task(virtual_nodes.run())
        kept.start(group)
        group.create_task(renewed.run())
        group.create_task(follow(self._api, PODS, pods, label_selector=names.HAS_FINALIZER))
        group.create_task(follow(self._api, NODES, nodes, label_selector=_NODES))
        await self._read_first(pods, nodes, kept.connections)
        pods.subscribe(waking.on_pod)

        def on_node(key: Key, old: SchedulingNode | None, new: SchedulingNode | None) -> None:
            experience.on_node(key[1], old, new)
            if old is None or new is None or replace(old, allocatable=new.allocatable) != new:
                _add_unbound(pods, places.add)

        nodes.subscribe(on_node)
        experience.follow_pods(pods)
        self._stores.namespaces.subscribe(lambda key, old, new: _add_all(pods, places.add, key[1]))
        self._stores.namespaces.subscribe(lambda key, old, new: follows.look_at_all(key[1]))
        await follows.start(group)
        group.create_task(places.run())
        group.create_task(statuses.run())
        group.create_task(experience.queue.run())

    async def _read_first(self, pods: Store[ProxyPod], nodes: Store[SchedulingNode], connections: Connections) -> None:
        """Write nothing before every reachable target has been listed (rule S5), or the time for it is up."""
        await asyncio.gather(
            pods.synced.wait(),
            nodes.synced.wait(),
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

    async def _version(self) -> str:
        """Return this API server's version, which its virtual nodes show: upgrade tools compare the two."""
        version: dict[str, str] = orjson.loads((await self._api.request("GET", "/version")).body)
        return version["gitVersion"]

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
