"""Plays the kubelet of one node: what is bound to it runs after a while, ends after a while, and goes when deleted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from random import Random
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import LEASES, NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue

Manifest = dict[str, Any]

SECONDS = "simulation/seconds"  # annotation: how long the pod's container runs; without it for ever
_LEASE_NAMESPACE = "kube-node-lease"
_RENEW_SECONDS = 10.0


class Kubelet:
    """One node's. `started` are the uids of pods that ever ran, `breaches` those that ran without being allowed.

    `proxies` are the uids of the proxies that they ran for: none of them is to come twice, here or elsewhere (rule S7).
    """

    def __init__(self, api: Api, node: str, room: Manifest, clock: Callable[[], datetime], random: Random) -> None:
        self._api, self._node, self._room, self._clock, self._random = api, node, room, clock, random
        self._pods: Store[Manifest] = Store(lambda manifest: manifest)
        self._queue: Workqueue[Key] = Workqueue("kubelet", self._reconcile)
        self._due: dict[str, float] = {}
        self.started: list[str] = []
        self.proxies: list[str] = []
        self.breaches: list[str] = []

    async def run(self) -> None:
        """Keep the node Ready and its pods what they should be, until cancelled."""
        await self._register()
        self._pods.subscribe(lambda key, *_: self._queue.add(key))
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._api, PODS, self._pods, field_selector=f"spec.nodeName={self._node}"))
            group.create_task(self._queue.run())
            group.create_task(self._renew())

    async def _register(self) -> None:
        name = {"name": self._node}
        labels = {"kubernetes.io/hostname": self._node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
        await self._api.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": name | {"labels": labels}})
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {"capacity": self._room, "allocatable": self._room, "conditions": [ready]}
        await self._api.patch(NODES, self._node, {"status": status}, subresource="status")
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": name}
        spec = {"holderIdentity": self._node, "leaseDurationSeconds": 40, "renewTime": self._now()}
        await self._api.create(LEASES, lease | {"spec": spec}, _LEASE_NAMESPACE)

    def _now(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            with suppress(ApiError):
                await self._api.patch(LEASES, self._node, {"spec": {"renewTime": self._now()}}, _LEASE_NAMESPACE)

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(*key)
        if pod is None:
            return None
        metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        uid = str(metadata["uid"])
        if phase in ("Succeeded", "Failed") and "deletionTimestamp" not in metadata:
            return None
        seconds = (metadata.get("annotations") or {}).get(SECONDS)
        if "deletionTimestamp" in metadata:
            step, after = "go", self._random.random() * 3
        elif phase != "Running":
            step, after = "start", self._random.random() * 2
        elif seconds is not None:
            step, after = "end", float(seconds)
        else:
            return None
        now = asyncio.get_running_loop().time()
        due = self._due.setdefault(f"{uid} {step}", now + after)
        if due > now:
            return due - now
        await self._take(step, pod)
        return None

    async def _judge(self, name: str, namespace: str) -> None:
        """A delegate starts only while its PodChaperon, of the same name, says that it may."""
        try:
            chaperon = await self._api.get(POD_CHAPERONS, name, namespace)
        except NotFound:
            return  # it was let go, and is being deleted
        if names.IS_ALLOWED not in (chaperon["metadata"].get("annotations") or {}):
            self.breaches.append(f"{self._node}: {name} started without being allowed")

    async def _take(self, step: str, pod: Manifest) -> None:
        metadata = pod["metadata"]
        where = (metadata["name"], metadata["namespace"])
        if step == "go":
            await self._api.delete(PODS, *where, uid=metadata["uid"], grace_period_seconds=0)
            return
        state: Manifest = {"running": {"startedAt": self._now()[:19] + "Z"}}
        if step == "end":
            state = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": self._now()[:19] + "Z"}}
        elif metadata["uid"] not in self.started:
            self.started.append(metadata["uid"])
            self.proxies.append(metadata["labels"][names.PARENT_UID])
            await self._judge(*where)
        told = {"image": "i", "imageID": "", "ready": step == "start", "restartCount": 0, "state": state}
        containers = [{"name": container["name"], **told} for container in pod["spec"]["containers"]]
        ready = {"type": "Ready", "status": "True" if step == "start" else "False"}
        status = {
            "phase": "Running" if step == "start" else "Succeeded",
            "conditions": [ready],
            "containerStatuses": containers,
        }
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        await self._api.patch(PODS, where[0], body, where[1], subresource="status", kind="strategic")
