"""One node: takes in the pods bound to it, and gives each a worker.

A pod gets its worker once; before that it is checked against the node as it is now (`fit`), oldest pods first, because
those were here first. Refused pods are reported Failed and never had a process.
"""

import asyncio
from datetime import UTC, datetime

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.resources import NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from lab.kubelet.fit import Refusal, is_active, refusal
from lab.kubelet.pod import Pod, remove
from lab.kubelet.records import Manifest
from lab.kubelet.shared import Shared
from lab.kubelet.status import rejected

_RETRY_SECONDS = 1.0


class NodeAgent:
    """All pods of one node. Sets `gone` when the Node object disappears."""

    def __init__(self, api: Api, shared: Shared, gone: asyncio.Event) -> None:
        self._api, self._shared, self._gone = api, shared, gone
        self._store: Store[Manifest] = Store(lambda manifest: manifest)
        self._nodes: Store[Manifest] = Store(lambda manifest: manifest)
        self._pods: dict[str, Pod] = {}  # by UID
        self._refused: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def manifests(self) -> list[Manifest]:
        """The pods bound to this node."""
        return list(self._store.values())

    def find(self, namespace: str, name: str) -> Pod | None:
        """The worker of the pod of that name, or None."""
        manifest = self._store.get(namespace, name)
        return None if manifest is None else self._pods.get(manifest["metadata"]["uid"])

    async def run(self) -> None:
        """Serve the node's pods until cancelled."""
        name = self._shared.node
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self._api, NODES, self._nodes, field_selector=f"metadata.name={name}"))
            group.create_task(follow(self._api, PODS, self._store, field_selector=f"spec.nodeName={name}"))
            await self._nodes.synced.wait()
            await self._store.synced.wait()
            await asyncio.to_thread(self._remove_orphans)
            self._store.subscribe(self._take)
            self._nodes.subscribe(self._see_node)
            while True:
                self._changed.clear()
                await self._admit(group)
                await self._changed.wait()

    def _take(self, key: Key, old: Manifest | None, new: Manifest | None) -> None:
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            self._refused.discard(old["metadata"]["uid"])
            if pod := self._pods.get(old["metadata"]["uid"]):
                pod.forget()
        if new is not None and (pod := self._pods.get(new["metadata"]["uid"])):
            pod.update(new)
        self._changed.set()

    def _see_node(self, _: Key, old: Manifest | None, new: Manifest | None) -> None:
        if old is not None and new is None:
            self._gone.set()
        self._changed.set()

    async def _admit(self, group: asyncio.TaskGroup) -> None:
        node = self._nodes.get("", self._shared.node)
        if node is None or "allocatable" not in node.get("status", {}):
            return
        for manifest in sorted(self._store.values(), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))):
            uid = manifest["metadata"]["uid"]
            if uid in self._pods or uid in self._refused:
                continue
            why = None if _was_admitted(manifest) else refusal(manifest, node, self._others())
            if why is None:
                pod = self._pods[uid] = Pod(manifest, self._shared)
                group.create_task(self._live(pod))
            else:
                self._refused.add(uid)
                group.create_task(self._refuse(manifest, why))

    def _others(self) -> list[Manifest]:
        return [pod.manifest for pod in self._pods.values() if pod.takes_room and is_active(pod.manifest)]

    async def _live(self, pod: Pod) -> None:
        metadata = pod.manifest["metadata"]
        try:
            await pod.run()
        except Exception:  # noqa: BLE001 - a mistake of ours in one pod must not end all others
            logger.opt(exception=True).error("pod's worker failed; it starts again", pod=metadata["name"])
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            current = self._store.get(metadata["namespace"], metadata["name"])
            if current is not None and current["metadata"]["uid"] == pod.uid:
                self._refused.add(pod.uid)  # its work is done; the object only waits for its finalizers
        finally:
            del self._pods[pod.uid]
            self._changed.set()

    async def _refuse(self, manifest: Manifest, why: Refusal) -> None:
        metadata = manifest["metadata"]
        logger.info("pod refused", pod=metadata["name"], reason=why.reason)
        self._shared.recorder.emit(manifest, "Warning", why.reason, why.message)
        status = rejected(manifest, why.reason, why.message, datetime.now(UTC))
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            if metadata.get("deletionTimestamp"):
                await self._api.delete(PODS, name, namespace, uid=metadata["uid"], grace_period_seconds=0)
            else:
                await self._api.patch(PODS, name, body, namespace, subresource="status", kind="strategic")
        except (NotFound, Conflict):
            return
        except ApiError as error:
            logger.warning("refusal not reported", pod=name, error=str(error)[:300])
            await asyncio.sleep(_RETRY_SECONDS)
            self._refused.discard(metadata["uid"])
            self._changed.set()

    def _remove_orphans(self) -> None:
        """What pods left on disk that went while no kubelet was here."""
        known = {manifest["metadata"]["uid"] for manifest in self._store.values()}
        pods = self._shared.root / "pods"
        for directory in pods.iterdir() if pods.is_dir() else ():
            if directory.name not in known:
                remove(directory)


def _was_admitted(manifest: Manifest) -> bool:
    """Whether an earlier kubelet of this node has taken it, or it has ended already."""
    status = manifest.get("status", {})
    return bool(status.get("containerStatuses")) or not is_active(manifest)
