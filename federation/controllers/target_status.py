"""Keeps the status of Targets and ClusterTargets equal to what their connections know."""

from federation.clock import Clock
from federation.controllers.connections import Connections
from federation.decisions.target_status import TargetFacts, status_patch
from federation.kinds import CLUSTER_TARGETS, TARGETS
from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.store import Store
from federation.model.target import Target
from federation.model.times import format_time

Key = tuple[str, str]


class TargetStatus:
    """Reconciles targets by (namespace, name)."""

    def __init__(self, *, api: Api, targets: list[Store[Target]], connections: Connections, clock: Clock) -> None:
        self._api = api
        self._targets = targets
        self._connections = connections
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """Write one target's status if it says something else."""
        target = next((found for store in self._targets if (found := store.get(*key)) is not None), None)
        facts = self._facts(key)
        if target is None or facts is None:
            return None
        patch = status_patch(target, facts, format_time(self._clock())[:19] + "Z")
        if not patch:
            return None
        resource = TARGETS if target.namespace else CLUSTER_TARGETS
        body = {"metadata": {"uid": target.uid}, "status": patch}
        try:
            await self._api.patch(resource, target.name, body, target.namespace, subresource="status")
        except NotFound:
            return None
        return None

    def _facts(self, key: Key) -> TargetFacts | None:
        if problem := self._connections.problems.get(key):
            return TargetFacts(problem, "", "", "")
        connection = next((c for c in self._connections.current() if c.target.key == key), None)
        if connection is None or not connection.has_answered.is_set():
            return None
        return TargetFacts("", connection.trouble, connection.pulse.message, connection.cluster_id)
