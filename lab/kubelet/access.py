"""Who may use a node's HTTPS API: holders of a certificate of the client CA whom the API server's authorizer lets in.

No certificate: 401. A certificate of another CA fails in TLS. A known name without the right: 403, asked by
SubjectAccessReview and remembered for a while, as upstream's webhook authorizer does.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import SUBJECT_ACCESS_REVIEWS

# Upstream's defaults for authorization-webhook-cache-{authorized,unauthorized}-ttl.
ALLOWED_SECONDS, DENIED_SECONDS = 300.0, 30.0

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a client certificate names."""

    name: str
    groups: tuple[str, ...]


class Access:
    """Decides for one node."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._answers: dict[tuple[Caller, str, str], tuple[bool, float]] = {}

    def guard(self) -> Middleware:
        """What goes before every handler."""

        @web.middleware
        async def checked(request: web.Request, handler: Next) -> web.StreamResponse:
            return await self._refusal(request) or await handler(request)

        return checked

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """401, 403, or 500 where nobody can be asked; None lets the request through."""
        caller = _caller(request)
        if caller is None:
            return web.Response(status=401, text="Unauthorized")
        verb, subresource = _act(request)
        try:
            is_allowed = await self._may(caller, verb, subresource)
        except ApiError as error:
            return web.Response(status=500, text=f"authorization error: {error}")
        if not is_allowed:
            act = f"verb={verb}, resource=nodes, subresource={subresource}"
            return web.Response(status=403, text=f"Forbidden (user={caller.name}, {act})")
        return None

    async def _may(self, caller: Caller, verb: str, subresource: str) -> bool:
        key = (caller, verb, subresource)
        known = self._answers.get(key)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        attributes = {
            "verb": verb,
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node,
            "version": "v1",
        }
        spec: dict[str, Any] = {"user": caller.name, "groups": list(caller.groups), "resourceAttributes": attributes}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self._api.create(SUBJECT_ACCESS_REVIEWS, review)
        is_allowed = bool(answer["status"].get("allowed"))
        self._answers[key] = (is_allowed, time.monotonic() + (ALLOWED_SECONDS if is_allowed else DENIED_SECONDS))
        return is_allowed


def _caller(request: web.Request) -> Caller | None:
    certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
    if not certificate:
        return None
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    if not names:
        return None
    groups = [value for key, value in subject if key == "organizationName"]
    return Caller(names[0], (*groups, "system:authenticated"))


def _act(request: web.Request) -> tuple[str, str]:
    """The verb and the subresource of nodes that stand for this request, as upstream maps them."""
    top = request.path.split("/")[1]
    if top == "stats":
        return "get", "stats"
    if top in ("logs", "metrics"):
        return "get", top.removesuffix("s") if top == "logs" else top
    return ("create" if request.method == "POST" or top in ("exec", "attach") else "get"), "proxy"
