"""What we know of one kind in one cluster: thin models by namespace and name, kept current by a watch.

A store is a plain in-memory mirror. It parses each manifest once at the edge, keeps indexes, and tells subscribers
what changed. `synced` is set after the first complete list; `trouble` says why the watch is down, if it is, so that
absence from a store is believed only while the store is fresh. Single-threaded, like everything on the loop.

Who writes tells the store the answer (`learn`), so that the next look does not decide on what was before: until the
watch has come as far, its older news of that object are dropped.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from loguru import logger

from federation.kube.api import Manifest

T = TypeVar("T")
Key = tuple[str, str]
NOT_LISTED = "not listed yet"
_REASON_LENGTH_MAX = 300
Subscriber = Callable[[Key, T | None, T | None], None]


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Return (namespace, name); the namespace of a cluster-scoped object is an empty string."""
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(manifest: Mapping[str, Any]) -> int:
    return _number(manifest["metadata"].get("resourceVersion") or "")


def _number(resource_version: str) -> int:
    """A version as a number (they compare: KEP-5504); 0, which is before all others, where it is none."""
    return int(resource_version) if resource_version.isdecimal() else 0


class Store(Generic[T]):
    """Models of one kind. `parse` turns a manifest into a model, or into None for an object of no interest."""

    def __init__(
        self,
        parse: Callable[[Manifest], T | None],
        indexes: Mapping[str, Callable[[T], Iterable[str]]] | None = None,
    ) -> None:
        self._parse = parse
        self._items: dict[Key, T] = {}
        self._functions = dict(indexes or {})
        self._indexes: dict[str, dict[str, dict[Key, T]]] = {name: defaultdict(dict) for name in self._functions}
        self._subscribers: list[Subscriber[T]] = []
        self._mourners: list[Callable[[Key, T], None]] = []
        self._seen = 0  # how far the watch has come
        self._learnt: dict[Key, int] = {}  # versions that we know from our own writes, ahead of the watch
        self.unreadable: dict[Key, str] = {}  # what is there and cannot be read, and why
        self.synced = asyncio.Event()
        self.on_trouble: Callable[[], None] = lambda: None  # called when trouble came, changed or went
        self._trouble = NOT_LISTED

    def __len__(self) -> int:
        return len(self._items)

    def get(self, namespace: str, name: str) -> T | None:
        """Return the model, or None."""
        return self._items.get((namespace, name))

    def values(self) -> Iterator[T]:
        """Iterate over all models; do not let other tasks run in between."""
        return iter(self._items.values())

    def keys(self) -> list[Key]:
        """Return a copy of all keys."""
        return list(self._items)

    def by(self, index: str, value: str) -> list[T]:
        """Return the models that an index files under `value`."""
        return list(self._indexes[index].get(value, {}).values())

    def values_of(self, index: str) -> list[str]:
        """Return all values under which an index files something."""
        return list(self._indexes[index])

    def subscribe(self, subscriber: Subscriber[T]) -> None:
        """Call `subscriber(key, old, new)` after every change, and now for everything already known."""
        self._subscribers.append(subscriber)
        self.tell(subscriber)

    def tell(self, subscriber: Subscriber[T]) -> None:
        """Call `subscriber(key, None, item)` for everything known, as if it had just come."""
        for key, item in list(self._items.items()):
            subscriber(key, None, item)

    def subscribe_to_ends(self, mourner: Callable[[Key, T], None]) -> None:
        """Call `mourner(key, last)` when the watch says that an object was deleted; `last` is what was deleted.

        That is a fact, unlike an object that is missing from a list: what became of it in between nobody knows. An
        object that only ceased to match the watch's selectors is reported in the same way, as it was just before.
        """
        self._mourners.append(mourner)

    @property
    def trouble(self) -> str:
        """Why the watch is down; empty where all is well."""
        return self._trouble

    @trouble.setter
    def trouble(self, message: str) -> None:
        if message != self._trouble:
            self._trouble = message
            self.on_trouble()

    def distrust(self) -> None:
        """Believe nothing of what is here until there was another complete list."""
        self.synced.clear()
        self.trouble = NOT_LISTED

    @property
    def is_fresh(self) -> bool:
        """Whether the store has been listed and its watch is up."""
        return self.synced.is_set() and not self.trouble

    def learn(self, manifest: Manifest) -> None:
        """Take in the answer to a write of our own; one that the watch has told already is no news."""
        version = _version(manifest)
        if version > self._seen:
            key = key_of(manifest)
            self._learnt[key] = version
            self._read(key, manifest)

    def upsert(self, manifest: Manifest) -> None:
        """Take in an object as the watch or a list has it."""
        key = key_of(manifest)
        if not self._is_behind(key, manifest, is_equal_news=False):
            self._read(key, manifest)

    def remove(self, manifest: Manifest) -> None:
        """Forget an object that the watch says is gone; subscribers get its final state as the old one."""
        key = key_of(manifest)
        if self._is_behind(key, manifest, is_equal_news=True):
            return
        last = self._items.get(key)  # where its final state cannot be read
        with contextlib.suppress(Exception):
            last = self._parse(manifest)
        self.unreadable.pop(key, None)
        self._set(key, None, last)
        if last is not None:
            for mourner in self._mourners:
                mourner(key, last)

    def spoil(self, key: Key, reason: str) -> None:
        """Note that an object cannot be read: it is there, and stays what it was when it last could (rule T1).

        Nobody may take it for gone, nor act as if it were still what it was: see `unreadable`.
        """
        if self.unreadable.get(key) != reason:
            self.unreadable[key] = reason
            logger.warning("an object cannot be read", key="/".join(key), reason=reason[:_REASON_LENGTH_MAX])
            if (held := self._items.get(key)) is not None:  # of one that never could be read there is nothing to tell
                for subscriber in self._subscribers:
                    subscriber(key, held, held)

    def _read(self, key: Key, manifest: Manifest) -> None:
        try:
            model = self._parse(manifest)
        except Exception as error:  # noqa: BLE001  # whatever a stranger wrote, it ends no watch (rule T1)
            self.spoil(key, str(error) if isinstance(error, ValueError) else repr(error))
            return
        self.unreadable.pop(key, None)
        self._set(key, model)

    def _is_behind(self, key: Key, manifest: Manifest, *, is_equal_news: bool) -> bool:
        """Whether the watch says of an object what was before, or is, what we know from our own write."""
        version = _version(manifest)
        self._seen = max(self._seen, version)
        learnt = self._learnt.get(key, 0)
        if version < learnt:
            return True
        if learnt:
            del self._learnt[key]
        return version == learnt and version > 0 and not is_equal_news

    def begin_list(self, resource_version: str) -> None:
        """A list as of this version follows: what was known before may be of another time (a restored backup)."""
        self._learnt.clear()
        self._seen = _number(resource_version)

    def finish_list(self, listed: set[Key]) -> None:
        """Forget what a complete list did not contain, and call the store synced."""
        for key in [key for key in self.unreadable if key not in listed]:
            del self.unreadable[key]
        for key in [key for key in self._items if key not in listed]:
            self._learnt.pop(key, None)
            self._set(key, None)
        self.synced.set()
        self.trouble = ""

    def _set(self, key: Key, new: T | None, last: T | None = None) -> None:
        old = self._items.get(key)
        if old is None and new is None:
            return
        if new is None:
            del self._items[key]
        else:
            self._items[key] = new
        for name, function in self._functions.items():
            index = self._indexes[name]
            for value in function(old) if old is not None else ():
                index[value].pop(key, None)
                if not index[value]:
                    del index[value]
            for value in function(new) if new is not None else ():
                index[value][key] = new  # type: ignore[assignment]  # new is not None here
        for subscriber in self._subscribers:
            subscriber(key, old if last is None else last, new)
