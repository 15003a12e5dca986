"""Keeps a bound proxy's status equal to its delegate's, compared with the proxy as the API server has it (rule C3).

That a delegate was disrupted in its own cluster is told by an Event as well, once (rule C5).
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.decisions.addresses import Network, networks_for
from federation.decisions.believed import believed_status
from federation.decisions.feedback import disruption, status_patch
from federation.decisions.mirroring import is_rejected
from federation.decisions.pace import Spent, spend
from federation.events import record
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.pod import TERMINAL_PHASES, ProxyPod

Key = tuple[str, str]


class Feedback:
    """Reconciles proxy pods by (namespace, name)."""

    def __init__(
        self,
        *,
        api: Api,
        pods: Store[ProxyPod],
        connections: Callable[[], list[Connection]],
        clock: Clock,
        endpoint_cidrs: Mapping[str, Sequence[Network]],
    ) -> None:
        self._api = api
        self._pods = pods
        self._connections = connections
        self._clock = clock
        self._endpoint_cidrs = endpoint_cidrs
        self._spent: dict[str, Spent] = {}  # by uid: what each proxy has had of the writes that a target can cause
        pods.subscribe(self._on_pod)

    def _on_pod(self, _: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._spent.pop(old.uid, None)

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
        networks = networks_for(connection.target, self._endpoint_cidrs)
        told = believed_status(chaperon.status, proxy.container_names, networks)
        patch = status_patch(proxy.status, told, proxy.container_names)
        if not patch:
            return None
        now, is_end = self._clock(), patch.get("phase") in TERMINAL_PHASES
        spent = self._spent.get(proxy.uid)
        if spent is not None and not is_end and (rest := spent.rest(now)):
            return rest  # what it says by then is shown, and all between is not
        self._spent[proxy.uid] = spend(spent, now)
        body = {"metadata": {"uid": proxy.uid, "resourceVersion": proxy.resource_version}, "status": patch}
        with contextlib.suppress(NotFound):
            self._pods.learn(await self._api.patch(PODS, proxy.name, body, proxy.namespace, subresource="status"))
            if not proxy.disruption:
                await self._tell(proxy, disruption(patch))
        return None

    async def _tell(self, proxy: ProxyPod, found: Manifest) -> None:
        if found:
            message = f"its delegate on {proxy.node_name}: {found.get('message') or 'it was disrupted there'}"
            await record(self._api, self._clock, PODS, proxy, str(found.get("reason") or "Disrupted"), message)
