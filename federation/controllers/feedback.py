"""Keeps a bound proxy's status equal to its delegate's, compared with the proxy as the API server has it (rule C3)."""

import contextlib
from collections.abc import Callable

from federation.controllers.connection import Connection
from federation.decisions.feedback import status_patch
from federation.decisions.mirroring import is_rejected
from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.pod import ProxyPod

Key = tuple[str, str]


class Feedback:
    """Reconciles proxy pods by (namespace, name)."""

    def __init__(self, *, api: Api, pods: Store[ProxyPod], connections: Callable[[], list[Connection]]) -> None:
        self._api = api
        self._pods = pods
        self._connections = connections

    async def reconcile(self, key: Key) -> float | None:
        """Show the delegate's status on the proxy."""
        proxy = self._pods.get(*key)
        if proxy is None or not proxy.node_name or proxy.is_finished:
            return None
        connection = next((c for c in self._connections() if c.target.node_name == proxy.node_name), None)
        if connection is None or connection.trouble:
            return None
        chaperons = connection.chaperons.by("parent", f"{key[0]}/{key[1]}")
        chaperon = next((c for c in chaperons if c.parent_uid == proxy.uid and c.is_allowed), None)
        if chaperon is None or not chaperon.status or is_rejected(chaperon.status):
            return None
        patch = status_patch(proxy.status, chaperon.status, proxy.container_names)
        if not patch:
            return None
        body = {"metadata": {"uid": proxy.uid, "resourceVersion": proxy.resource_version}, "status": patch}
        with contextlib.suppress(NotFound):
            self._pods.learn(await self._api.patch(PODS, proxy.name, body, proxy.namespace, subresource="status"))
        return None
