"""Issues the credential of a source, into its Secret, and anew well before it ends.

The token is asked for by TokenRequest and bound to the Source's anchor: one without it, or without the service account,
is refused. An address that other clusters can use is a setting, or
what kubeadm publishes in `kube-public`; inside a cluster there is no way to guess it.
"""

import base64
import binascii
from pathlib import Path

from loguru import logger

from federation import foreign_yaml
from federation.clock import Clock
from federation.decisions.credential import Endpoint, Issued, Term, kubeconfig_for, purpose, secret_patch, term_of
from federation.decisions.source_status import ISSUED, NO_ADDRESS, Finding
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS
from federation.model.source import Source
from federation.model.times import parse_time

SECONDS_MIN = 600  # kube-apiserver refuses tokens of a shorter life


class Issuer:
    """Issues credentials of one cluster, which calls itself `cluster`, in the agent's `namespace`.

    Without `url` it is looked up.
    """

    def __init__(
        self,
        *,
        api: Api,
        clock: Clock,
        cluster: str,
        namespace: str,
        url: str,
        authority_file: Path | None,
        lifetime_seconds: int,
    ) -> None:
        self._api = api
        self._clock = clock
        self._cluster = cluster
        self._namespace = namespace  # the agent's, where credentials are
        self._url = url
        self._authority_file = authority_file
        self._lifetime_seconds = lifetime_seconds

    async def keep(self, source: Source) -> tuple[Finding, Issued | None]:
        """Issue the credential of a Source if it is due; its service account, anchor and Secret are there."""
        endpoint = await self._endpoint()
        if endpoint is None:
            return NO_ADDRESS, None
        where = source.credential(self._namespace)
        secret = await self._api.get(SECRETS, where.name, where.namespace)
        anchor = await self._api.get(SECRETS, source.anchor.name, source.anchor.namespace)
        account = await self._api.get(SERVICE_ACCOUNTS, source.account_name, source.account_namespace)
        for_what = purpose(anchor, account["metadata"]["uid"], endpoint, self._lifetime_seconds)
        term = term_of(secret, for_what)
        if term is not None and self._clock() < term.issue_at:
            return ISSUED, Issued(where, term, endpoint)
        answer = await request_token(self._api, source, self._lifetime_seconds, anchor["metadata"]["uid"])
        until = parse_time(answer["expirationTimestamp"])
        assert until is not None, "the API server says when a token expires"
        term = Term(self._clock(), until)
        kubeconfig = kubeconfig_for(source, endpoint, self._cluster, str(answer["token"]), where)
        await self._api.patch(SECRETS, where.name, secret_patch(secret, kubeconfig, term, for_what), where.namespace)
        logger.info("credential issued", source=source.name, namespace=source.namespace, until=str(term.until))
        return ISSUED, Issued(where, term, endpoint)

    async def _endpoint(self) -> Endpoint | None:
        if not self._url:
            return await self._published()
        if self._authority_file is not None:
            return Endpoint(self._url, self._authority_file.read_text())
        root = await self._api.get(CONFIG_MAPS, "kube-root-ca.crt", "kube-system")
        return Endpoint(self._url, root["data"]["ca.crt"])

    async def _published(self) -> Endpoint | None:
        """Return what kubeadm publishes for nodes that join."""
        try:
            found = await self._api.get(CONFIG_MAPS, "cluster-info", "kube-public")
            cluster = foreign_yaml.load(found["data"]["kubeconfig"], "cluster-info")["clusters"][0]["cluster"]
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            return Endpoint(str(cluster["server"]), authority)
        except (NotFound, KeyError, TypeError, IndexError, ValueError, binascii.Error):  # Unreadable is a ValueError
            return None


async def request_token(
    api: Api, source: Source, seconds: int, anchor_uid: str = "", *, is_anchored: bool = True
) -> Manifest:
    """Return the status (token, expirationTimestamp) of a TokenRequest for a Source's service account.

    One that `is_anchored` is bound to the Source's anchor (of that uid, if it is known): NotFound where there is none.
    """
    anchor = {"apiVersion": "v1", "kind": "Secret", "name": source.anchor.name}
    spec: Manifest = {"expirationSeconds": seconds}
    if is_anchored:
        spec["boundObjectRef"] = anchor | ({"uid": anchor_uid} if anchor_uid else {})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await api.create(
        SERVICE_ACCOUNTS, request, source.account_namespace, name=source.account_name, subresource="token"
    )
    return dict(answer["status"])
