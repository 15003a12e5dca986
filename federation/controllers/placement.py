"""Keeps the one rule for every proxy pod: reads what is known, decides, has it written (`proxy_writes`)."""

import contextlib
from collections.abc import Callable
from datetime import timedelta

from federation import names
from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.outlook import Outlook
from federation.controllers.proxy_writes import ProxyWrites
from federation.controllers.unused import Unused
from federation.decisions import intents, placement
from federation.decisions.admission import untied_spec
from federation.decisions.asking import shape
from federation.decisions.bound import NO_ROOM_AFTER
from federation.decisions.eligibility import obstacle
from federation.decisions.intents import TargetView
from federation.decisions.spread import is_counted
from federation.kube.api import Api, Manifest
from federation.kube.store import Store
from federation.model.pod import ProxyPod
from federation.model.scheduling import SchedulingNode
from federation.model.target import Target
from federation.submitted import BadAnnotation, parse_submitted

Key = tuple[str, str]


class Placement:
    """Reconciles proxy pods by (namespace, name)."""

    def __init__(
        self,
        *,
        api: Api,
        cluster_name: str,
        pods: Store[ProxyPod],
        nodes: Store[SchedulingNode],
        is_labelled: Callable[[str], bool],
        targets: Callable[[], list[Target]],
        outlook: Outlook,
        experience: Experience,
        unused: Unused,
        clock: Clock,
        no_room_after: timedelta = NO_ROOM_AFTER,
        own_config_names: frozenset[str] = frozenset(),
    ) -> None:
        self._pods = pods
        self._nodes = nodes
        self._is_labelled = is_labelled
        self._targets = targets
        self._outlook = outlook
        self._experience = experience
        self._unused = unused
        self._clock = clock
        self._no_room_after = no_room_after
        self.writes = ProxyWrites(
            api=api,
            cluster_name=cluster_name,
            pods=pods,
            targets=targets,
            outlook=outlook,
            experience=experience,
            clock=clock,
            own_config_names=own_config_names,
        )

    async def reconcile(self, key: Key) -> float | None:
        """Bring one proxy pod's chaperons, gate, finalizers and end to what the rule says."""
        proxy = self._pods.get(*key)
        targets = sorted((t for t in self._targets() if t.serves(key[0])), key=lambda target: target.node_name)
        if proxy is not None and not self._is_served(proxy, targets):
            return None  # rule C4
        if proxy is not None:
            self._learn(proxy)
        found = {target.node_name: self._outlook.connection(target) for target in targets}
        connections = {node: connection for node, connection in found.items() if connection is not None}
        spec = untied_spec(proxy) if proxy is not None else None
        views = tuple(
            self._outlook.seen(self._view(key, proxy, spec, connections[target.node_name]), target)
            if target.node_name in connections
            else self._outlook.unconnected(target)
            for target in targets
        )
        plan = placement.decide(proxy, views, self._clock(), self._no_room_after)
        asks = [action for action in plan.actions if isinstance(action, intents.Ask)]
        if proxy is not None and proxy.gates:
            self._stand_in_line(proxy, views, asks)
        if proxy is not None and not proxy.node_name:
            self._forget_unasked(proxy, views, asks)
        await self.writes.perform(key, plan.actions, proxy, connections)
        return plan.look_again_seconds

    def _is_served(self, proxy: ProxyPod, targets: list[Target]) -> bool:
        """Whether a proxy is ours to look after: in a labelled namespace, or something of it has to end."""
        is_leaving = any(target.is_going and target.finalizer in proxy.finalizers for target in targets)
        return proxy.is_terminating or is_leaving or self._is_labelled(proxy.namespace)

    def _view(self, key: Key, proxy: ProxyPod | None, spec: Manifest | None, connection: Connection) -> TargetView:
        target = connection.target
        chaperons = tuple(connection.chaperons.by("parent", f"{key[0]}/{key[1]}"))
        if proxy is None or spec is None:
            return TargetView(target.name, target.node_name, target.finalizer, "", connection.trouble, chaperons)
        node = self._nodes.get("", target.node_name)
        recorded = proxy.reserved(target.node_name)
        own = names.chaperon_name(proxy.name, proxy.uid, target.label)
        return TargetView(
            target.name,
            target.node_name,
            target.finalizer,
            obstacle(spec, node) if node else "its virtual node is not there yet",
            connection.trouble or connection.unreadable(key[0], own),
            chaperons,
            self._experience.odds(proxy, connection, node),
            node is not None and is_counted(proxy, node),
            was_never_allowed=bool(recorded) and self._unused.has(recorded),
        )

    def _learn(self, proxy: ProxyPod) -> None:
        """Tell the experience what kind of pod this is; an unreadable annotation is said when candidates are made."""
        if proxy.manifest is None or self._experience.knows(proxy):
            return
        with contextlib.suppress(BadAnnotation):
            source = parse_submitted(proxy.manifest["metadata"].get("annotations") or {})
            self._experience.learn(proxy, shape(proxy.namespace, source["spec"]))

    def _stand_in_line(self, proxy: ProxyPod, views: tuple[TargetView, ...], asks: list[intents.Ask]) -> None:
        """Where a gated pod might have been asked but was not, it is woken when its turn comes."""
        asked = {ask.node_name for ask in asks}
        for view in views:
            is_free = not (view.obstacle or view.trouble or view.chaperons or view.node_name in asked)
            if is_free and (not view.odds.is_open or view.odds.is_refused or view.odds.is_probed):
                self._experience.stands_in_line(proxy, view.node_name)

    def _forget_unasked(self, proxy: ProxyPod, views: tuple[TargetView, ...], asks: list[intents.Ask]) -> None:
        """A question that could not be put, and is not to be put now, is none that a target has to answer."""
        asked = {ask.node_name for ask in asks}
        for view in views:
            is_put = view.odds.is_on_its_way or view.odds.is_failing
            if view.odds.asked_at is not None and not (view.chaperons or is_put or view.node_name in asked):
                self._experience.unasked(proxy, view.node_name)
