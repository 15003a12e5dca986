"""A namespace that is being deleted loses everything in it, then its `kubernetes` finalizer, and with it goes."""

import asyncio
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.resources import NAMESPACES, Resource
from federation.kube.store import Key, Store
from lab.controllers.discovery import discover
from lab.controllers.objects import is_terminating

Manifest = dict[str, Any]

_FINALIZER = "kubernetes"
# Content that is still going (a pod's grace period, somebody's finalizer) is looked at again this soon.
_LOOK_AGAIN_SECONDS = 0.5


class NamespaceController:
    """Reconciles one namespace by ("", name)."""

    def __init__(self, api: Api, namespaces: Store[Manifest]) -> None:
        self._api = api
        self._namespaces = namespaces

    async def reconcile(self, key: Key) -> float | None:
        """Empty and finalize a namespace that is being deleted."""
        namespace = self._namespaces.get(*key)
        if namespace is None or not is_terminating(namespace):
            return None
        finalizers = namespace["spec"].get("finalizers") or []
        if _FINALIZER not in finalizers:
            return None
        kinds = [kind.resource for kind in await discover(self._api) if kind.resource.is_namespaced]
        listable = [resource for resource in kinds if (resource.group, resource.kind) != ("events.k8s.io", "Event")]
        left = await asyncio.gather(*(self._empty(resource, key[1]) for resource in listable))
        if sum(left):
            return _LOOK_AGAIN_SECONDS
        rest = [name for name in finalizers if name != _FINALIZER]
        body = namespace | {"spec": {**namespace["spec"], "finalizers": rest}}
        try:
            await self._api.replace(NAMESPACES, body, subresource="finalize")
        except NotFound:
            return None
        return None

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Delete all objects of a kind and return how many there were."""
        try:
            items = (await self._api.list(resource, namespace)).items
        except ApiError as error:
            if getattr(error, "code", 0) in (404, 405):
                return 0  # cannot be listed: reviews and the like, or a kind that has just gone
            raise
        going = [item for item in items if not is_terminating(item)]
        await asyncio.gather(*(self._delete(resource, item) for item in going))
        return len(items)

    async def _delete(self, resource: Resource, item: Manifest) -> None:
        metadata = item["metadata"]
        try:
            await self._api.delete(
                resource, metadata["name"], metadata["namespace"], uid=metadata["uid"], propagation="Background"
            )
        except (NotFound, Conflict):
            return
        except ApiError as error:
            if getattr(error, "code", 0) != 405:
                raise
