"""The second phase: a bound proxy's candidate is let go ahead.

Only now does the chosen target get what the pod refers to, and only then is the chaperon allowed: a losing cluster
never sees a Secret, and a delegate never starts before its configuration is there.
"""

from loguru import logger

from federation import names
from federation.controllers.config_copies import put_copy, read_original
from federation.controllers.connection import Connection
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import Conflict, NotFound
from federation.kube.resources import PODS
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.references import references


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
        for reference in references(live["spec"]):
            original = await read_original(self._api, reference, proxy.namespace)
            if original is not None:  # what does not exist is left to the kubelet
                await put_copy(original, [chaperon], connection)
        patch = {"metadata": {"uid": chaperon.uid, "annotations": {names.IS_ALLOWED: "true"}}}
        try:
            allowed = await connection.api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
        except NotFound:
            return  # withdrawn meanwhile; the watch brings us back
        connection.chaperons.learn(allowed)
        logger.info(
            "allowed", pod=proxy.name, namespace=proxy.namespace, target=connection.target.name, chaperon=chaperon.name
        )
