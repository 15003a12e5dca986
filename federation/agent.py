"""Wires one cluster's agent: stores -> queues -> reconcilers, and the servers beside them."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

import orjson
from aiohttp import web
from loguru import logger

from federation import names
from federation.admission import registration, server
from federation.certificates import issue
from federation.clock import wall_clock
from federation.controllers.chaperon import Chaperons
from federation.controllers.connection import Connection
from federation.controllers.connections import Connections
from federation.controllers.feedback import Feedback
from federation.controllers.placement import Placement
from federation.controllers.summary import OCCUPANTS, Summaries
from federation.controllers.target_status import TargetStatus
from federation.controllers.virtual_node import VirtualNodes
from federation.kinds import CLUSTER_SUMMARIES, CLUSTER_TARGETS, POD_CHAPERONS, TARGETS
from federation.kube.api import Api, connect
from federation.kube.errors import ApiError
from federation.kube.leader import Election
from federation.kube.resources import NAMESPACES, NODES, PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import ProxyPod, TargetPod, parse_proxy, parse_target_pod
from federation.model.scheduling import SchedulingNode, parse_scheduling_node
from federation.model.summary import ClusterNode, Occupant, Summary, parse_cluster_node, parse_occupant, parse_summary
from federation.model.target import Target, parse_target
from federation.settings import AgentSettings
from federation.virtual_kubelet import VirtualKubelet, client_ca

Key = tuple[str, str]

_REGISTER_SECONDS = 30.0  # how often a webhook configuration that was changed by others is put right
_NODES = f"{names.PROVIDER_KEY}={names.PROVIDER}"


def _is_labelled(manifest: dict[str, object]) -> bool | None:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    labels = metadata.get("labels") or {}
    return True if labels.get(names.NAMESPACE_LABEL) == names.NAMESPACE_LABEL_VALUE else None


class Agent:
    """One replica of one cluster's agent."""

    def __init__(self, api: Api, settings: AgentSettings, identity: str) -> None:
        self._api = api
        self._settings = settings
        self._identity = identity
        self._clock = wall_clock
        self._namespaces: Store[bool] = Store(_is_labelled)
        self._targets: Store[Target] = Store(parse_target)
        self._cluster_targets: Store[Target] = Store(parse_target)

    async def run(self) -> None:
        """Serve admission on every replica, and run the controllers while leading; until cancelled."""
        cluster_name = self._settings.cluster_name or await self._cluster_id()
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._api, NAMESPACES, self._namespaces))
            group.create_task(follow(self._api, TARGETS, self._targets))
            group.create_task(follow(self._api, CLUSTER_TARGETS, self._cluster_targets))
            if self._settings.webhook_enabled:
                group.create_task(self._serve_webhook())
            group.create_task(self._lead(cluster_name))

    async def _cluster_id(self) -> str:
        return str((await self._api.get(NAMESPACES, "kube-system"))["metadata"]["uid"])

    async def _version(self) -> str:
        """Return this API server's version, which its virtual nodes show: upgrade tools compare the two."""
        version: dict[str, str] = orjson.loads((await self._api.request("GET", "/version")).body)
        return version["gitVersion"]

    def _is_wanted(self, node_name: str) -> bool:
        targets = [*self._targets.values(), *self._cluster_targets.values()]
        return any(target.node_name == node_name for target in targets)

    async def _lead(self, cluster_name: str) -> None:
        async def work() -> None:
            await self._control(cluster_name)

        if not self._settings.leader_elect:
            await work()
        while True:
            election = Election(
                api=self._api,
                namespace=self._settings.namespace,
                name="isthmus-agent",
                identity=self._identity,
                clock=self._clock,
            )
            await election.run(work)

    # -- admission ---------------------------------------------------------------------------------------------------

    def _finalizers_for(self, namespace: str) -> list[str]:
        targets = [*self._targets.values(), *self._cluster_targets.values()]
        return sorted(target.finalizer for target in targets if target.serves(namespace))

    async def _serve_webhook(self) -> None:
        settings = self._settings
        authority = await registration.authority(self._api, settings.namespace, self._clock)
        hosts = registration.hosts(settings.webhook_url, settings.namespace)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issue(authority, hosts, self._clock()).load_into(context)
        await asyncio.gather(self._targets.synced.wait(), self._cluster_targets.synced.wait())
        app = server.application(self._finalizers_for, self._targets.synced.is_set)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(
                runner, settings.webhook_bind, settings.webhook_port, ssl_context=context, reuse_address=True
            ).start()
            logger.info("webhook serves", address=runner.addresses[0])
            while True:
                try:
                    await registration.register(
                        self._api,
                        authority,
                        url=settings.webhook_url,
                        namespace=settings.namespace,
                        path=server.PATH,
                    )
                except ApiError as error:
                    logger.warning("webhook configuration could not be kept", error=str(error)[:300])
                await asyncio.sleep(_REGISTER_SECONDS)
        finally:
            await runner.cleanup()

    # -- controllers -------------------------------------------------------------------------------------------------

    async def _control(self, cluster_name: str) -> None:
        """All controllers, while this replica leads."""
        async with asyncio.TaskGroup() as group:
            self._control_target(group)
            self._summarise(group)
            await self._control_source(group, cluster_name)

    def _control_target(self, group: asyncio.TaskGroup) -> None:
        """As a target: a pod for every chaperon."""
        chaperons: Store[Chaperon] = Store(parse_whole_chaperon)
        pods: Store[TargetPod] = Store(parse_target_pod)
        mirror = Chaperons(api=self._api, chaperons=chaperons, pods=pods, clock=self._clock)
        queue: Workqueue[Key] = Workqueue("chaperons", mirror.reconcile, workers=self._settings.workers)

        async def run() -> None:
            await asyncio.gather(chaperons.synced.wait(), pods.synced.wait())
            chaperons.subscribe(lambda key, old, new: queue.add(key))
            pods.subscribe(lambda key, old, new: queue.add(key))
            await queue.run()

        group.create_task(follow(self._api, POD_CHAPERONS, chaperons))
        group.create_task(follow(self._api, PODS, pods, label_selector=names.PARENT_UID))
        group.create_task(run())

    def _summarise(self, group: asyncio.TaskGroup) -> None:
        """As a target: what there is, and what is left of it for others."""
        nodes: Store[ClusterNode] = Store(parse_cluster_node)
        occupants: Store[Occupant] = Store(parse_occupant)
        summaries: Store[Summary] = Store(parse_summary)

        async def run() -> None:
            summary = Summaries(
                api=self._api,
                cluster_id=await self._cluster_id(),
                nodes=nodes,
                occupants=occupants,
                summaries=summaries,
                clock=self._clock,
            )
            queue: Workqueue[str] = Workqueue("summary", summary.reconcile, workers=1)
            await asyncio.gather(nodes.synced.wait(), occupants.synced.wait(), summaries.synced.wait())
            nodes.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
            occupants.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
            summaries.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
            queue.add(names.SUMMARY_NAME)
            await queue.run()

        group.create_task(follow(self._api, NODES, nodes))
        group.create_task(follow(self._api, PODS, occupants, field_selector=OCCUPANTS))
        group.create_task(follow(self._api, CLUSTER_SUMMARIES, summaries))
        group.create_task(run())

    async def _control_source(self, group: asyncio.TaskGroup, cluster_name: str) -> None:
        """As a source: connections to targets, placement and feedback of proxies."""
        pods: Store[ProxyPod] = Store(parse_proxy)
        nodes: Store[SchedulingNode] = Store(parse_scheduling_node)
        virtual_nodes = VirtualNodes(
            api=self._api,
            pods=pods,
            is_wanted=self._is_wanted,
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
        connections = Connections(
            api=self._api,
            cluster_name=cluster_name,
            targets=[self._targets, self._cluster_targets],
            clock=self._clock,
            service=kubelet.serve,
            self_api=lambda: connect(self._settings.kubeconfig, self._settings.context),
        )
        placement = Placement(
            api=self._api,
            cluster_name=cluster_name,
            pods=pods,
            nodes=nodes,
            is_labelled=lambda namespace: bool(self._namespaces.get("", namespace)),
            connections=connections.current,
            clock=self._clock,
        )
        feedback = Feedback(api=self._api, pods=pods, connections=connections.current)
        places: Workqueue[Key] = Workqueue("placement", placement.reconcile, workers=self._settings.workers)
        statuses: Workqueue[Key] = Workqueue("feedback", feedback.reconcile, workers=self._settings.workers)
        links: Workqueue[Key] = Workqueue("targets", connections.reconcile)
        connections.add = links.add

        def add(key: Key) -> None:
            places.add(key)
            statuses.add(key)

        status = TargetStatus(
            api=self._api,
            targets=[self._targets, self._cluster_targets],
            connections=connections,
            clock=self._clock,
        )
        told: Workqueue[Key] = Workqueue("target status", status.reconcile)
        connections.on_problem = told.add
        connections.on_connected = lambda connection: _wake_by(connection, pods, add, told.add)
        for store in (self._targets, self._cluster_targets):
            store.subscribe(lambda key, old, new: links.add(key))
            store.subscribe(lambda key, old, new: told.add(key))
        group.create_task(virtual_nodes.run())
        group.create_task(connections.run())
        group.create_task(links.run())
        group.create_task(told.run())
        group.create_task(follow(self._api, PODS, pods, label_selector=names.HAS_FINALIZER))
        group.create_task(follow(self._api, NODES, nodes, label_selector=_NODES))
        await self._read_first(pods, nodes, connections)
        pods.subscribe(lambda key, old, new: add(key))
        nodes.subscribe(lambda key, old, new: _add_unbound(pods, places.add))
        self._namespaces.subscribe(lambda key, old, new: _add_all(pods, places.add, key[1]))
        group.create_task(places.run())
        group.create_task(statuses.run())

    async def _read_first(self, pods: Store[ProxyPod], nodes: Store[SchedulingNode], connections: Connections) -> None:
        """Write nothing before every reachable target has been listed (rule S5), or the time for it is up."""
        await asyncio.gather(
            pods.synced.wait(),
            nodes.synced.wait(),
            self._namespaces.synced.wait(),
            self._targets.synced.wait(),
            self._cluster_targets.synced.wait(),
        )
        expected = len(self._targets) + len(self._cluster_targets)

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


def _wake_by(
    connection: Connection, pods: Store[ProxyPod], add: Callable[[Key], None], tell: Callable[[Key], None]
) -> None:
    """Look at a proxy again whenever its chaperon in this target, or the target's pulse, changes."""

    def on_chaperon(_: Key, old: Chaperon | None, new: Chaperon | None) -> None:
        chaperon = new or old
        if chaperon is not None and chaperon.parent_name:
            add((chaperon.parent_namespace, chaperon.parent_name))

    connection.chaperons.subscribe(on_chaperon)

    def on_change() -> None:
        _add_all(pods, add, connection.target.namespace)
        tell(connection.target.key)

    connection.on_change = on_change


def _add_unbound(pods: Store[ProxyPod], add: Callable[[Key], None]) -> None:
    for pod in pods.values():
        if not pod.node_name:
            add((pod.namespace, pod.name))


def _add_all(pods: Store[ProxyPod], add: Callable[[Key], None], namespace: str) -> None:
    for pod in pods.values():
        if namespace in ("", pod.namespace):
            add((pod.namespace, pod.name))
