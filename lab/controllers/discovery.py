"""Every kind the API server has now, custom ones included, and what may be done with it."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from federation.kube.api import Api
from federation.kube.errors import StatusError
from federation.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource with its verbs."""

    resource: Resource
    verbs: frozenset[str]

    @property
    def is_collectable(self) -> bool:
        """Whether objects of this kind can be listed, watched and deleted."""
        return {"list", "watch", "delete"} <= self.verbs


async def _read(api: Api, path: str) -> dict[str, Any]:
    answer = orjson.loads((await api.request("GET", path)).body)
    assert isinstance(answer, dict)
    return answer


async def _group_version(api: Api, group: str, version: str) -> list[Kind]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        answer = await _read(api, path)
    except StatusError:
        return []  # an aggregated API that is down, or a CRD that went meanwhile
    return [
        Kind(Resource(group, version, one["name"], one["kind"], bool(one["namespaced"])), frozenset(one["verbs"]))
        for one in answer.get("resources") or []
        if "/" not in one["name"]
    ]


async def discover(api: Api) -> list[Kind]:
    """Return all kinds, each in its group's preferred version. Raises ApiError where the server gives no list."""
    groups = (await _read(api, "/apis"))["groups"]
    versions = [("", "v1")] + [(group["name"], group["preferredVersion"]["version"]) for group in groups]
    # A kind may exist only in another version than the preferred one; the first listed counts.
    others = [
        (group["name"], one["version"])
        for group in groups
        for one in group["versions"]
        if one["version"] != group["preferredVersion"]["version"]
    ]
    found: dict[tuple[str, str], Kind] = {}
    for kinds in await asyncio.gather(*(_group_version(api, *one) for one in [*versions, *others])):
        for kind in kinds:
            found.setdefault((kind.resource.group, kind.resource.kind), kind)
    return list(found.values())
