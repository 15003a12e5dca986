"""Keeps, in a source, one Node and one Lease for every connected target.

The Lease says that an agent speaks for the node, the Ready condition whether its target answers. A Node that somebody
deleted is made again at once: the pod garbage collector would end its proxies. One whose Target is being deleted is
tainted, and goes when nothing is left in the target (rule M7); one without a Target when no proxy is bound to it.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import re2
from loguru import logger

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.decisions import virtual_node as decide
from federation.decisions.admission import untied_spec
from federation.decisions.capacity import committed
from federation.decisions.ending import Stage
from federation.decisions.node_policy import NodePolicy
from federation.decisions.spread import spread_labels
from federation.kinds import CLUSTER_SUMMARIES
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, NotFound
from federation.kube.resources import LEASES, NODES
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import MayWork, Workqueue, always
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.quantity import Amounts
from federation.model.scheduling import SchedulingNode
from federation.model.summary import Summary, parse_summary
from federation.model.target import Target
from federation.model.virtual_node import Health, KubeletAddress, VirtualNode, VirtualNodeView, parse_virtual_node
from federation.names import SUMMARY_NAME

LEASE_NAMESPACE = "kube-node-lease"
_RENEW = timedelta(seconds=10)  # kubelet's; the node is taken for dead after 40 to 50 s of silence
_LEASE_SECONDS = 40
# What is held is counted anew so often at most: each count looks at every pod of a target.
_RECOUNT_SECONDS = 0.1
_TAKEN_SECONDS = 60.0  # between looks at a name that another Node has: somebody has to act first


@dataclass(slots=True)
class _Served:
    """A connected target, and what its node was last told."""

    connection: Connection
    kubelet: KubeletAddress | None
    is_excluded: Callable[[str], bool]
    summaries: Store[Summary] = field(default_factory=lambda: Store(parse_summary))
    renewed_for: str = ""  # the Node's uid: a new Node needs its Lease at once, the old one's goes with the old one
    renewed_at: datetime | None = None


class VirtualNodes:
    """Reconciles virtual nodes by name. `stage(node name)` says how far the Target that it stands for is."""

    def __init__(
        self,
        *,
        api: Api,
        pods: Store[ProxyPod],
        stage: Callable[[str], Stage],
        clock: Clock,
        kubelet_version: str,
        policy: NodePolicy,
    ) -> None:
        self._api = api
        self._pods = pods
        self._stage = stage
        self._clock = clock
        self._kubelet_version = kubelet_version
        self._policy = policy
        self._nodes: Store[VirtualNode] = Store(parse_virtual_node)
        self._served: dict[str, _Served] = {}
        self.queue: Workqueue[str] = Workqueue("virtual nodes", self.reconcile, everything=self._look_at_all)
        api.on_back.append(self.queue.retry_failed)
        self._nodes.subscribe(self._on_node)
        self._pods.subscribe(self._on_pod)

    async def follow(self) -> None:
        """Follow the Nodes until cancelled, on every replica."""
        await follow(self._api, NODES, self._nodes, label_selector="type=virtual-kubelet")

    async def lead(self, may_work: MayWork = always) -> None:
        """Work on them until cancelled."""
        await self._nodes.synced.wait()
        await self.queue.run(may_work)

    def _look_at_all(self) -> None:
        self._nodes.tell(self._on_node)
        for name in self._served:
            self.queue.add(name)

    def _on_node(self, key: Key, old: VirtualNode | None, new: VirtualNode | None) -> None:
        self.queue.add(key[1])

    def _on_pod(self, _: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        """Spread is counted by labels that nodes carry while there are proxies that name them (rule C2)."""
        before, after = old.spread if old else (), new.spread if new else ()
        if before != after:
            for name in self._served:
                self.queue.add(name)

    async def serve(self, connection: Connection, kubelet: KubeletAddress | None) -> None:
        """Know of one connected target until cancelled; `kubelet` is where its gateway listens, on this replica."""
        await connection.has_answered.wait()
        name = connection.target.node_name
        served = _Served(connection, kubelet, _excluding(connection.target.excluded_labels_regexp))

        def on_chaperon(_: Key, old: Chaperon | None, new: Chaperon | None) -> None:
            if (old is not None and old.is_reserved) != (new is not None and new.is_reserved):
                self.queue.add(name, after=_RECOUNT_SECONDS)

        self._served[name] = served
        connection.chaperons.subscribe(on_chaperon)
        served.summaries.subscribe(lambda *_: self.queue.add(name))
        self.queue.add(name)
        try:
            await follow(
                connection.api, CLUSTER_SUMMARIES, served.summaries, field_selector=f"metadata.name={SUMMARY_NAME}"
            )
        finally:
            if self._served.get(name) is served:  # a reconnection may have taken our place
                del self._served[name]
                self.queue.add(name, after=1.0)

    async def reconcile(self, name: str) -> float | None:
        """Bring one node to what is known of its target."""
        served, known, stage = self._served.get(name), self._nodes.get("", name), self._stage(name)
        if served is None or stage is Stage.DRAINED:
            return await self._let_go(known, stage)
        if not self._nodes.is_fresh:
            known = None  # the watch is down: a node that is gone must not be missed for long
        view, now = self._view(served), self._clock()
        labels = decide.wanted_labels(view.target, view.summary, served.is_excluded)
        base, is_going = decide.base_labels(view.target), stage is not Stage.KEPT
        labels |= self._spread_labels(view.target, labels | dict(known.labels if known else {})) | base
        node = known or await self._make(decide.new_node(view.target, labels))
        if node is None:
            return _TAKEN_SECONDS
        if node.uid != served.renewed_for or served.renewed_at is None or now - served.renewed_at >= _RENEW:
            await self._renew(node, now)
            served.renewed_for, served.renewed_at = node.uid, now
        if body := decide.object_patch(node, labels, base, is_going=is_going):
            node = await self._patch(node, body)
        if status := decide.status_patch(node.status, view, now):
            await self._patch(node, {"status": status}, "status")
        waits = [(served.renewed_at + _RENEW - now).total_seconds(), decide.next_look(view.health, now)]
        return max(min(wait for wait in waits if wait is not None), 0.05)

    def _view(self, served: _Served) -> VirtualNodeView:
        connection = served.connection
        pulse = connection.pulse
        return VirtualNodeView(
            target=connection.target,
            health=Health(pulse.is_reachable, pulse.since, pulse.message),
            summary=self._policy.believed(connection.target, served.summaries.get("", SUMMARY_NAME)),
            committed=self._committed(connection),
            kubelet=served.kubelet,
            kubelet_version=self._kubelet_version,
        )

    def _committed(self, connection: Connection) -> Amounts:
        """What is asked for by proxies that are bound there, and by those for which something is held there."""
        held: dict[str, ProxyPod] = {}
        for chaperon in connection.chaperons.values():
            if chaperon.is_reserved or (chaperon.is_allowed and not chaperon.is_terminating):
                proxy = self._pods.get(chaperon.parent_namespace, chaperon.parent_name)
                if proxy is not None and proxy.uid == chaperon.parent_uid and not proxy.node_name:
                    held[proxy.uid] = proxy
        name = connection.target.node_name
        return committed(name, [*self._pods.by("node", name), *held.values()], held)

    def _spread_labels(self, target: Target, labels: dict[str, str]) -> dict[str, str]:
        node = SchedulingNode(target.node_name, labels, (), False)
        proxies = []
        for label in self._pods.values_of("spread"):
            alike = self._pods.by("spread", label)
            proxies.append(next((proxy for proxy in alike if proxy.manifest is not None), alike[0]))
        return spread_labels(node, target.serves, proxies, untied_spec)

    async def _make(self, manifest: Manifest) -> VirtualNode | None:
        name = manifest["metadata"]["name"]
        try:
            made = await self._api.create(NODES, manifest)
            logger.info("virtual node made", node=name)
        except AlreadyExists:
            made = await self._api.get(NODES, name)
        node = parse_virtual_node(made)
        if node is None:
            logger.error("a Node that is not ours has a virtual node's name", node=name)
        return node

    async def _patch(self, node: VirtualNode, body: Manifest, subresource: str = "") -> VirtualNode:
        held = {"uid": node.uid, "resourceVersion": node.resource_version}
        body = body | {"metadata": (body.get("metadata") or {}) | held}
        patched = parse_virtual_node(await self._api.patch(NODES, node.name, body, subresource=subresource))
        assert patched is not None, "our labels are in the patch or were there"
        return patched

    async def _renew(self, node: VirtualNode, now: datetime) -> None:
        moment = f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"
        spec = {"holderIdentity": node.name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": moment}
        owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
        lease = {"metadata": {"name": node.name, "ownerReferences": [owner]}, "spec": spec}
        try:
            await self._api.patch(LEASES, node.name, lease, LEASE_NAMESPACE)
        except NotFound:
            await self._api.create(
                LEASES, {"apiVersion": LEASES.api_version, "kind": LEASES.kind, **lease}, LEASE_NAMESPACE
            )

    async def _let_go(self, node: VirtualNode | None, stage: Stage) -> float | None:
        """Delete a node whose Target is drained, or one whose Target and proxies are gone."""
        if node is None or node.is_terminating or stage in (Stage.KEPT, Stage.GOING) or not self._pods.is_fresh:
            return None
        if stage is Stage.GONE and self._pods.by("node", node.name):
            return _RENEW.total_seconds()
        with contextlib.suppress(NotFound):
            await self._api.delete(NODES, node.name, uid=node.uid)
            logger.info("virtual node of a target that is gone deleted", node=node.name)
        return None


def _excluding(regexp: str) -> Callable[[str], bool]:
    """Return the predicate of an excludedLabelsRegexp; one that does not compile excludes nothing, as in Admiralty."""
    if not regexp:
        return lambda _: False
    try:
        compiled = re2.compile(regexp)
    except re2.error as error:
        logger.warning("spec.excludedLabelsRegexp does not compile, nothing is excluded", error=str(error))
        return lambda _: False
    return lambda label: compiled.search(label) is not None
