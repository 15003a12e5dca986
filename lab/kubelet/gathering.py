"""Fetches from the API server what a pod refers to: ConfigMaps, Secrets, and tokens of its service account."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, Resource
from lab.kubelet.records import Manifest, parse_time
from lab.kubelet.sources import Needs, Sources


@dataclass(slots=True)
class _Token:
    text: str
    renew_at: datetime


@dataclass(slots=True)
class Gathering:
    """One pod's view of the cluster. Tokens are kept until four fifths of their life are over, as upstream does."""

    api: Api
    allocatable: dict[str, str]
    _tokens: dict[tuple[str, int], _Token] = field(default_factory=dict)

    async def gather(self, pod: Manifest, needs: Needs) -> Sources:
        """Everything in `needs` as it is now. Raises ApiError where the server does not answer or refuses."""
        namespace = pod["metadata"]["namespace"]
        return Sources(
            config_maps={name: await self._find(CONFIG_MAPS, name, namespace) for name in needs.config_maps},
            secrets={name: await self._find(SECRETS, name, namespace) for name in needs.secrets},
            tokens={key: token for key in needs.tokens if (token := await self._token(pod, *key)) is not None},
            allocatable=self.allocatable,
        )

    async def _find(self, resource: Resource, name: str, namespace: str) -> Manifest | None:
        try:
            return await self.api.get(resource, name, namespace)
        except NotFound:
            return None

    async def _token(self, pod: Manifest, audience: str, seconds: int) -> str | None:
        now = datetime.now(UTC)
        known = self._tokens.get((audience, seconds))
        if known is not None and now < known.renew_at:
            return known.text
        metadata = pod["metadata"]
        reference = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec: Manifest = {"expirationSeconds": seconds, "boundObjectRef": reference}
        if audience:
            spec["audiences"] = [audience]
        account = pod["spec"].get("serviceAccountName") or "default"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            answer = await self.api.create(
                SERVICE_ACCOUNTS, request, metadata["namespace"], name=account, subresource="token"
            )
        except NotFound:
            return None
        status = answer["status"]
        expires = parse_time(status["expirationTimestamp"]) or now
        token = _Token(status["token"], now + max((expires - now) * 4 // 5, timedelta(seconds=10)))
        self._tokens[audience, seconds] = token
        return token.text
