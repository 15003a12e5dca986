"""Whether the user who submitted a pod may create pods himself (rule T8), asked where the agent's own rights make it.

In a `self` target this cluster's own agent makes the pod, past every policy about users. So before a chaperon is made
there the API server is asked about the user whom admission put on record; answers are kept for a moment.
"""

import asyncio
from collections import OrderedDict
from typing import Any

import orjson

from federation import names
from federation.kube.api import Api, Manifest
from federation.kube.resources import SUBJECT_ACCESS_REVIEWS
from federation.submitted import BadAnnotation

_ALLOWED_SECONDS = 10.0  # how long a right that was taken away still works
_DENIED_SECONDS = 2.0
_ANSWERS_MAX = 1000

Key = tuple[str, str]


class Submitters:
    """Asks the cluster of `api`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: OrderedDict[Key, tuple[bool, float]] = OrderedDict()

    async def require(self, proxy: Manifest) -> None:
        """Return if the user of a proxy may create pods in its namespace; raises BadAnnotation with the reason."""
        metadata = proxy["metadata"]
        record = (metadata.get("annotations") or {}).get(names.SUBMITTED_BY, "")
        user = _parsed(record)
        if not user.get("user"):
            raise BadAnnotation("who submitted the pod is not on record: create it anew")
        if not await self._may((metadata["namespace"], record), user):
            raise BadAnnotation(f'user "{user["user"]}" may not create pods in namespace {metadata["namespace"]}')

    async def _may(self, key: Key, user: Manifest) -> bool:
        now = asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is not None and now < known[1]:
            return known[0]
        attributes = {"verb": "create", "version": "v1", "resource": "pods", "namespace": key[0]}
        review = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": user | {"resourceAttributes": attributes},
        }
        status = (await self._api.create(SUBJECT_ACCESS_REVIEWS, review)).get("status") or {}
        is_allowed = bool(status.get("allowed")) and not status.get("denied")
        self._known[key] = is_allowed, now + (_ALLOWED_SECONDS if is_allowed else _DENIED_SECONDS)
        while len(self._known) > _ANSWERS_MAX:
            self._known.popitem(last=False)
        return is_allowed


def _parsed(record: str) -> Manifest:
    """Return what SubjectAccessReview wants to know of a user; {} for what admission never wrote."""
    try:
        found: Any = orjson.loads(record)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, dict):
        return {}
    user, uid, groups = found.get("user"), found.get("uid", ""), found.get("groups", [])
    is_readable = isinstance(user, str) and isinstance(uid, str) and isinstance(groups, list)
    if not is_readable or not all(isinstance(group, str) for group in groups):
        return {}
    return {"user": user, "uid": uid, "groups": groups}
