"""Who calls: a client certificate that the cluster's client CA signed, or a bearer token the API server vouches for.

Certificates are verified by TLS before a byte is read; here they only become a name and groups, as Kubernetes reads
them (CN, O). Tokens go to TokenReview; answers are kept for a short while, under a hash, so that a poller does not
double the API server's load and no token stays in memory.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.gateway.answers import Answers
from federation.gateway.errors import Refusal
from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import TOKEN_REVIEWS

_ACCEPTED_SECONDS = 60.0  # how long a revoked token still works here; kubelet's default is 120
_REJECTED_SECONDS = 5.0  # a token may become valid at any moment: only soften a flood
_TOKEN_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user, in the terms of SubjectAccessReview."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


def caller_of(certificate: Mapping[str, Any]) -> Caller | None:
    """Return who a verified certificate (as `SSLObject.getpeercert()` gives it) names, or None without a CN."""
    subject = [pair for name in certificate.get("subject", ()) for pair in name]
    names = [value for key, value in subject if key == "commonName"]
    groups = [value for key, value in subject if key == "organizationName"]
    return Caller(names[-1], (*groups, "system:authenticated")) if names and names[-1] else None


class Authenticator:
    """Finds out who calls. `api` is the source cluster's; `clock` gives monotonic seconds."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api = api
        self._known: Answers[str, Caller | None] = Answers(clock)

    async def authenticate(self, certificate: Mapping[str, Any] | None, authorization: str) -> Caller:
        """Return the caller; raises Refusal 401, or 503 where the API server could not be asked."""
        if certificate and (caller := caller_of(certificate)):
            return caller
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() == "bearer" and 0 < len(token) <= _TOKEN_BYTES_MAX:
            found = await self._review(token)
            if found is not None:
                return found
        raise Refusal(401, "Unauthorized", "Unauthorized")

    async def _review(self, token: str) -> Caller | None:
        key = hashlib.sha256(token.encode()).hexdigest()
        if (known := self._known.get(key)) is not None:
            return known.value
        review = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": TOKEN_REVIEWS.kind, "spec": {"token": token}}
        try:
            status = (await self._api.create(TOKEN_REVIEWS, review)).get("status") or {}
        except ApiError as error:
            raise Refusal(503, "ServiceUnavailable", "the caller's token could not be checked") from error
        user = status.get("user") or {}
        caller = None
        if status.get("authenticated") and user.get("username"):
            extra = {name: tuple(values) for name, values in (user.get("extra") or {}).items()}
            caller = Caller(user["username"], tuple(user.get("groups") or ()), user.get("uid") or "", extra)
        self._known.put(key, caller, _ACCEPTED_SECONDS if caller else _REJECTED_SECONDS)
        return caller
