"""One cluster's API: dicts in, dicts out, nothing dropped, errors of our own tree.

Reads that got no answer, 429 or a 5xx are tried again here, a few times; writes never: their reconciler sees the
world again and decides anew. Lists are paged and carry the resourceVersion to watch from.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlencode

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from federation.kube import credentials
from federation.kube.answers import failure, parsed, the_object
from federation.kube.dialling import ANYWHERE, Dialable
from federation.kube.errors import BadAnswer, ServerError, TooLarge, TooManyRequests, Unreachable
from federation.kube.limits import STRANGER, Limits
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


class Api:
    """A client of one API server. Use as an async context manager, or close it."""

    def __init__(self, transport: Transport, limits: Limits | None = None) -> None:
        self.transport = transport
        self.limits = limits or Limits()
        self._slots = asyncio.Semaphore(self.limits.writes_concurrent_max)
        self.on_back: list[Callable[[], None]] = []  # called when a watch that was lost is back (rule M8)

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
        """Show another bearer token from the next request on; returns whether this transport can show it."""
        return isinstance(self.transport, SocketTransport) and self.transport.use_token(token)

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
            raise failure(response.status, response.body, self.limits)
        return response

    async def _read(self, path: str, query: Query = (), headers: dict[str, str] | None = None) -> bytes:
        attempts = AsyncRetrying(
            retry=retry_if_exception(_is_worth_another),
            stop=stop_after_attempt(self.limits.read_attempts_max),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                response = await self.request("GET", path, query, headers=headers)
        return response.body

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
        body = await self._read(resource.path(namespace, name, subresource), headers=headers)
        return the_object(body, self.limits, name, resource.own(namespace))

    async def look(self, resource: Resource, name: str, namespace: str = "", *, timeout_seconds: float) -> Manifest:
        """Return one object, live, by one attempt: for who asks again anyway and must not wait."""
        assert name, "an empty name would list"
        answer = await self.request("GET", resource.path(namespace, name), timeout_seconds=timeout_seconds)
        return the_object(answer.body, self.limits, name, resource.own(namespace))

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

        `is_metadata_only` leaves out data. Items may be of any shape (see `answers.wrong_in`). Raises Gone as `list`,
        and BadAnswer where the pages have no end: by number, by time or because nothing is on them.
        """
        path, count, size = resource.path(namespace), 0, self.limits.page_size
        headers = {"Accept": _METADATA.format("List")} if is_metadata_only else {}
        selectors, token = selecting(label_selector, field_selector), ""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.list_seconds_max
        while True:
            query = [*selectors, ("limit", str(size)), *([("continue", token)] if token else [])]
            try:
                body = await self._read(path, query, headers)
            except TooLarge:
                if size == 1:
                    raise
                size = max(1, size // 4)
                continue
            page, following = _page(body, self.limits)
            count += len(page.items)
            if count > self.limits.objects_max:
                raise BadAnswer(f"more than {self.limits.objects_max} {resource.plural}")
            for item in page.items:
                if isinstance(item, dict):
                    item.setdefault("kind", resource.kind)
                    item.setdefault("apiVersion", resource.api_version)
            yield page
            if not following:
                return
            if following == token or not page.items:
                raise BadAnswer(f"a list of {resource.plural} with an empty page and more to come")
            if loop.time() > deadline:
                raise BadAnswer(f"a list of {resource.plural} not complete in {self.limits.list_seconds_max:.0f} s")
            token = following
            await asyncio.sleep(0)  # a large page was parsed: let others run before the next

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        """POST an object, or to a subresource of the object `name` (binding, eviction, token)."""
        namespace = namespace or str(manifest.get("metadata", {}).get("namespace") or "")
        response = await self.request("POST", resource.path(namespace, name, subresource), body=manifest)
        own = "" if subresource else str(manifest.get("metadata", {}).get("name") or "")
        return the_object(response.body, self.limits, own, resource.own(namespace if own else ""))

    async def replace(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """PUT an object; its resourceVersion, where it has one, is the precondition."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
        answer = await self.request("PUT", resource.path(namespace, name, subresource), body=manifest)
        return the_object(answer.body, self.limits, name, resource.own(namespace))

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
        return the_object(response.body, self.limits, name, resource.own(namespace))

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
        answer = await self.request("DELETE", resource.path(namespace, name), body=options)
        return the_object(answer.body, self.limits, name, resource.own(namespace))

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
                raise failure(response.status, await response.read(), self.limits)
            yield response


def selecting(label_selector: str, field_selector: str) -> list[tuple[str, str]]:
    """Return the query of a list or watch for these selectors."""
    query = [("labelSelector", label_selector), ("fieldSelector", field_selector)]
    return [(key, value) for key, value in query if value]


def _is_worth_another(error: BaseException) -> bool:
    """Whether a read is tried again: there was no answer, or the server is not in shape; a bad answer stays bad."""
    return isinstance(error, Unreachable | TooManyRequests | ServerError) and not isinstance(error, BadAnswer)


def _page(body: bytes, limits: Limits) -> tuple[Listing, str]:
    """Return a page of a collection and the token of the next, or an empty string; raises BadAnswer."""
    page = parsed(body, limits)
    metadata, items = page.get("metadata"), page.get("items")
    if not isinstance(metadata, dict) or not isinstance(items, list | None):
        raise BadAnswer("a list whose items or metadata are none")
    version, following = metadata.get("resourceVersion"), metadata.get("continue") or ""
    if not isinstance(version, str) or not version or not isinstance(following, str):
        raise BadAnswer("a list whose resourceVersion or continue is no text")
    return Listing(items or [], version), following


async def connect(
    kubeconfig: Path | dict[str, Any] | None = None,
    context: str = "",
    limits: Limits | None = None,
    dialable: Dialable = ANYWHERE,
) -> Api:
    """Return a client for a kubeconfig file, a kubeconfig as data, or the cluster we run in (None).

    Data is somebody else's: it may have us dial what `dialable` allows, and its server's answers are held to the
    limits of a stranger. Opens no connection yet. Raises BadKubeconfig.
    """
    limits = limits or (STRANGER if isinstance(kubeconfig, dict) else Limits())
    return Api(SocketTransport(await credentials.load(kubeconfig, context, dialable), limits), limits)
