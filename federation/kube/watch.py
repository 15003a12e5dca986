"""Keeps a store current: list, then watch from there, for ever.

A watch that ends, breaks, stays silent or answers with an error is opened again from the last resourceVersion seen
(bookmarks move it on), after a wait that doubles with jitter; 410 means the version is too old, so list again.
Every way round the loop waits or makes progress: a server that closes at once is not hammered.
"""

import asyncio
import random
from typing import Generic, TypeVar

import orjson
from loguru import logger

from federation.kube.api import Api, Manifest, selecting
from federation.kube.errors import ApiError, Gone, Unreachable, from_status
from federation.kube.resources import Resource
from federation.kube.store import Key, Store, key_of

T = TypeVar("T")

_PARSE_BATCH = 50  # objects parsed between two turns of the loop: about 3 ms


async def follow(
    api: Api,
    resource: Resource,
    store: Store[T],
    *,
    namespace: str = "",
    label_selector: str = "",
    field_selector: str = "",
    is_metadata_only: bool = False,
) -> None:
    """Keep `store` equal to the collection until cancelled; with `is_metadata_only` nothing else is sent to us."""
    session = _Session(api, resource, store, namespace, (label_selector, field_selector), is_metadata_only)
    wait = api.limits.reconnect_seconds_min
    while True:
        try:
            if not session.version:
                await session.list()
            has_moved = await session.watch()
        except Gone:
            session.version = ""
            has_moved = False
        except ApiError as error:
            if not store.trouble or not store.synced.is_set():
                logger.warning("watch lost", resource=resource.plural, namespace=namespace, error=str(error)[:300])
            store.trouble = str(error)
            has_moved = False
        if has_moved:
            wait = api.limits.reconnect_seconds_min
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
        wait = min(wait * 2, api.limits.reconnect_seconds_max)


class _Session(Generic[T]):
    """One collection and how far we have read it."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        store: Store[T],
        namespace: str,
        selectors: tuple[str, str],
        is_metadata_only: bool,
    ) -> None:
        self._api = api
        self._resource = resource
        self._store = store
        self._namespace = namespace
        self._selectors = selectors
        self._is_metadata_only = is_metadata_only
        self.version = ""

    async def list(self) -> None:
        """Bring the store to a complete list, page by page: as a whole it would take ten times the store's memory."""
        listed: set[Key] = set()
        version = ""
        labels, fields = self._selectors
        pages = self._api.pages(
            self._resource,
            self._namespace,
            label_selector=labels,
            field_selector=fields,
            is_metadata_only=self._is_metadata_only,
        )
        async for page in pages:
            if not listed:
                self._store.begin_list(page.resource_version)
            for number, item in enumerate(page.items):
                listed.add(key_of(item))
                self._store.upsert(item)
                if number % _PARSE_BATCH == _PARSE_BATCH - 1:
                    await asyncio.sleep(0)
            version = page.resource_version
        self._store.finish_list(listed)
        self.version = version

    async def watch(self) -> bool:
        """Read events until the server ends the watch; returns whether any came."""
        limits = self._api.limits
        seconds = random.randint(limits.watch_seconds_min, limits.watch_seconds_max)  # noqa: S311  # spread, not a secret
        query = [
            *selecting(*self._selectors),
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self.version),
            ("timeoutSeconds", str(seconds)),
        ]
        has_moved = False
        path = self._resource.path(self._namespace)
        async with self._api.stream(path, query, is_metadata_only=self._is_metadata_only) as response:
            self._store.trouble = ""
            async for line in response.lines():
                if line:
                    self._take(line)
                    has_moved = True
        return has_moved

    def _take(self, line: bytes) -> None:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise Unreachable("the watch broke off within an event") from error
        manifest: Manifest = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._store.upsert(manifest)
            case "DELETED":
                self._store.remove(manifest)
            case "BOOKMARK":
                pass
            case "ERROR":
                raise from_status(int(manifest.get("code") or 500), manifest)
            case other:
                raise Unreachable(f"unknown watch event {other!r}")
        self.version = manifest["metadata"]["resourceVersion"]
