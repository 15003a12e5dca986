"""Keeps a store current: list, then watch from there, for ever.

A watch that ends, breaks or answers with an error is opened again from the last resourceVersion seen (bookmarks move
it on), after a wait that doubles with jitter and begins anew whenever a watch has worked: breaks that have nothing to
do with each other are not counted together (rule M8). 410 means the version is too old, so list again. Every way round
the loop waits or makes progress: a server that closes at once is not hammered.

Silence proves nothing: a real API server sends bookmarks only for kinds of which it has seen an event since it started.
So a silent watch is opened again without a word, which shows whether anybody is there.

What a server tells may be anything (rule T1). An object that cannot be read is noted and ends nothing; a watch or list
that makes no sense is trouble with a reason, tried again ever more rarely.
"""

import asyncio
import random
from typing import Any, Generic, TypeVar

from loguru import logger

from federation.kube.answers import as_failure, parsed, wrong_in
from federation.kube.api import Api, selecting
from federation.kube.errors import ApiError, BadAnswer, Gone, Silent, Unreachable
from federation.kube.resources import Resource
from federation.kube.store import Key, Store

T = TypeVar("T")

_PARSE_BATCH = 50  # objects parsed between two turns of the loop: about 3 ms
_HELD_SECONDS = 2.0  # a watch that was open for this long has worked
_STARTING_ATTEMPTS = 15  # for so long, half a minute, an error may be that of a server that is starting
_NAME_LENGTH_MAX = 253
_VERSION_LENGTH_MAX = 253
_STREAM_SECONDS = 30.0  # by how much a server may miss the end of a watch that was agreed on


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
    wait, failures = api.limits.reconnect_seconds_min, 0
    while True:
        longest = api.limits.reconnect_seconds_max
        try:
            if not session.version:
                await session.list()
            await session.watch()
        except Gone:
            session.version = ""
        except Silent:
            pass  # opening it again shows whether anybody is there
        except ApiError as error:
            if not store.trouble or not store.synced.is_set():
                logger.warning("watch lost", resource=resource.plural, namespace=namespace, error=str(error)[:300])
            store.trouble = str(error)
            failures += 1
            is_away = isinstance(error, Unreachable) and not isinstance(error, BadAnswer)
            is_starting = failures <= _STARTING_ATTEMPTS and not isinstance(error, BadAnswer)
            if not (is_away or is_starting):
                longest = api.limits.trouble_seconds_max
        if session.has_worked():
            wait, failures = api.limits.reconnect_seconds_min, 0
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
        wait = min(wait * 2, longest)


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
        self._opened_at: float | None = None  # loop time at which the last watch was opened; None: it was not
        self._has_moved = False
        self._has_warned = False
        self.version = ""

    def has_worked(self) -> bool:
        """Whether the last watch told something, or was open for a while."""
        if self._opened_at is None:
            return False
        return self._has_moved or asyncio.get_running_loop().time() - self._opened_at >= _HELD_SECONDS

    async def list(self) -> None:
        """Bring the store to a complete list, page by page: as a whole it would take ten times the store's memory."""
        self._opened_at = None
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
                if (key := self._take(item)) is not None:
                    listed.add(key)
                if number % _PARSE_BATCH == _PARSE_BATCH - 1:
                    await asyncio.sleep(0)
            version = page.resource_version
        self._store.finish_list(listed)
        self.version = version

    async def watch(self) -> None:
        """Read events until the server ends the watch."""
        self._opened_at, self._has_moved = None, False
        limits = self._api.limits
        seconds = random.randint(limits.watch_seconds_min, limits.watch_seconds_max)  # noqa: S311  # spread, not a secret
        query = [
            *selecting(*self._selectors),
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self.version),
            ("timeoutSeconds", str(seconds)),
        ]
        path = self._resource.path(self._namespace)
        async with self._api.stream(path, query, is_metadata_only=self._is_metadata_only) as response:
            self._opened_at = asyncio.get_running_loop().time()
            self._is_back()
            try:
                async with asyncio.timeout(seconds + _STREAM_SECONDS):
                    async for line in response.lines():
                        if line:
                            self._hear(line)
            except TimeoutError:
                return  # it ends when we say so

    def _is_back(self) -> None:
        had_trouble = bool(self._store.trouble)
        self._store.trouble = ""
        if had_trouble:
            for call in self._api.on_back:
                call()

    def _hear(self, line: bytes) -> None:
        """Take in one event; raises BadAnswer where it is none."""
        limits = self._api.limits
        event = parsed(line, limits)
        kind, manifest = event.get("type"), event.get("object")
        if not isinstance(manifest, dict):
            raise BadAnswer("an event of a watch without an object")
        metadata = manifest.get("metadata")
        match kind:
            case "ERROR":
                raise as_failure(manifest)
            case "ADDED" | "MODIFIED":
                self._take(manifest)
            case "DELETED":
                if not wrong_in(manifest) and self._key(manifest) is not None:
                    self._store.remove(manifest)
                elif (key := self._key(manifest)) is not None:
                    self._store.spoil(key, wrong_in(manifest))
            case "BOOKMARK":
                pass
            case _:
                raise BadAnswer(f"an event of a watch of the unknown type {str(kind)[:50]!r}")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str) or not version or len(version) > _VERSION_LENGTH_MAX:
            raise BadAnswer("an event of a watch without a resourceVersion")
        if len(self._store) + len(self._store.unreadable) > limits.objects_max:
            raise BadAnswer(f"more than {limits.objects_max} {self._resource.plural}")
        self._has_moved = True
        self.version = version

    def _key(self, manifest: Any) -> Key | None:
        """Return (namespace, name) of an object that is one of those asked for, as far as it says; else None."""
        metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
        if not isinstance(metadata, dict):
            return None
        namespace, name = metadata.get("namespace") or "", metadata.get("name")
        if not (isinstance(name, str) and isinstance(namespace, str) and 0 < len(name) <= _NAME_LENGTH_MAX):
            return None
        if len(namespace) > _NAME_LENGTH_MAX or (self._namespace and namespace != self._namespace):
            return None
        return namespace, name

    def _take(self, manifest: Any) -> Key | None:
        """Take in an object; return its key, or None where it is no object of those that were asked for."""
        key = self._key(manifest)
        if key is None:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("an object was told that nobody asked for", resource=self._resource.plural)
            return None
        if wrong := wrong_in(manifest):
            self._store.spoil(key, wrong)
        else:
            self._store.upsert(manifest)
        return key
