"""Ends pods on nodes with NoExecute taints that they do not tolerate, or no longer."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.store import Key, Store
from lab.controllers.disruption import end_pod
from lab.controllers.node_rules import evicted_in
from lab.controllers.objects import is_terminating

Manifest = dict[str, Any]


class TaintEviction:
    """Reconciles one pod by (namespace, name)."""

    def __init__(self, api: Api, nodes: Store[Manifest], pods: Store[Manifest], now: Callable[[], datetime]) -> None:
        self._api = api
        self._nodes = nodes
        self._pods = pods
        self._now = now
        self._seen: dict[str, tuple[list[Manifest], datetime]] = {}  # by node: its taints, and since when

    async def reconcile(self, key: Key) -> float | None:
        """Delete the pod when its time on its node is up; returns when that will be."""
        pod = self._pods.get(*key)
        node = self._nodes.get("", pod["spec"].get("nodeName") or "") if pod else None
        if pod is None or node is None or is_terminating(pod):
            return None
        taints = (node.get("spec") or {}).get("taints") or []
        left = evicted_in(pod, taints, self._since(node["metadata"]["name"], taints), self._now())
        if left is None or left > 0:
            return left
        text = "Taint manager: deleting due to NoExecute taint"
        await end_pod(self._api, pod, self._now(), reason="DeletionByTaintManager", message=text)
        return None

    def _since(self, node: str, taints: list[Manifest]) -> datetime:
        known, since = self._seen.get(node, ([], self._now()))
        if known != taints:
            since = self._now()
        self._seen[node] = (taints, since)
        return since
