"""Deletes what has lost its owners, of every kind that discovery knows.

Watches metadata of all kinds and keeps the graph of `ownership`; kinds that come (a new CRD) are watched within
seconds, those that go are dropped. Nothing is deleted on the graph's word alone: an owner that the graph does not have
is asked for at the API server, and the delete carries UID and resourceVersion.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.resources import Resource
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from lab.controllers.discovery import Kind, discover
from lab.controllers.ownership import (
    FOREGROUND,
    ORPHAN,
    Delete,
    DropOwners,
    Fate,
    Graph,
    Record,
    judge,
    record_of,
)

_IGNORED = {("", "Event"), ("events.k8s.io", "Event")}  # many, short-lived, and owned by nobody
_DISCOVERY_SECONDS = 30.0  # a kind that nobody announced is found after this long; a CRD at once
_SETTLE_SECONDS = 0.3  # a CRD is served a moment after it is established

Id = str


class GarbageCollector:
    """One per cluster; `run` until cancelled, `poke` when kinds may have changed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._graph = Graph()
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._watches: dict[Resource, tuple[asyncio.Task[None], Store[Record]]] = {}
        self._queue: Workqueue[Id] = Workqueue("garbage", self.reconcile, workers=8)
        self._poked = asyncio.Event()

    async def run(self) -> None:
        """Collect garbage until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run())
            while True:
                self._poked.clear()
                try:
                    await self._rediscover(group)
                except ApiError as error:
                    logger.warning("discovery failed", error=str(error))
                try:
                    async with asyncio.timeout(_DISCOVERY_SECONDS):
                        await self._poked.wait()
                    await asyncio.sleep(_SETTLE_SECONDS)
                except TimeoutError:
                    continue

    def poke(self) -> None:
        """Look for new kinds now."""
        self._poked.set()

    async def _rediscover(self, group: asyncio.TaskGroup) -> None:
        kinds = {(kind.resource.group, kind.resource.kind): kind for kind in await discover(self._api)}
        self._kinds = kinds
        wanted = {kind.resource for kind in kinds.values() if kind.is_collectable}
        wanted = {resource for resource in wanted if (resource.group, resource.kind) not in _IGNORED}
        for resource in set(self._watches) - wanted:
            task, store = self._watches.pop(resource)
            task.cancel()
            store.finish_list(set())
        for resource in wanted - set(self._watches):
            store = Store(_parser(resource))
            store.subscribe(self._changed)
            self._watches[resource] = (group.create_task(follow(self._api, resource, store)), store)

    def _changed(self, _key: Key, old: Record | None, new: Record | None) -> None:
        if old and (new is None or new.uid != old.uid):
            self._graph.drop(old.uid)
            for dependent in self._graph.dependents(old.uid):
                self._queue.add(dependent.uid)
            for owner in old.owners:
                self._queue.add(owner["uid"])
        if new is None:
            return
        self._graph.put(new)
        if new.owners or new.is_terminating:
            self._queue.add(new.uid)
        if old and old.owners != new.owners:
            for owner in old.owners:
                self._queue.add(owner["uid"])

    async def reconcile(self, uid: Id) -> float | None:
        """Look at one object."""
        record = self._graph.get(uid)
        if record is None:
            return None
        if record.frees_dependents:
            await self._free_dependents(record)
            return None
        if record.waits_for_dependents:
            await self._wait_for_dependents(record)
            return None
        if record.is_terminating or not record.owners:
            return None
        fates = {owner["uid"]: await self._fate(record, owner) for owner in record.owners}
        verdict = judge(record, fates, list(self._graph.dependents(uid)))
        if "unknown" in fates.values():
            return _DISCOVERY_SECONDS
        await self._carry_out(record, verdict)
        return None

    async def _fate(self, record: Record, owner: dict[str, Any]) -> Fate:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = self._kinds.get((group, owner["kind"]))
        if kind is None or (kind.resource.is_namespaced and not record.namespace):
            return "unknown"  # no such kind (now), or a cluster-wide object that names an owner inside a namespace
        namespace = record.namespace if kind.resource.is_namespaced else ""
        known = self._graph.get(owner["uid"])
        if known and (known.resource, known.namespace, known.name) == (kind.resource, namespace, owner["name"]):
            return "waiting" if known.waits_for_dependents else "solid"
        try:
            live = await self._api.get(kind.resource, owner["name"], namespace)
        except NotFound:
            return "absent"
        found = record_of(kind.resource, live)
        if found.uid != owner["uid"]:
            return "absent"
        return "waiting" if found.waits_for_dependents else "solid"

    async def _carry_out(self, record: Record, verdict: Delete | DropOwners | None) -> None:
        match verdict:
            case None:
                return
            case DropOwners(uids):
                await self._set_owners(record, [owner for owner in record.owners if owner["uid"] not in uids])
            case Delete(propagation, unblock):
                version = record.version
                if unblock and any(one["uid"] in unblock and one.get("blockOwnerDeletion") for one in record.owners):
                    owners = [
                        {**one, "blockOwnerDeletion": False} if one["uid"] in unblock else one for one in record.owners
                    ]
                    version = await self._set_owners(record, owners)
                await self._delete(record, propagation, version)

    async def _delete(self, record: Record, propagation: Any, version: str) -> None:
        try:
            await self._api.delete(
                record.resource,
                record.name,
                record.namespace,
                uid=record.uid,
                resource_version=version,
                propagation=propagation,
            )
        except NotFound:
            return

    async def _set_owners(self, record: Record, owners: list[dict[str, Any]]) -> str:
        return await self._patch(record, {"ownerReferences": owners})

    async def _patch(self, record: Record, metadata: dict[str, Any]) -> str:
        """Patch metadata under preconditions and return the new resourceVersion; a vanished object is fine."""
        body = {"metadata": {"uid": record.uid, "resourceVersion": record.version, **metadata}}
        try:
            patched = await self._api.patch(record.resource, record.name, body, record.namespace)
        except NotFound:
            return record.version
        return str(patched["metadata"]["resourceVersion"])

    async def _free_dependents(self, record: Record) -> None:
        for dependent in self._graph.dependents(record.uid):
            owners = [owner for owner in dependent.owners if owner["uid"] != record.uid]
            await self._set_owners(dependent, owners)
        await self._drop_finalizer(record, ORPHAN)

    async def _wait_for_dependents(self, record: Record) -> None:
        if blockers := self._graph.blockers(record.uid):
            for blocker in blockers:
                self._queue.add(blocker.uid)
            return
        await self._drop_finalizer(record, FOREGROUND)
        for dependent in self._graph.dependents(record.uid):
            self._queue.add(dependent.uid)

    async def _drop_finalizer(self, record: Record, finalizer: str) -> None:
        left = [name for name in record.finalizers if name != finalizer]
        try:
            await self._patch(record, {"finalizers": left})
        except Conflict:
            live = await self._live(record)
            if live and finalizer in live.finalizers:
                raise

    async def _live(self, record: Record) -> Record | None:
        try:
            return record_of(record.resource, await self._api.get(record.resource, record.name, record.namespace))
        except NotFound:
            return None


def _parser(resource: Resource) -> Callable[[dict[str, Any]], Record]:
    return lambda manifest: record_of(resource, manifest)
