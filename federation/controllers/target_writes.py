"""What is done to chaperons in a target, by that target's lane: asking, withdrawing, and looking whether one is gone.

What must be true at the moment of a write is checked live right before it, or by the API server (rules S2, S3).
"""

import contextlib

from loguru import logger

from federation import names
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.submitters import Submitters
from federation.decisions.candidate import chaperon_for
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, NotFound, StatusError, is_passing
from federation.kube.resources import PODS
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.submitted import BadAnnotation, parse_constraints, parse_kept_labels, parse_submitted


class TargetWrites:
    """Writes for one source's proxies; `api` is that of their own cluster."""

    def __init__(self, *, api: Api, cluster_name: str, experience: Experience) -> None:
        self._api = api
        self._cluster_name = cluster_name
        self._experience = experience
        self._submitters = Submitters(api)

    async def ask(self, proxy: ProxyPod, connection: Connection) -> bool:
        """Create the chaperon; returns whether the target took it.

        A server that does not answer, is only just starting, or has too much to do raises: that is no refusal (M8).
        """
        live = proxy.manifest or await self._api.get(PODS, proxy.name, proxy.namespace)
        annotations = live["metadata"].get("annotations") or {}
        try:
            if connection.target.is_self:
                await self._submitters.require(live)
            chaperon = chaperon_for(
                live,
                parse_submitted(annotations),
                parse_constraints(annotations),
                cluster_name=self._cluster_name,
                target=connection.target.label,
                is_kept_label=parse_kept_labels(annotations),
            )
            connection.chaperons.learn(await connection.api.create(POD_CHAPERONS, chaperon))
        except AlreadyExists:
            return True  # an earlier attempt of ours, whose answer was lost: our watch shows it
        except (StatusError, BadAnnotation) as error:
            if isinstance(error, StatusError) and is_passing(error):
                raise
            message = error.message if isinstance(error, StatusError) else str(error)
            self._experience.rejected(proxy, connection.target.node_name, message)
            logger.warning("target refused a chaperon", pod=proxy.name, target=connection.target.name, error=message)
            return False
        return True

    async def withdraw(self, chaperon: Chaperon, connection: Connection, *, is_orphan: bool) -> None:
        """Delete a chaperon in the foreground; of an orphan (no parent is known) only after a look for the parent."""
        if is_orphan and await self._is_alive(chaperon):
            return
        with contextlib.suppress(NotFound):
            await connection.api.delete(
                POD_CHAPERONS,
                chaperon.name,
                chaperon.namespace,
                uid=chaperon.uid,
                resource_version=chaperon.resource_version,
                propagation="Foreground",
            )

    async def _is_alive(self, chaperon: Chaperon) -> bool:
        """Whether a chaperon's parent exists although our store does not hold it (its label may have been edited)."""
        try:
            live = await self._api.get(PODS, chaperon.parent_name, chaperon.parent_namespace)
        except NotFound as error:
            if not error.is_about(chaperon.parent_name):
                raise
            return False
        return bool(live["metadata"]["uid"] == chaperon.parent_uid)

    async def is_gone(self, proxy: ProxyPod, connection: Connection) -> bool:
        """Whether the cluster on record says, live, that the proxy's chaperon is not there (rules S3, S4)."""
        name = names.chaperon_name(proxy.name, proxy.uid, connection.target.label)
        try:
            await connection.api.get(POD_CHAPERONS, name, proxy.namespace)
        except NotFound as error:
            if not error.is_about(name):
                raise
            await connection.confirm()
            return True
        return False
