"""The second phase: a bound proxy's candidate is let go ahead.

Only now does the chosen target get what the pod refers to, and only then is the chaperon allowed: a losing cluster
never sees a Secret, and a delegate never starts before its configuration is there.
"""

from loguru import logger

from federation import names
from federation.controllers.connection import Connection
from federation.decisions.following import Reference, copy_of, references
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Conflict, NotFound
from federation.kube.resources import CONFIG_MAPS, PODS, SECRETS, Resource
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod

_RESOURCES: dict[str, Resource] = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}


class Commitment:
    """Allows chaperons of one source's proxies."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def allow(self, proxy: ProxyPod, chaperon: Chaperon, connection: Connection) -> None:
        """Copy, then allow, after a live read: same uid, bound there, not terminating (rule S2)."""
        live = await self._api.get(PODS, proxy.name, proxy.namespace)
        metadata = live["metadata"]
        if (
            metadata["uid"] != proxy.uid
            or live["spec"].get("nodeName") != connection.target.node_name
            or metadata.get("deletionTimestamp")
        ):
            raise Conflict(409, "Conflict", f"pod {proxy.name} is no longer the one that was decided on")
        await self.follow(live, chaperon, connection)
        patch = {"metadata": {"uid": chaperon.uid, "annotations": {names.IS_ALLOWED: "true"}}}
        try:
            allowed = await connection.api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
        except NotFound:
            return  # withdrawn meanwhile; the watch brings us back
        connection.chaperons.learn(allowed)
        logger.info(
            "allowed", pod=proxy.name, namespace=proxy.namespace, target=connection.target.name, chaperon=chaperon.name
        )

    async def follow(self, live: Manifest, chaperon: Chaperon, connection: Connection) -> None:
        """Bring copies of all that a proxy refers to into the target; what does not exist is left to the kubelet."""
        for reference in sorted(references(live["spec"])):
            await self._copy(reference, chaperon, connection)

    async def _copy(self, reference: Reference, chaperon: Chaperon, connection: Connection) -> None:
        resource, namespace = _RESOURCES[reference.kind], chaperon.parent_namespace
        try:
            original = await self._api.get(resource, reference.name, namespace)
        except NotFound:
            return
        original.setdefault("kind", reference.kind)
        try:
            existing: Manifest | None = await connection.api.get(resource, reference.name, namespace)
        except NotFound:
            existing = None
        copy = copy_of(original, chaperon, existing)
        if copy is None:
            return
        if existing is not None:
            await connection.api.replace(resource, copy)
            return
        try:
            await connection.api.create(resource, copy)
        except AlreadyExists as error:
            raise Conflict(409, "Conflict", error.message) from error  # another pod's copy: look again, join its owners
