"""Carries out what was decided for a proxy pod.

What must be true at the moment of a write is checked live right before it (rules S2, S3); a Conflict means that the
cache was behind, and the workqueue brings the key back.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import assert_never

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.controllers.commitment import Commitment, Waits
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.outlook import Outlook
from federation.decisions import intents
from federation.decisions.admission import tightened_affinity
from federation.decisions.candidate import chaperon_for
from federation.decisions.feedback import disrupted_patch, ended_patch, waiting_patch
from federation.events import record
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, NotFound, StatusError
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod, reservations_text
from federation.model.target import Target
from federation.model.times import format_time
from federation.submitted import BadAnnotation, parse_constraints, parse_kept_labels, parse_submitted


class ProxyWrites:
    """Writes for proxies, at home and in targets."""

    def __init__(
        self,
        *,
        api: Api,
        cluster_name: str,
        pods: Store[ProxyPod],
        targets: Callable[[], list[Target]],
        outlook: Outlook,
        experience: Experience,
        clock: Clock,
        own_config_names: frozenset[str] = frozenset(),
    ) -> None:
        self._api = api
        self._cluster_name = cluster_name
        self._pods = pods
        self._targets = targets
        self._outlook = outlook
        self._experience = experience
        self._clock = clock
        self._commitment = Commitment(api, own_config_names)

    async def perform(
        self, actions: Sequence[intents.Action], proxy: ProxyPod | None, connections: dict[str, Connection]
    ) -> None:
        """Carry out the actions for one proxy (None: it is gone), in order, but all questions at once.

        `connections` are those of the targets that serve it, by the name of their virtual nodes.
        """
        asks = [action for action in actions if isinstance(action, intents.Ask)]
        if asks:
            assert proxy is not None
            await asyncio.gather(*(self._ask(proxy, connections[ask.node_name]) for ask in asks))
        for action in actions:
            await self._perform(action, proxy, connections)

    async def _perform(
        self, action: intents.Action, proxy: ProxyPod | None, connections: dict[str, Connection]
    ) -> None:
        if isinstance(action, intents.Withdraw):
            await self._withdraw(action.chaperon, connections[action.node_name], is_orphan=proxy is None)
            return
        assert proxy is not None, "all but withdrawing is done to a proxy that is there"
        match action:
            case intents.Ask():
                pass  # done, all at once
            case intents.RecordTargets() | intents.RecordReservations():
                await self._put_on_record(proxy, action)
            case intents.ForgetTargets(finalizers):
                await self._forget(proxy, finalizers, connections)
            case intents.Allow(node_name, chaperon):
                await self._allow(proxy, chaperon, connections[node_name])
            case intents.Ungate():
                await self._ungate(proxy, action)
            case intents.Bind(node_name):
                await self._bind(proxy, node_name)
            case intents.Disrupt(reason, message):
                await self._disrupt(proxy, reason, message)
            case intents.End():
                await self._end(proxy, action, connections)
            case intents.Delete():
                await self._api.delete(PODS, proxy.name, proxy.namespace, uid=proxy.uid)
            case intents.Explain(message):
                await self._explain(proxy, message)
            case _:
                assert_never(action)

    async def _ask(self, proxy: ProxyPod, connection: Connection) -> None:
        live = proxy.manifest or await self._api.get(PODS, proxy.name, proxy.namespace)
        annotations = live["metadata"].get("annotations") or {}
        try:
            chaperon = chaperon_for(
                live,
                parse_submitted(annotations),
                parse_constraints(annotations),
                cluster_name=self._cluster_name,
                target=connection.target.label,
                is_kept_label=parse_kept_labels(annotations),
            )
            self._experience.asked(proxy, connection.target.node_name)
            connection.chaperons.learn(await connection.api.create(POD_CHAPERONS, chaperon))
        except AlreadyExists:
            return  # an earlier attempt of ours, whose answer was lost: our watch shows it
        except (StatusError, BadAnnotation) as error:
            message = error.message if isinstance(error, StatusError) else str(error)
            self._experience.rejected(proxy, connection.target.node_name, message)
            logger.warning("target refused a chaperon", pod=proxy.name, target=connection.target.name, error=message)

    async def _allow(self, proxy: ProxyPod, chaperon: Chaperon, connection: Connection) -> None:
        try:
            await self._commitment.allow(proxy, chaperon, connection)
        except Waits as why:
            if why.message != proxy.waiting_message:
                await self._explain(proxy, why.message)
            raise

    async def _withdraw(self, chaperon: Chaperon, connection: Connection, *, is_orphan: bool) -> None:
        if is_orphan and await self._is_alive(chaperon):
            return
        with contextlib.suppress(NotFound):
            await connection.soon(
                connection.api.delete(
                    POD_CHAPERONS,
                    chaperon.name,
                    chaperon.namespace,
                    uid=chaperon.uid,
                    resource_version=chaperon.resource_version,
                    propagation="Foreground",
                )
            )

    async def _is_alive(self, chaperon: Chaperon) -> bool:
        """Whether a chaperon's parent exists although our store does not hold it (its label may have been edited)."""
        try:
            live = await self._api.get(PODS, chaperon.parent_name, chaperon.parent_namespace)
        except NotFound as error:
            if not error.is_about(chaperon.parent_name):
                raise
            return False
        return bool(live["metadata"]["uid"] == chaperon.parent_uid)

    async def _set_finalizers(self, proxy: ProxyPod, finalizers: tuple[str, ...]) -> None:
        """Set the finalizers that stand for targets; a proxy that changed since it was looked at gives a Conflict."""
        metadata = {
            "uid": proxy.uid,
            "resourceVersion": proxy.resource_version,
            "finalizers": [*proxy.other_finalizers, *finalizers],
        }
        self._pods.learn(await self._api.patch(PODS, proxy.name, {"metadata": metadata}, proxy.namespace))

    async def _forget(self, proxy: ProxyPod, finalizers: tuple[str, ...], connections: dict[str, Connection]) -> None:
        """Drop finalizers whose target confirms, live, that the chaperon is gone (or that is lost, or no more: M7)."""
        targets = {target.finalizer: target for target in self._targets() if target.serves(proxy.namespace)}
        confirmed = set()
        for finalizer in finalizers:
            target = targets.get(finalizer)
            if (
                target is None
                or self._outlook.is_lost(target)
                or (target.node_name in connections and await self._is_gone(proxy, connections[target.node_name]))
            ):
                confirmed.add(finalizer)
        if confirmed:
            await self._set_finalizers(proxy, tuple(name for name in proxy.finalizers if name not in confirmed))

    async def _is_gone(self, proxy: ProxyPod, connection: Connection) -> bool:
        """Whether the cluster on record says, live, that the proxy's chaperon is not there (rules S3, S4)."""
        name = names.chaperon_name(proxy.name, proxy.uid, connection.target.label)
        try:
            await connection.soon(connection.api.get(POD_CHAPERONS, name, proxy.namespace))
        except NotFound as error:
            if not error.is_about(name):
                raise
            await connection.confirm()
            return True
        return False

    async def _ungate(self, proxy: ProxyPod, ungate: intents.Ungate) -> None:
        assert proxy.manifest is not None
        finalizers = [name for name in proxy.finalizers if name not in ungate.never_asked]
        known = dict(proxy.reservations) | dict(ungate.reservations)
        records = {names.UNGATED_AT: format_time(self._clock()), names.RESERVATIONS: reservations_text(known)}
        patch: Manifest = {
            "metadata": {
                "uid": proxy.uid,
                "resourceVersion": proxy.resource_version,
                "finalizers": [*proxy.other_finalizers, *finalizers],
                "annotations": records,
            },
            "spec": {
                "schedulingGates": None,
                "affinity": tightened_affinity(proxy.manifest["spec"], ungate.node_names),
            },
        }
        self._pods.learn(await self._api.patch(PODS, proxy.name, patch, proxy.namespace))

    async def _put_on_record(self, proxy: ProxyPod, action: intents.RecordTargets | intents.RecordReservations) -> None:
        """Record beside what is on record; a proxy that changed since it was looked at gives a Conflict."""
        if isinstance(action, intents.RecordTargets):
            await self._set_finalizers(proxy, (*proxy.finalizers, *action.finalizers))
            return
        text = reservations_text(dict(proxy.reservations) | dict(action.reservations))
        metadata = {
            "uid": proxy.uid,
            "resourceVersion": proxy.resource_version,
            "annotations": {names.RESERVATIONS: text},
        }
        self._pods.learn(await self._api.patch(PODS, proxy.name, {"metadata": metadata}, proxy.namespace))

    async def _bind(self, proxy: ProxyPod, node_name: str) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": proxy.name, "namespace": proxy.namespace, "uid": proxy.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
        }
        await self._api.create(PODS, binding, proxy.namespace, name=proxy.name, subresource="binding")
        logger.info("bound late", pod=proxy.name, namespace=proxy.namespace, node=node_name)

    async def _disrupt(self, proxy: ProxyPod, reason: str, message: str) -> None:
        await self._patch_status(proxy, disrupted_patch(proxy.status, reason, message, format_time(self._clock())))
        await self._record(proxy, reason, message)

    async def _end(self, proxy: ProxyPod, end: intents.End, connections: dict[str, Connection]) -> None:
        chosen = connections.get(proxy.node_name)
        is_lost = chosen is None or self._outlook.is_lost(chosen.target)
        if chosen is not None and not is_lost and not await self._is_gone(proxy, chosen):
            return
        live = await self._api.get(PODS, proxy.name, proxy.namespace)
        status = ended_patch(
            live.get("status") or {},
            end.reason,
            end.message,
            format_time(self._clock()),
            is_disruption=end.is_disruption,
        )
        await self._patch_status(proxy, status)
        if end.is_disruption and not proxy.disruption:
            await self._record(proxy, end.reason, end.message)

    async def _explain(self, proxy: ProxyPod, message: str) -> None:
        status = proxy.manifest.get("status") or {} if proxy.manifest is not None else proxy.status
        await self._patch_status(proxy, waiting_patch(status, message, format_time(self._clock())))
        await self._record(proxy, "NoReservation", message)

    async def _patch_status(self, proxy: ProxyPod, status: Manifest) -> None:
        body = {"metadata": {"uid": proxy.uid, "resourceVersion": proxy.resource_version}, "status": status}
        self._pods.learn(await self._api.patch(PODS, proxy.name, body, proxy.namespace, subresource="status"))

    async def _record(self, proxy: ProxyPod, reason: str, message: str) -> None:
        await record(self._api, self._clock, PODS, proxy, reason, message)
