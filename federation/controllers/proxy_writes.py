"""Carries out what was decided for a proxy pod: at home itself, in targets by their lanes (rule F4).

What must be true at the moment of a write is checked live right before it (rules S2, S3); a Conflict means that the
cache was behind, and the key is brought back: by the workqueue, or by the lane.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import assert_never

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.controllers.commitment import Commitment, Waits
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.farewells import WAIT_SECONDS, Farewells
from federation.controllers.lane import Errand, errand_key
from federation.controllers.outlook import Outlook
from federation.controllers.target_writes import TargetWrites
from federation.decisions import intents
from federation.decisions.admission import tightened_affinity
from federation.decisions.feedback import disrupted_patch, ended_patch, waiting_patch
from federation.events import record
from federation.kube.api import Api, Manifest
from federation.kube.resources import PODS
from federation.kube.store import Key, Store
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod, reservations_text
from federation.model.target import Target
from federation.model.times import format_time

_REFUSED_SECONDS = 5.0


class ProxyWrites:
    """Writes for proxies. `again(key, seconds)` has one decided on again; set by the wiring."""

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
        self._pods = pods
        self._targets = targets
        self._outlook = outlook
        self._experience = experience
        self._clock = clock
        self._commitment = Commitment(api, own_config_names)
        self._abroad = TargetWrites(api=api, cluster_name=cluster_name, experience=experience)
        self._farewells = Farewells(clock)
        self.again: Callable[[Key, float], None] = lambda key, seconds: None

    async def perform(
        self, key: Key, actions: Sequence[intents.Action], proxy: ProxyPod | None, connections: dict[str, Connection]
    ) -> None:
        """Hand each target's part to its lane, and carry out the others, in order, for one proxy (None: it is gone).

        `connections` are those of the targets that serve it, by the name of their virtual nodes. A lane that is handed
        nothing for this proxy drops what it has not begun yet.
        """
        at_home: list[intents.Action] = []
        abroad: dict[str, list[intents.Action]] = defaultdict(list)
        if not any(isinstance(action, intents.ForgetTargets) for action in actions):
            self._farewells.forget(key)
        for action in actions:
            match action:
                case intents.Ask(node) | intents.Withdraw(node) | intents.Allow(node):
                    abroad[node].append(action)
                case intents.End() if proxy is not None and self._must_answer(proxy.node_name, connections):
                    abroad[proxy.node_name].append(action)
                case intents.ForgetTargets(finalizers) if proxy is not None:
                    for node, finalizer in self._begin_farewell(key, proxy, finalizers, connections):
                        abroad[node].append(intents.ForgetTargets((finalizer,)))
                    at_home.append(action)
                case _:
                    at_home.append(action)
        for node, connection in connections.items():
            self._hand_over(key, abroad.get(node, []), proxy, connection)
        for action in at_home:
            assert proxy is not None, "all but withdrawing is done to a proxy that is there"
            await self._perform_at_home(key, action, proxy)

    def _must_answer(self, node: str, connections: dict[str, Connection]) -> bool:
        """Whether a target has to confirm, live, that a chaperon is gone: it is connected, and not given up."""
        return node in connections and not self._outlook.is_lost(connections[node].target)

    def _hand_over(
        self, key: Key, actions: list[intents.Action], proxy: ProxyPod | None, connection: Connection
    ) -> None:
        lane, errand = connection.lane, errand_key(PODS, *key)
        if not actions:
            lane.drop(errand)
            return

        async def run() -> float | None:
            again = [await self._perform_abroad(key, action, proxy, connection) for action in actions]
            return min((seconds for seconds in again if seconds is not None), default=None)

        is_question = any(isinstance(action, intents.Ask) for action in actions)
        if is_question:
            assert proxy is not None
            self._experience.asked(proxy, connection.target.node_name)
        what = (proxy.uid if proxy is not None else "", *actions)
        lane.put(errand, Errand(what, run, lambda after: self.again(key, after), is_begun=not is_question))

    async def _perform_abroad(
        self, key: Key, action: intents.Action, proxy: ProxyPod | None, connection: Connection
    ) -> float | None:
        """Carry out one action in a target, in its lane; returns when to decide anew, where nothing else would tell."""
        if isinstance(action, intents.Withdraw):
            await self._abroad.withdraw(action.chaperon, connection, is_orphan=proxy is None)
            return None
        assert proxy is not None, "as above"
        match action:
            case intents.Ask():
                if await self._abroad.ask(proxy, connection):
                    return None
                # Nothing else may be asked for a bound one: quota, policy or rights have to change first.
                return _REFUSED_SECONDS if proxy.node_name else 0.0
            case intents.Allow(_, chaperon):
                await self._allow(proxy, chaperon, connection)
            case intents.End():
                if await self._abroad.is_gone(proxy, connection):
                    await self._end(proxy, action)
            case intents.ForgetTargets((finalizer,)):
                if await self._abroad.is_gone(proxy, connection):
                    self._farewells.say(key, proxy.uid, finalizer)
                    return None if await self._forget(key, proxy) else WAIT_SECONDS
            case _:
                raise AssertionError(f"not for a lane: {action}")
        return None

    async def _perform_at_home(self, key: Key, action: intents.Action, proxy: ProxyPod) -> None:
        match action:
            case intents.RecordTargets() | intents.RecordReservations():
                await self._put_on_record(proxy, action)
            case intents.ForgetTargets():
                if not await self._forget(key, proxy) and self._farewells.has_begun(key):
                    self.again(key, WAIT_SECONDS)
            case intents.Ungate():
                await self._ungate(proxy, action)
            case intents.Bind(node_name):
                await self._bind(proxy, node_name)
            case intents.Disrupt(reason, message):
                await self._disrupt(proxy, reason, message)
            case intents.End():
                await self._end(proxy, action)
            case intents.Delete():
                await self._api.delete(PODS, proxy.name, proxy.namespace, uid=proxy.uid)
            case intents.Explain(message):
                await self._explain(proxy, message)
            case intents.Ask() | intents.Withdraw() | intents.Allow():
                raise AssertionError(f"for a lane: {action}")
            case _:
                assert_never(action)

    async def _allow(self, proxy: ProxyPod, chaperon: Chaperon, connection: Connection) -> None:
        try:
            await self._commitment.allow(proxy, chaperon, connection)
        except Waits as why:
            if why.message != proxy.waiting_message:
                await self._explain(proxy, why.message)
            raise

    async def _set_finalizers(self, proxy: ProxyPod, finalizers: tuple[str, ...]) -> None:
        """Set the finalizers that stand for targets; a proxy that changed since it was looked at gives a Conflict."""
        metadata = {
            "uid": proxy.uid,
            "resourceVersion": proxy.resource_version,
            "finalizers": [*proxy.other_finalizers, *finalizers],
        }
        self._pods.learn(await self._api.patch(PODS, proxy.name, {"metadata": metadata}, proxy.namespace))

    def _begin_farewell(
        self, key: Key, proxy: ProxyPod, finalizers: tuple[str, ...], connections: dict[str, Connection]
    ) -> list[tuple[str, str]]:
        """Return the targets (virtual node, finalizer) that have to confirm yet, live, that the chaperon is gone.

        Of one that is lost, or no more, nothing is waited for (rule M7).
        """
        targets = {target.finalizer: target for target in self._targets() if target.serves(proxy.namespace)}
        found = {finalizer: targets.get(finalizer) for finalizer in finalizers}
        known = [name for name, target in found.items() if target is None or self._outlook.is_lost(target)]
        nodes = {name: target.node_name for name, target in found.items() if target is not None and name not in known}
        awaited = [name for name, node in nodes.items() if node in connections]
        return [(nodes[name], name) for name in self._farewells.expect(key, proxy.uid, awaited, known)]

    async def _forget(self, key: Key, proxy: ProxyPod) -> bool:
        """Drop the finalizers of the targets that have confirmed, if it is time; returns whether it was."""
        confirmed = self._farewells.take(key)
        if confirmed:
            await self._set_finalizers(proxy, tuple(name for name in proxy.finalizers if name not in confirmed))
        return bool(confirmed)

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

    async def _end(self, proxy: ProxyPod, end: intents.End) -> None:
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
