"""One cluster's API: dicts in, dicts out, nothing dropped, errors of our own tree.

Reads that got no answer, 429 or a 5xx are tried again here, a few times; writes never: their reconciler sees the
world again and decides anew. Lists are paged and carry the resourceVersion to watch from.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from federation.kube import credentials
from federation.kube.errors import ServerError, TooManyRequests, Unreachable, from_status
from federation.kube.limits import Limits
from federation.kube.resources import Resource
from federation.kube.transport import Response, SocketTransport, StreamResponse, Transport

Manifest = dict[str, Any]
Query = Sequence[tuple[str, str]]
PatchKind = Literal["merge", "json", "strategic", "apply"]

_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"  # `List` for a collection, or 406

_PATCH_TYPES: dict[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """A collection, or a page of it, as it stood at `resource_version`."""

    items: list[Manifest]
    resource_version: str


def _status_of(body: bytes) -> dict[str, Any]:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body[:500].decode(errors="replace")}
    return status if isinstance(status, dict) else {}


class Api:
    """A client of one API server. Use as an async context manager, or close it."""

    def __init__(self, transport: Transport, limits: Limits | None = None) -> None:
        self.transport = transport
        self.limits = limits or Limits()
        self._slots = asyncio.Semaphore(self.limits.writes_concurrent_max)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()

    def use_token(self, token: str) -> bool:
        """Show another bearer token from the next request on; returns whether this transport shows any."""
        if isinstance(self.transport, SocketTransport):
            self.transport.use_token(token)
            return True
        return False

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: object = None,
        headers: dict[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Response:
        """Send one request and return the answer. Raises the error tree of `errors` for anything but 2xx."""
        url = f"{path}?{urlencode(query)}" if query else path
        timeout = timeout_seconds or self.limits.request_timeout_seconds
        async with self._slots:
            response = await self.transport.send(method, url, dict(headers or {}), body, timeout)
        if not 200 <= response.status < 300:
            raise from_status(response.status, _status_of(response.body))
        return response

    async def _read(self, path: str, query: Query = (), headers: dict[str, str] | None = None) -> Manifest:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type((Unreachable, TooManyRequests, ServerError)),
            stop=stop_after_attempt(self.limits.read_attempts_max),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                response = await self.request("GET", path, query, headers=headers)
        return _object(response.body)

    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        subresource: str = "",
        is_metadata_only: bool = False,
    ) -> Manifest:
        """Return one object, live; `is_metadata_only` leaves out its data."""
        assert name, "an empty name would list"
        headers = {"Accept": _METADATA.format("")} if is_metadata_only else {}
        return await self._read(resource.path(namespace, name, subresource), headers=headers)

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        """Return a whole collection; a page token that expires midway is Gone, and the caller's to start again."""
        items: list[Manifest] = []
        version = ""
        async for page in self.pages(resource, namespace, label_selector=label_selector, field_selector=field_selector):
            items += page.items
            version = page.resource_version
        return Listing(items, version)

    async def pages(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        is_metadata_only: bool = False,
    ) -> AsyncIterator[Listing]:
        """Yield a collection page by page, all as it stood at one moment, for who keeps little of each object.

        `is_metadata_only` leaves out data. Gone as in `list`.
        """
        headers = {"Accept": _METADATA.format("List")} if is_metadata_only else {}
        selectors, token = selecting(label_selector, field_selector), ""
        while True:
            query = [*selectors, ("limit", str(self.limits.page_size)), *([("continue", token)] if token else [])]
            page = await self._read(resource.path(namespace), query, headers)
            items = page.get("items") or []
            for item in items:
                item.setdefault("kind", resource.kind)
                item.setdefault("apiVersion", resource.api_version)
            yield Listing(items, page["metadata"]["resourceVersion"])
            token = page["metadata"].get("continue") or ""
            if not token:
                return
            await asyncio.sleep(0)  # a large page was parsed: let others run before the next

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        """POST an object, or to a subresource of the object `name` (binding, eviction, token)."""
        namespace = namespace or str(manifest.get("metadata", {}).get("namespace") or "")
        response = await self.request("POST", resource.path(namespace, name, subresource), body=manifest)
        return _object(response.body)

    async def replace(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """PUT an object; its resourceVersion, where it has one, is the precondition."""
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        return _object((await self.request("PUT", path, body=manifest)).body)

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Manifest | Sequence[Manifest],
        namespace: str = "",
        *,
        subresource: str = "",
        kind: PatchKind = "merge",
        field_manager: str = "isthmus",
        force: bool = False,
    ) -> Manifest:
        """PATCH an object. A merge patch may carry metadata.uid and resourceVersion as preconditions (409)."""
        assert name, "an empty name would patch a collection"
        query = [("fieldManager", field_manager)] + ([("force", "true")] if force else [])
        response = await self.request(
            "PATCH",
            resource.path(namespace, name, subresource),
            query,
            body=body if isinstance(body, dict) else list(body),
            headers={"Content-Type": _PATCH_TYPES[kind]},
        )
        return _object(response.body)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Literal["", "Foreground", "Background", "Orphan"] = "",
        grace_period_seconds: int | None = None,
    ) -> Manifest:
        """DELETE one object, with uid and resourceVersion as preconditions where given (409 Conflict)."""
        assert name, "an empty name would delete a collection"
        options: Manifest = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if held := {key: value for key, value in preconditions.items() if value}:
            options["preconditions"] = held
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        return _object((await self.request("DELETE", resource.path(namespace, name), body=options)).body)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        query: Query = (),
        *,
        silence_seconds_max: float | None = None,
        is_metadata_only: bool = False,
    ) -> AsyncIterator[StreamResponse]:
        """Open a GET whose body is read piece by piece (watch, log). Raises the error tree for anything but 2xx."""
        url = f"{path}?{urlencode(query)}" if query else path
        silence = silence_seconds_max or self.limits.silence_seconds_max
        headers = {"Accept": _METADATA.format("")} if is_metadata_only else {}
        async with self.transport.stream(url, headers, silence) as response:
            if not 200 <= response.status < 300:
                raise from_status(response.status, _status_of(await response.read()))
            yield response


def selecting(label_selector: str, field_selector: str) -> list[tuple[str, str]]:
    """Return the query of a list or watch for these selectors."""
    query = [("labelSelector", label_selector), ("fieldSelector", field_selector)]
    return [(key, value) for key, value in query if value]


def _object(body: bytes) -> Manifest:
    value = orjson.loads(body)
    if not isinstance(value, dict):
        raise ServerError(502, "BadGateway", "the answer is not a JSON object")
    return value


async def connect(
    kubeconfig: Path | dict[str, Any] | None = None, context: str = "", limits: Limits | None = None
) -> Api:
    """Return a client for a kubeconfig file, a kubeconfig as data, or the cluster we run in (None).

    Opens no connection yet. Raises BadKubeconfig.
    """
    limits = limits or Limits()
    return Api(SocketTransport(await credentials.load(kubeconfig, context), limits), limits)
