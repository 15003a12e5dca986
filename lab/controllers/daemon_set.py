"""Keeps one pod of each DaemonSet on every node that it selects and tolerates."""

from typing import Any

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import DAEMON_SETS, PODS
from federation.kube.store import Key, Store
from lab.controllers.daemon_rules import new_pod, plan
from lab.controllers.expectations import Expectations
from lab.controllers.objects import is_terminating

Manifest = dict[str, Any]


class DaemonSetController:
    """Reconciles one DaemonSet by (namespace, name). History (ControllerRevision) and minReadySeconds are not kept."""

    def __init__(
        self,
        api: Api,
        daemon_sets: Store[Manifest],
        nodes: Store[Manifest],
        pods: Store[Manifest],
        expectations: Expectations,
    ) -> None:
        self._api = api
        self._daemon_sets = daemon_sets
        self._nodes = nodes
        self._pods = pods
        self._expectations = expectations

    async def reconcile(self, key: Key) -> float | None:
        """Create and delete pods, then write the status."""
        daemon_set = self._daemon_sets.get(*key)
        if daemon_set is None or is_terminating(daemon_set):
            self._expectations.forget(key)
            return None
        if wait := self._expectations.wait_seconds(key):
            return wait
        pods = self._pods.by("controller", daemon_set["metadata"]["uid"])
        decided = plan(daemon_set, list(self._nodes.values()), pods)
        for node in decided.create:
            self._expectations.expect(key, await self._api.create(PODS, new_pod(daemon_set, node), key[0]))
        for pod in decided.delete:
            await self._delete(pod)
        status = {name: value for name, value in decided.status.items() if value or name in _ALWAYS}
        if status != {
            name: value for name, value in (daemon_set.get("status") or {}).items() if name in decided.status
        }:
            await self._api.replace(DAEMON_SETS, daemon_set | {"status": decided.status}, subresource="status")
        return None

    async def _delete(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        try:
            await self._api.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            return


# Numbers that the API always shows; the others are left out where they are zero.
_ALWAYS = {"desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady"}
