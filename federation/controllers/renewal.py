"""Keeps, in a source, the tokens by which its targets are reached from running out.

A kubeconfig that a target's agent issued says which Secret there holds its successor. In time, the token is fetched and
put into the Target's own Secret; the connection goes on with it. Only the token is taken over: whoever owns the target
cannot send us to another address. Kubeconfigs of other making are none of our business.
"""

import base64
from collections.abc import Callable

import orjson
from loguru import logger

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.controllers.connections import read_kubeconfig
from federation.decisions.credential import Renewable, renewable, successor, with_token
from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError, BadKubeconfig, BadName, NotFound
from federation.kube.resources import SECRETS
from federation.model.target import Target

Key = tuple[str, str]

_RETRY_SECONDS = 60.0  # a third of a token's life is left for this, and that is 200 s at the very least
_LOOK_SECONDS_MAX = 3600.0  # a machine that slept has a loop whose clock stood still


class Renewals:
    """Reconciles targets by (namespace, name)."""

    def __init__(self, *, api: Api, connections: Callable[[], list[Connection]], clock: Clock) -> None:
        self._api = api
        self._connections = connections
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """Fetch the successor of one target's token if it is time."""
        connection = next((c for c in self._connections() if c.target.key == key), None)
        if connection is None or connection.target.is_self:
            return None
        target = connection.target
        try:
            secret = await self._api.get(SECRETS, target.secret_name, target.secret_namespace)
            kubeconfig = read_kubeconfig((secret.get("data") or {}).get(target.secret_key), target)
        except (NotFound, BadName, BadKubeconfig):
            return None  # the Target's status says so already
        held = renewable(kubeconfig, target.context)
        if held is None:
            return None
        wait = (held.term.fetch_at - self._clock()).total_seconds()
        if wait > 0:
            return min(wait, _LOOK_SECONDS_MAX)
        token = await self._fetch(connection, held)
        if token is None:
            return _RETRY_SECONDS
        await self._keep(secret, with_token(kubeconfig, target.context, token), target)
        return _RETRY_SECONDS  # not at once: whose tokens are over as soon as they are issued has us write for ever

    async def _fetch(self, connection: Connection, held: Renewable) -> str | None:
        """Return the token that the target's agent has issued meanwhile, if it has and we can read it."""
        where = f"Secret {held.namespace}/{held.secret} there"
        try:
            found = await connection.api.get(SECRETS, held.secret, held.namespace)
            token = successor(held, read_kubeconfig((found.get("data") or {}).get(held.key), connection.target))
        except (ApiError, BadKubeconfig) as error:
            logger.warning(
                "a target's token could not be renewed",
                target=connection.target.name,
                until=str(held.term.until),
                secret=where,
                error=str(error)[:300],
            )
            return None
        if token is None:
            logger.warning(
                "a target has not issued the next token yet",
                target=connection.target.name,
                until=str(held.term.until),
                secret=where,
            )
        return token

    async def _keep(self, secret: Manifest, kubeconfig: Manifest, target: Target) -> None:
        """Write the kubeconfig back, unless somebody else has changed the Secret meanwhile (Conflict)."""
        metadata = secret["metadata"]
        content = base64.b64encode(orjson.dumps(kubeconfig, option=orjson.OPT_INDENT_2)).decode()
        body = {
            "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
            "data": {target.secret_key: content},
        }
        await self._api.patch(SECRETS, target.secret_name, body, target.secret_namespace)
        logger.info("a target's token was fetched", target=target.name, namespace=target.namespace)
