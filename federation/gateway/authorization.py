"""Whether the caller may: the API server decides, by SubjectAccessReview on the node, as for a kubelet.

Paths map to subresources of the node as kubelet maps them (fine-grained first, then `nodes/proxy`). In one thing we
are stricter: exec, attach and port-forward need `create` however they are asked for. Kubelet lets a WebSocket GET
pass with `get` on nodes/proxy, which monitoring is often given.
"""

from collections.abc import Callable

from federation.gateway.answers import Answers
from federation.gateway.authentication import Caller
from federation.gateway.errors import Refusal
from federation.gateway.routes import NodeRequest, PodStream
from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError
from federation.kube.resources import SUBJECT_ACCESS_REVIEWS

_ALLOWED_SECONDS = 60.0  # how long a right that was taken away still works here; kubelet's default is 300
_DENIED_SECONDS = 5.0  # kubelet's default is 30; someone who has just been given the right should not wait


def attributes(request: NodeRequest | PodStream) -> tuple[str, tuple[str, ...]]:
    """Return the verb, and the node's subresources of which any one is enough."""
    match request:
        case NodeRequest(page):
            return "get", (page, "proxy")
        case PodStream():
            return ("create" if request.is_upgrade else "get"), ("proxy",)


class Authorizer:
    """Asks the source cluster's API server whether callers may use its virtual nodes."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api = api
        self._known: Answers[tuple[Caller, str, str, str], bool] = Answers(clock)

    async def require(self, caller: Caller, node: str, request: NodeRequest | PodStream) -> None:
        """Return if the caller may; raises Refusal 403, or 503 where the API server could not be asked."""
        verb, subresources = attributes(request)
        for subresource in subresources:
            if await self._is_allowed(caller, node, verb, subresource):
                return
        what = f"nodes/{subresources[-1]}"
        raise Refusal(403, "Forbidden", f'user "{caller.name}" cannot {verb} {what} of the virtual node "{node}"')

    async def _is_allowed(self, caller: Caller, node: str, verb: str, subresource: str) -> bool:
        key = (caller, node, verb, subresource)
        if (known := self._known.get(key)) is not None:
            return known.value
        try:
            answer = await self._api.create(SUBJECT_ACCESS_REVIEWS, _review(caller, node, verb, subresource))
        except ApiError as error:
            raise Refusal(503, "ServiceUnavailable", "the caller's rights could not be checked") from error
        is_allowed = bool((answer.get("status") or {}).get("allowed"))
        self._known.put(key, is_allowed, _ALLOWED_SECONDS if is_allowed else _DENIED_SECONDS)
        return is_allowed


def _review(caller: Caller, node: str, verb: str, subresource: str) -> Manifest:
    attributes = {"verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource, "name": node}
    return {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {
            "user": caller.name,
            "groups": list(caller.groups),
            "uid": caller.uid,
            "extra": {name: list(values) for name, values in caller.extra.items()},
            "resourceAttributes": attributes,
        },
    }
