"""Keeps the status of Targets and ClusterTargets equal to what their connections know, and says what changed for bad.

The cluster's id is put on record with the first answer, before anything is asked there, and is replaced only where a
person has accepted the loss of the old cluster; what that may still hold is then put on record first.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from federation.clock import Clock
from federation.controllers.outlook import Outlook
from federation.decisions.addresses import Network, networks_for
from federation.decisions.target_status import TargetFacts, replaces_cluster, status_patch
from federation.events import record
from federation.kinds import target_kind
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.store import Store
from federation.model.target import Target
from federation.model.times import format_time

Key = tuple[str, str]

_COUNT_AGAIN = timedelta(seconds=5)
_SAID_ALOUD = ("ClusterChanged", "ChaperonsVanished", "KindMissing", "BadKubeconfig", "Unreachable")


class TargetStatus:
    """Reconciles targets by (namespace, name).

    `problems` are why some have no connection, `remains(target)` says what is left of one that is being deleted.
    """

    def __init__(
        self,
        *,
        api: Api,
        targets: list[Store[Target]],
        outlook: Outlook,
        clock: Clock,
        problems: Mapping[Key, str],
        remains: Callable[[Target], str],
        leave_behind: Callable[[Target], Awaitable[None]],
        endpoint_cidrs: Mapping[str, Sequence[Network]],
    ) -> None:
        self._api = api
        self._targets = targets
        self._problems = problems
        self._outlook = outlook
        self._clock = clock
        self._remains = remains
        self._leave_behind = leave_behind
        self._endpoint_cidrs = endpoint_cidrs
        self._count_at: dict[Key, datetime] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Write one target's status if it says something else."""
        target = next((found for store in self._targets if (found := store.get(*key)) is not None), None)
        facts = self._facts(target) if target is not None else None
        if target is None or facts is None:
            self._count_at.pop(key, None)
            return None
        if facts.remains and (rest := self._count_at.get(key, self._clock()) - self._clock()) > timedelta(0):
            return rest.total_seconds()  # what is left of a Target is counted down, but not pod by pod
        if facts.remains:
            self._count_at[key] = self._clock() + _COUNT_AGAIN
        patch = status_patch(target, facts, format_time(self._clock())[:19] + "Z")
        if not patch:
            return _COUNT_AGAIN.total_seconds() if facts.remains else None
        if replaces_cluster(target, facts):
            await self._leave_behind(target)
        resource = target_kind(target.namespace)
        body = {"metadata": {"uid": target.uid}, "status": patch}
        try:
            await self._api.patch(resource, target.name, body, target.namespace, subresource="status")
        except NotFound:
            return None
        await self._say(target, patch)
        return None

    def _facts(self, target: Target) -> TargetFacts | None:
        remains = self._remains(target) if target.is_going else ""
        if problem := self._problems.get(target.key):
            return TargetFacts(problem, "", "", "", remains=remains, networks=self._networks(target))
        connection = self._outlook.connection(target)
        if connection is None or not connection.has_answered.is_set():
            return None
        return TargetFacts(
            "",
            connection.trouble if connection.pulse.message or connection.chaperons.trouble else "",
            connection.pulse.message,
            connection.cluster_id,
            self._outlook.doubt(target),
            remains,
            connection.is_kind_missing,
            self._networks(target),
        )

    def _networks(self, target: Target) -> tuple[Network, ...] | None:
        return networks_for(target, self._endpoint_cidrs)

    async def _say(self, target: Target, patch: Manifest) -> None:
        """Record an Event where the target has become unusable for another reason than before."""
        ready: Manifest = next((c for c in patch.get("conditions") or [] if c["type"] == "Ready"), {})
        if ready.get("reason") not in _SAID_ALOUD or ready["reason"] == target.condition("Ready").get("reason"):
            return
        await record(self._api, self._clock, target_kind(target.namespace), target, ready["reason"], ready["message"])
