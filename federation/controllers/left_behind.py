"""Keeps on record what stays behind in targets that were lost, and deletes it when a Target leads there again (M7).

The record comes before the finalizers go, so that a crash forgets nothing. What is deleted is found by its labels in
the target, not by the record's names, which are for people.
"""

import contextlib
from collections.abc import Callable

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.decisions.trust import is_accepted
from federation.events import record
from federation.kinds import POD_CHAPERONS, target_kind
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Forbidden, NotFound
from federation.kube.resources import CONFIG_MAPS, PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.left_behind import CONFIG_MAP, PODS_MAX, LeftBehind, parse_left_behind
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.target import Target
from federation.model.times import format_time

_LOOK_SECONDS = 5.0  # deletion in the foreground takes as long as the pods' grace periods


class LostTargets:
    """`put_on_record` before a target is given up; `clear` when one answers."""

    def __init__(
        self, *, api: Api, namespace: str, pods: Store[ProxyPod], targets: list[Store[Target]], clock: Clock
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._pods = pods
        self._targets = targets
        self._clock = clock
        self.on_record: Callable[[], None] = lambda: None  # called when there is something new to clear up
        self._recorded: set[str] = set()  # uids of Targets whose record we have written while we led

    def begin_term(self) -> None:
        """Forget what we put on record: another replica may have cleared it up while it led."""
        self._recorded.clear()

    def is_recorded(self, target: Target) -> bool:
        """Whether what a target may leave behind is on record."""
        return target.uid in self._recorded

    async def put_on_record(self, target: Target) -> None:
        """Write down what may stay behind in the cluster that is on record for a target."""
        pods = sorted(
            f"{pod.namespace}/{pod.name}" for pod in self._pods.values() if target.finalizer in pod.finalizers
        )
        entry = LeftBehind(
            namespace=target.namespace,
            name=target.name,
            label=target.label,
            cluster_id=target.cluster_id,
            since=format_time(self._clock())[:19] + "Z",
            pod_count=len(pods),
            pods=tuple(pods[:PODS_MAX]),
        )
        await self._write({entry.key: entry.text()})
        self._recorded.add(target.uid)
        self.on_record()
        message = f"given up; {len(pods)} pods may have left something in it (ConfigMap {self._namespace}/{CONFIG_MAP})"
        logger.warning("target given up", target=target.name, namespace=target.namespace, pods=len(pods))
        await record(self._api, self._clock, target_kind(target.namespace), target, "LeftBehind", message)

    async def clear(self, connection: Connection) -> float | None:
        """Delete what a lost target left in the cluster that this connection leads to; returns when to look again."""
        if connection.trouble:
            return None
        try:
            entries = parse_left_behind(await self._api.get(CONFIG_MAPS, CONFIG_MAP, self._namespace))
        except NotFound:
            return None
        again = None
        for entry in entries:
            is_there = entry.cluster_id == connection.cluster_id if entry.cluster_id else False
            if is_there or (not entry.cluster_id and entry.label == connection.target.label):
                again = await self._clear(entry, connection) or again
        return again

    async def _clear(self, entry: LeftBehind, connection: Connection) -> float | None:
        namespace = entry.namespace or connection.target.namespace
        selector = f"{names.PARENT_CLUSTER_NAME}={connection.cluster_name},{names.TARGET}={entry.label}"
        try:
            listing = await connection.api.list(POD_CHAPERONS, namespace, label_selector=selector)
        except Forbidden:
            return None  # this Target's credential does not reach that namespace
        left = [c for c in map(parse_chaperon, listing.items) if not await self._is_used(c, entry)]
        for chaperon in left:
            if not chaperon.is_terminating:
                await self._delete(chaperon, connection)
        if left:
            return _LOOK_SECONDS
        if entry.namespace or not connection.target.namespace:
            await self._write({entry.key: None})
            target, message = connection.target, f"nothing is left of the lost target {entry.name}"
            await record(self._api, self._clock, target_kind(target.namespace), target, "ClearedUp", message, "Normal")
        return None

    async def _is_used(self, chaperon: Chaperon, entry: LeftBehind) -> bool:
        """Whether a Target of that label leads there again, and the chaperon's pod has not ended: the rule keeps it."""
        targets = [target for store in self._targets for target in store.values() if target.label == entry.label]
        if not any(_leads_to(target, entry.cluster_id) for target in targets):
            return False
        try:
            live = await self._api.get(PODS, chaperon.parent_name, chaperon.parent_namespace)
        except NotFound:
            return False
        proxy = parse_proxy(live)
        return proxy is not None and proxy.uid == chaperon.parent_uid and not proxy.is_finished

    async def _delete(self, chaperon: Chaperon, connection: Connection) -> None:
        with contextlib.suppress(NotFound):
            await connection.api.delete(
                POD_CHAPERONS,
                chaperon.name,
                chaperon.namespace,
                uid=chaperon.uid,
                resource_version=chaperon.resource_version,
                propagation="Foreground",
            )
            logger.info("left-behind chaperon deleted", target=connection.target.name, chaperon=chaperon.name)

    async def _write(self, data: dict[str, str | None]) -> None:
        """Merge into the ConfigMap's data; None removes."""
        try:
            await self._api.patch(CONFIG_MAPS, CONFIG_MAP, {"data": data}, self._namespace)
            return
        except NotFound:
            pass
        manifest: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG_MAP}}
        try:
            await self._api.create(CONFIG_MAPS, manifest | {"data": data}, self._namespace)
        except AlreadyExists:
            await self._api.patch(CONFIG_MAPS, CONFIG_MAP, {"data": data}, self._namespace)


def _leads_to(target: Target, cluster_id: str) -> bool:
    """Whether a Target stands for a cluster, and not for one that takes its place."""
    return not target.is_going and target.cluster_id == cluster_id and not is_accepted(target)
