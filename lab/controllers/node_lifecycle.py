"""Notices nodes that have gone silent and says so: conditions Unknown, taints, pods no longer Ready.

Heard of is a node whose lease or Ready heartbeat has changed, by our own clock: clocks of nodes are not trusted. When
no node at all is Ready the fault is likelier ours than theirs, and nobody is evicted, as upstream does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import NODES, PODS
from federation.kube.store import Key, Store
from lab.controllers.node_rules import (
    GRACE_SECONDS,
    STARTUP_GRACE_SECONDS,
    next_taints,
    readiness,
    silenced,
    wanted_taints,
)
from lab.controllers.objects import condition_of, is_ready, timestamp

Manifest = dict[str, Any]


@dataclass
class _Health:
    """When a node was last heard of, by what sign, and whether its pods have been told that it is not Ready."""

    heard_at: float
    sign: tuple[str, str, str]
    are_pods_told: bool = False


class NodeLifecycle:
    """Reconciles one node by ("", name)."""

    def __init__(
        self,
        api: Api,
        nodes: Store[Manifest],
        leases: Store[Manifest],
        pods: Store[Manifest],
        seconds: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._leases = leases
        self._pods = pods
        self._seconds = seconds
        self._now = now
        self._health: dict[str, _Health] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Look at one node; returns when its silence would become too long."""
        name = key[1]
        node = self._nodes.get("", name)
        if node is None:
            self._health.pop(name, None)
            return None
        health = self._hear(name, node)
        grace = GRACE_SECONDS if condition_of(node, "Ready") else STARTUP_GRACE_SECONDS
        left = health.heard_at + grace - self._seconds()
        if left <= 0 and (readiness(node) != "Unknown" or not condition_of(node, "Ready")):
            conditions = silenced(node, self._now())
            logger.warning("node is silent", node=name, seconds=round(self._seconds() - health.heard_at))
            status = {**(node.get("status") or {}), "conditions": conditions}
            node = await self._api.replace(NODES, node | {"status": status}, subresource="status")
        await self._taint(node)
        await self._tell_pods(name, node, health)
        return max(left, 1.0) if left > 0 else None

    def _hear(self, name: str, node: Manifest) -> _Health:
        lease = self._leases.get("kube-node-lease", name) or {}
        ready = condition_of(node, "Ready")
        # The status counts too: a node that says it is Ready again has spoken, heartbeat or not.
        sign = (
            str((lease.get("spec") or {}).get("renewTime")),
            str(ready.get("lastHeartbeatTime")),
            str(ready.get("status")),
        )
        health = self._health.setdefault(name, _Health(self._seconds(), sign))
        if health.sign != sign:
            health.heard_at, health.sign = self._seconds(), sign
        return health

    async def _taint(self, node: Manifest) -> None:
        may_evict = any(readiness(other) == "True" for other in self._nodes.values())
        taints = next_taints(node, wanted_taints(node, may_evict=may_evict), self._now())
        if taints is None:
            return
        metadata = node["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"taints": taints or None}}
        await self._api.patch(NODES, metadata["name"], body)

    async def _tell_pods(self, name: str, node: Manifest, health: _Health) -> None:
        if readiness(node) != "Unknown":  # of a node that says itself that it is not ready its kubelet tells the pods
            health.are_pods_told = False
            return
        if health.are_pods_told:
            return
        for pod in self._pods.by("node", name):
            if is_ready(pod):
                await self._unready(pod)
        health.are_pods_told = True

    async def _unready(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        condition = {"type": "Ready", "status": "False", "lastTransitionTime": timestamp(self._now())}
        body = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [condition]}}
        try:
            await self._api.patch(
                PODS, metadata["name"], body, metadata["namespace"], subresource="status", kind="strategic"
            )
        except NotFound:
            return
