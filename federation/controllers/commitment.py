"""The second phase: a bound proxy's candidate is let go ahead.

Only now does the chosen target get what the pod refers to, and only then is the chaperon allowed: a losing cluster
never sees a Secret, a delegate never starts before its configuration is there, and it reads no other (rule T6).
"""

from loguru import logger

from federation import names
from federation.controllers.config_copies import Put, is_shared, put_copy, put_placeholder, read_original
from federation.controllers.connection import Connection
from federation.decisions.following import waiting_message
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import Conflict, NotFound
from federation.kube.resources import PODS
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod, parse_reservations
from federation.model.references import Reference, references, required


class Waits(Conflict):
    """A pod may not go ahead: its configuration is not there, or not its own. Tried again, and when that changes."""

    def __init__(self, message: str) -> None:
        super().__init__(409, "Conflict", message)


class Commitment:
    """Allows chaperons of one source's proxies."""

    def __init__(self, api: Api, own_names: frozenset[str] = frozenset()) -> None:
        self._api = api
        self._not_copied = {Reference("ConfigMap", name) for name in own_names}

    async def allow(self, proxy: ProxyPod, chaperon: Chaperon, connection: Connection) -> None:
        """Copy, then allow, after a live read: same uid, bound there, not terminating, on record (rules S2, S7).

        Raises Waits (T6).
        """
        live = await self._api.get(PODS, proxy.name, proxy.namespace)
        metadata = live["metadata"]
        if (
            metadata["uid"] != proxy.uid
            or live["spec"].get("nodeName") != connection.target.node_name
            or metadata.get("deletionTimestamp")
            or _on_record(metadata, connection.target.node_name) != chaperon.uid
        ):
            raise Conflict(409, "Conflict", f"pod {proxy.name} is no longer the one that was decided on")
        if not connection.target.is_self:
            await self._bring(live, chaperon, connection)
        patch = {"metadata": {"uid": chaperon.uid, "annotations": {names.IS_ALLOWED: "true"}}}
        try:
            allowed = await connection.api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
        except NotFound:
            return  # withdrawn meanwhile; the watch brings us back
        connection.chaperons.learn(allowed)
        logger.info(
            "allowed", pod=proxy.name, namespace=proxy.namespace, target=connection.target.name, chaperon=chaperon.name
        )

    async def _bring(self, live: Manifest, chaperon: Chaperon, connection: Connection) -> None:
        """Bring all that the pod refers to. Raises Waits where the pod would lack something, or read what is not ours.

        What it can do without and is not at home gets an empty copy, which takes the name in the target.
        """
        spec, namespace = live["spec"], chaperon.namespace
        wanted = [found for found in references(spec) if found not in self._not_copied]
        originals = [await read_original(self._api, reference, namespace) for reference in wanted]
        needed, missing, foreign = required(spec), list[Reference](), list[Reference]()
        for reference, original in zip(wanted, originals, strict=True):
            is_missing = original is None and reference in needed
            if is_missing and not await is_shared(reference, namespace, connection):
                missing.append(reference)
        for reference, original in zip(wanted, originals, strict=True) if not missing else []:
            if original is not None:
                put = await put_copy(original, [chaperon], connection)
            elif reference not in needed:
                put = await put_placeholder(reference, chaperon, connection)
            else:
                continue  # its owner shares one
            if put is Put.FOREIGN and not await is_shared(reference, namespace, connection):
                foreign.append(reference)
        if message := waiting_message(connection.target.name, missing, foreign):
            raise Waits(message)


def _on_record(metadata: Manifest, node_name: str) -> str:
    """Return the uid of the chaperon that may be allowed on a virtual node; empty where none is on record."""
    text = (metadata.get("annotations") or {}).get(names.RESERVATIONS, "")
    return dict(parse_reservations(text)).get(node_name, "")
