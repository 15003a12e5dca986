"""What we know of one kind in one cluster: thin models by namespace and name, kept current by a watch.

A store is a plain in-memory mirror. It parses each manifest once at the edge, keeps indexes, and tells subscribers
what changed. `synced` is set after the first complete list; `trouble` says why the watch is down, if it is, so that
absence from a store is believed only while the store is fresh. Single-threaded, like everything on the loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from federation.kube.api import Manifest

T = TypeVar("T")
Key = tuple[str, str]
Subscriber = Callable[[Key, T | None, T | None], None]


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Return (namespace, name); the namespace of a cluster-scoped object is an empty string."""
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


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
        self.synced = asyncio.Event()
        self.trouble = "not listed yet"

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
        for key, item in list(self._items.items()):
            subscriber(key, None, item)

    @property
    def is_fresh(self) -> bool:
        """Whether the store has been listed and its watch is up."""
        return self.synced.is_set() and not self.trouble

    def upsert(self, manifest: Manifest) -> None:
        """Take in an object as the server has it now."""
        self._set(key_of(manifest), self._parse(manifest))

    def remove(self, manifest: Manifest) -> None:
        """Forget an object that the server says is gone."""
        self._set(key_of(manifest), None)

    def finish_list(self, listed: set[Key]) -> None:
        """Forget what a complete list did not contain, and call the store synced."""
        for key in [key for key in self._items if key not in listed]:
            self._set(key, None)
        self.trouble = ""
        self.synced.set()

    def _set(self, key: Key, new: T | None) -> None:
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
            subscriber(key, old, new)
