"""Every object at its newest revision, and a bounded log of what changed, per resource.

One counter numbers all writes of the server, as etcd's does, so a resourceVersion orders objects of all kinds. A stored
`Version` is immutable and carries its own JSON, made once and shared by every list and watch that shows it. The log is
bounded per resource: whoever asks for changes older than its start is told to list again (410).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab.api_server.core.manifest import Manifest, clone, encode
from lab.api_server.core.status import too_large, too_old

Key = tuple[str, str]  # namespace ("" for cluster-scoped objects), name


@dataclass(slots=True, eq=False)
class Version:
    """One object at one revision."""

    key: Key
    revision: int
    manifest: Manifest
    raw: bytes


class Change:
    """One write: what the object was before (None: nothing) and what it is now (for a deletion: its last state)."""

    __slots__ = ("_frames", "current", "kind", "previous", "revision")

    def __init__(self, kind: str, current: Version, previous: Version | None) -> None:
        self.kind, self.current, self.previous, self.revision = kind, current, previous, current.revision
        self._frames: dict[str, bytes] = {}

    def frame(self, kind: str) -> bytes:
        """Return the change as a line of a watch stream, encoded once per event type."""
        if kind not in self._frames:
            shown = self.current if kind != "DELETED" or self.kind == "DELETED" else self._left()
            self._frames[kind] = frame(kind, shown.raw)
        return self._frames[kind]

    def _left(self) -> Version:
        """Return the state in which an object left a selection that it no longer matches."""
        assert self.previous is not None
        manifest = dict(self.previous.manifest)
        manifest["metadata"] = manifest["metadata"] | {"resourceVersion": str(self.revision)}
        return Version(self.previous.key, self.revision, manifest, encode(manifest))


def frame(kind: str, raw: bytes) -> bytes:
    """Return one line of a watch stream."""
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


Subscriber = Callable[[Change], None]


class Shelf:
    """All objects of one resource, their log, and who follows it."""

    def __init__(self, log_length: int, floor: int) -> None:
        self._versions: dict[Key, Version] = {}
        self._keys: list[Key] = []
        self._log: deque[Change] = deque()
        self._log_length = log_length
        self._floor = floor
        self.subscribers: dict[int, Subscriber] = {}
        self.closers: dict[int, Callable[[], None]] = {}  # of the same followers: called when there will be no more

    def __len__(self) -> int:
        return len(self._versions)

    def get(self, key: Key) -> Version | None:
        """Return the newest version, or None."""
        return self._versions.get(key)

    def select(self, namespace: str = "") -> Iterator[Version]:
        """Yield the versions of one namespace, or of all, ordered by key."""
        start = bisect_left(self._keys, (namespace, "")) if namespace else 0
        for position in range(start, len(self._keys)):
            key = self._keys[position]
            if namespace and key[0] != namespace:
                return
            yield self._versions[key]

    def since(self, revision: int) -> list[Change]:
        """Return the changes after `revision`; Expired where the log does not reach back that far."""
        if revision < self._floor:
            raise too_old(revision, self._floor)
        found: list[Change] = []
        for change in reversed(self._log):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def forget_log(self, revision: int) -> None:
        """Drop the log, as a compaction of etcd does: watches must start at `revision` or later."""
        self._log.clear()
        self._floor = revision

    def apply(self, kind: str, version: Version) -> None:
        """Take in one write and tell the subscribers."""
        previous = self._versions.get(version.key)
        if kind == "DELETED":
            del self._versions[version.key]
            del self._keys[bisect_left(self._keys, version.key)]
        else:
            if previous is None:
                insort(self._keys, version.key)
            self._versions[version.key] = version
        change = Change(kind, version, previous)
        self._log.append(change)
        if len(self._log) > self._log_length:
            self._floor = self._log.popleft().revision
        for subscriber in tuple(self.subscribers.values()):
            subscriber(change)


class Store:
    """The shelves, and the one counter that numbers all their writes."""

    def __init__(self, log_length: int) -> None:
        self._log_length = log_length
        self._shelves: dict[str, Shelf] = {}
        self.revision = 1

    def shelf(self, resource: str) -> Shelf:
        """Return the shelf of `plural.group`, made at first use."""
        if resource not in self._shelves:
            self._shelves[resource] = Shelf(self._log_length, 0)
        return self._shelves[resource]

    def drop(self, resource: str) -> None:
        """Forget a resource that is no longer served: its objects are deleted, and who follows it is told the end."""
        if resource not in self._shelves:
            return
        for version in list(self.shelf(resource).select()):
            self.write(resource, "DELETED", version.key, clone(version.manifest))
        for close in list(self._shelves.pop(resource).closers.values()):
            close()

    def compact(self) -> None:
        """Forget every log, so that the next watch from an old revision is told 410."""
        for shelf in self._shelves.values():
            shelf.forget_log(self.revision)

    def check_reached(self, revision: int) -> None:
        """Refuse a revision that lies in the future."""
        if revision > self.revision:
            raise too_large(revision, self.revision)

    def write(self, resource: str, kind: str, key: Key, manifest: Manifest) -> Version:
        """Number and record one write; `kind` is ADDED, MODIFIED or DELETED."""
        self.revision += 1
        manifest["metadata"]["resourceVersion"] = str(self.revision)
        version = Version(key, self.revision, manifest, encode(manifest))
        self.shelf(resource).apply(kind, version)
        return version
