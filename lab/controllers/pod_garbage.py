"""Clears away pods that nobody else will: their node is gone, they never had one, or too many have ended.

A sweep every 20 s, as upstream. A node must have been gone for 40 s, live, before its pods are given up: it may only
be registering again. A pod that is being deleted and was never bound (gated ones too) is first Failed: who waits for
its end can then count it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import NODES
from federation.kube.store import Key, Store
from lab.controllers.disruption import end_pod
from lab.controllers.objects import is_terminating

Manifest = dict[str, Any]

SWEEP_SECONDS = 20.0
QUARANTINE_SECONDS = 40.0
_TERMINATED_MAX = 12500  # upstream's --terminated-pod-gc-threshold


class PodGarbage:
    """One sweep over all pods, whatever the key."""

    def __init__(
        self,
        api: Api,
        nodes: Store[Manifest],
        pods: Store[Manifest],
        seconds: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._pods = pods
        self._seconds = seconds
        self._now = now
        self._missing_since: dict[str, float] = {}

    async def reconcile(self, _key: Key) -> float:
        """Sweep, and again in 20 s."""
        pods = list(self._pods.values())
        gone = await self._gone_nodes({pod["spec"].get("nodeName") or "" for pod in pods} - {""})
        for pod in pods:
            node = pod["spec"].get("nodeName") or ""
            if node in gone:
                text = "PodGC: node no longer exists"
                await self._end(pod, reason="DeletionByPodGC", message=text)
            elif not node and is_terminating(pod):
                await self._end(pod)
        for pod in surplus(pods):
            await self._end(pod)
        return SWEEP_SECONDS

    async def _end(self, pod: Manifest, reason: str = "", message: str = "") -> None:
        await end_pod(self._api, pod, self._now(), reason=reason, message=message, fails=True, grace_period_seconds=0)

    async def _gone_nodes(self, used: set[str]) -> set[str]:
        missing = {name for name in used if self._nodes.get("", name) is None}
        now = self._seconds()
        self._missing_since = {name: self._missing_since.get(name, now) for name in missing}
        long = {name for name, since in self._missing_since.items() if now - since >= QUARANTINE_SECONDS}
        return {name for name in long if await self._is_gone(name)}

    async def _is_gone(self, name: str) -> bool:
        try:
            await self._api.get(NODES, name)
        except NotFound:
            return True
        return False


def surplus(pods: list[Manifest], limit: int = _TERMINATED_MAX) -> list[Manifest]:
    """Return the oldest of the pods that have ended, beyond the limit."""
    ended = [pod for pod in pods if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")]
    ended.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    return ended[: max(0, len(ended) - limit)]
