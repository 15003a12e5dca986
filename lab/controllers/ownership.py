"""Who owns whom, over all kinds: thin records by UID, and what garbage collection makes of one of them. Pure.

An object goes when none of its owners is left, where "left" means: exists under that very UID in the same namespace
(or cluster-wide) and is not itself waiting for its dependents to go. An object being deleted in the foreground waits
for the dependents that block it; one being deleted as orphan first sets its dependents free.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from federation.kube.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

Fate = Literal["solid", "waiting", "absent", "unknown"]
Propagation = Literal["Orphan", "Foreground", "Background"]


@dataclass(frozen=True, slots=True)
class Record:
    """One object: where it is, its finalizers and its owner references."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    version: str
    is_terminating: bool
    finalizers: tuple[str, ...]
    owners: tuple[dict[str, Any], ...]

    @property
    def waits_for_dependents(self) -> bool:
        """Whether it is being deleted in the foreground."""
        return self.is_terminating and FOREGROUND in self.finalizers

    @property
    def frees_dependents(self) -> bool:
        """Whether it is being deleted as orphan."""
        return self.is_terminating and ORPHAN in self.finalizers


def record_of(resource: Resource, manifest: dict[str, Any]) -> Record:
    """Return the record of an object."""
    metadata = manifest["metadata"]
    return Record(
        resource,
        metadata.get("namespace") or "",
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        bool(metadata.get("deletionTimestamp")),
        tuple(metadata.get("finalizers") or ()),
        tuple(metadata.get("ownerReferences") or ()),
    )


class Graph:
    """All records, and dependents by owner UID."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._dependents: dict[str, set[str]] = defaultdict(set)

    def put(self, record: Record) -> None:
        """Take in an object as it is now."""
        self.drop(record.uid)
        self._records[record.uid] = record
        for owner in record.owners:
            self._dependents[owner["uid"]].add(record.uid)

    def drop(self, uid: str) -> None:
        """Forget an object."""
        if record := self._records.pop(uid, None):
            for owner in record.owners:
                self._dependents[owner["uid"]].discard(uid)
                if not self._dependents[owner["uid"]]:
                    del self._dependents[owner["uid"]]

    def get(self, uid: str) -> Record | None:
        """Return a record, or None."""
        return self._records.get(uid)

    def dependents(self, uid: str) -> Iterator[Record]:
        """Iterate over the objects that name this UID as an owner."""
        for one in list(self._dependents.get(uid, ())):
            if record := self._records.get(one):
                yield record

    def blockers(self, uid: str) -> list[Record]:
        """Return the dependents that a foreground deletion of this owner waits for."""
        return [
            record
            for record in self.dependents(uid)
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in record.owners)
        ]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object with this policy; `unblock` are owner UIDs whose deletion it must no longer hold up."""

    propagation: Propagation
    unblock: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DropOwners:
    """Take these owner references away; somebody else still owns the object."""

    uids: tuple[str, ...]


def judge(record: Record, fates: Mapping[str, Fate], dependents: Collection[Record] = ()) -> Delete | DropOwners | None:
    """Return what becomes of an object whose owners have these fates. An unknown fate: nothing, look again later."""
    by_fate: dict[Fate, list[str]] = {"solid": [], "waiting": [], "absent": [], "unknown": []}
    for owner in record.owners:
        by_fate[fates[owner["uid"]]].append(owner["uid"])
    if by_fate["unknown"] or not record.owners:
        return None
    gone = tuple(by_fate["absent"] + by_fate["waiting"])
    if by_fate["solid"]:
        return DropOwners(gone) if gone else None
    if by_fate["waiting"] and dependents:
        # Its dependents are to go before it. Where one of them waits as well this may be a circle, in which everybody
        # would wait for ever: it is broken by no longer holding up the owners.
        may_be_circle = any(dependent.waits_for_dependents for dependent in dependents)
        return Delete("Foreground", tuple(by_fate["waiting"]) if may_be_circle else ())
    if ORPHAN in record.finalizers:
        return Delete("Orphan")
    return Delete("Foreground" if FOREGROUND in record.finalizers else "Background")
