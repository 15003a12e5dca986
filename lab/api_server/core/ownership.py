"""metadata.managedFields: who manages which field of an object.

Every write but an apply gives its manager the fields that it changed and takes them from all others. An apply claims
the fields of its configuration, is refused where another manager's fields would change (unless it forces), and removes
what the same manager applied before and nobody manages any more. Fields that the server alone writes have no manager,
nor has a main resource's write any part of the status.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from lab.api_server.core.field_sets import FieldSet, decode, difference, encode, intersection, paths, union
from lab.api_server.core.last_applied import fields_of_last_applied
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.status import ApiStatus
from lab.api_server.core.typed import Comparison, fields_of, merge, with_parents, without
from lab.api_server.kinds.model import Kind
from lab.api_server.kinds.types import schema_of

APPLY, UPDATE = "Apply", "Update"
SERVER_OWNED = frozenset(
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"}
)
UPDATERS_MAX = 10  # upstream's: older entries of writers that are not appliers become one
ANCIENT = "ancient-changes"
# Structs that Go always has, so that a write which fills them in does not add them.
ALWAYS_THERE = frozenset(
    {"metadata", "spec", "status", "template", "strategy", "updateStrategy", "jobTemplate", "nodeInfo"}
    | {"daemonEndpoints", "kubeletEndpoint", "loadBalancer", "names"}
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who writes: one entry of managedFields without its fields and time."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """Return what makes two entries one; an applier stays the same whatever version it applies in."""
        return (self.manager, self.operation, "" if self.operation == APPLY else self.api_version, self.subresource)

    def __str__(self) -> str:
        shown = f'"{self.manager}"'
        if self.subresource:
            shown += f' with subresource "{self.subresource}"'
        return f"{shown} using {self.api_version}" if self.operation == UPDATE else shown


@dataclass(frozen=True, slots=True)
class Entry:
    """One manager's fields."""

    owner: Owner
    fields: FieldSet
    time: str = ""


@dataclass(slots=True)
class Managed:
    """All managers of one object."""

    entries: dict[tuple[str, ...], Entry] = field(default_factory=dict)

    def others(self, owner: Owner) -> list[Entry]:
        """Return the entries of everybody else."""
        return [entry for identity, entry in self.entries.items() if identity != owner.identity]

    def put(self, entry: Entry) -> None:
        """Set one manager's entry; one without fields goes."""
        if entry.fields:
            self.entries[entry.owner.identity] = entry
        else:
            self.entries.pop(entry.owner.identity, None)

    def take(self, fields: FieldSet, owner: Owner) -> None:
        """Take fields from everybody but `owner`."""
        for entry in self.others(owner):
            self.put(replace(entry, fields=difference(entry.fields, fields)))

    def of(self, owner: Owner) -> FieldSet:
        """Return one manager's fields."""
        entry = self.entries.get(owner.identity)
        return entry.fields if entry else {}


def read_managed(manifest: Manifest) -> Managed:
    """Read metadata.managedFields."""
    managed = Managed()
    for one in manifest.get("metadata", {}).get("managedFields") or []:
        if one.get("manager") or one.get("operation"):
            parts = (one.get("manager", ""), one.get("operation", ""), one.get("apiVersion", ""))
            owner = Owner(*parts, one.get("subresource", ""))
            managed.put(Entry(owner, decode(one.get("fieldsV1")), one.get("time", "")))
    return managed


def write_managed(manifest: Manifest, managed: Managed) -> None:
    """Write metadata.managedFields: appliers first, then by time."""
    entries = sorted(
        managed.entries.values(),
        key=lambda one: (
            one.owner.operation,
            one.time,
            one.owner.manager,
            one.owner.api_version,
            one.owner.subresource,
        ),
    )
    listed = [_written(entry) for entry in entries]
    if listed:
        manifest["metadata"]["managedFields"] = listed
    else:
        manifest["metadata"].pop("managedFields", None)


def _written(entry: Entry) -> Manifest:
    owner = entry.owner
    written: Manifest = {
        "manager": owner.manager,
        "operation": owner.operation,
        "apiVersion": owner.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": encode(entry.fields),
    }
    return written | ({"subresource": owner.subresource} if owner.subresource else {})


def record_write(kind: Kind, owner: Owner, old: Manifest, new: Manifest, now: str) -> None:
    """Give `owner` what it changed between two states; managedFields of `new` are written in place."""
    managed = _managed_of_write(old, new)
    before, after = (_owned_part(kind, side, owner.subresource) for side in (old, new))
    if not old and not kind.is_custom:
        before = _new_of(kind)
    changed = Comparison(before, after, kind.schema)
    taken = _without_roots(union(changed.added, changed.modified))
    managed.take(union(taken, changed.removed), owner)
    had = managed.of(owner)
    has = union(difference(had, changed.removed), taken)
    if taken:
        managed.put(Entry(owner, has, now))
    elif has != had:
        managed.put(replace(managed.entries[owner.identity], fields=has))
    _cap(managed, kind)
    write_managed(new, managed)


def _managed_of_write(old: Manifest, new: Manifest) -> Managed:
    """Return what a client sent as managedFields where it sent any: it may rewrite them, and [{}] clears them."""
    given = new.get("metadata", {}).get("managedFields")
    return read_managed(new if given else old)


@cache
def _new_of_type(group: str, name: str) -> Manifest:
    return _zero(schema_of(group, name))


def _new_of(kind: Kind) -> Manifest:
    """Return a new object as Go has it before anything is decoded into it; shared, so not to be changed."""
    return _new_of_type(kind.group, kind.kind)


def _zero(schema: Manifest) -> Manifest:
    zero: Manifest = {}
    for key, member in (schema.get("properties") or {}).items():
        if key in ALWAYS_THERE and member.get("properties"):
            zero[key] = _zero(member)
        elif key in (schema.get("required") or []) and member.get("type") == "array":
            zero[key] = None
    return zero


def _owned_part(kind: Kind, manifest: Manifest, subresource: str) -> Manifest:
    """Return an object without what this write cannot own."""
    left_out = {"apiVersion", "kind"}
    if kind.has_status:
        left_out.add("spec" if subresource == "status" else "status")
    if kind.is_custom and subresource == "status":
        left_out |= manifest.keys() - {"status"}
    part = {key: value for key, value in manifest.items() if key not in left_out}
    if isinstance(part.get("metadata"), dict):
        part["metadata"] = {key: value for key, value in part["metadata"].items() if key not in SERVER_OWNED}
    return part


def _without_roots(fields: FieldSet) -> FieldSet:
    """Nobody owns `metadata` itself."""
    return difference(fields, {"f:metadata": {".": True}})


def _cap(managed: Managed, kind: Kind) -> None:
    """Merge the oldest entries of writers into one, so that an object does not grow with everyone who touched it."""
    updaters = [one for one in managed.entries.values() if one.owner.operation == UPDATE and not one.owner.subresource]
    if len(updaters) <= UPDATERS_MAX:
        return
    updaters.sort(key=lambda one: one.time)
    merged = Entry(Owner(ANCIENT, UPDATE, kind.api_version), {})
    for entry in updaters[: len(updaters) - UPDATERS_MAX + 1]:
        managed.entries.pop(entry.owner.identity)
        merged = Entry(merged.owner, union(merged.fields, entry.fields), entry.time)
    managed.put(merged)


def apply_configuration(
    kind: Kind, owner: Owner, live: Manifest, config: Manifest, now: str, *, force: bool
) -> Manifest:
    """Return the object that server-side apply makes of `live`; Conflict where others manage what would change."""
    schema, managed = kind.schema, read_managed(live)
    if live and not managed.entries:
        everything = _without_roots(fields_of(_owned_part(kind, live, ""), schema))
        managed.put(Entry(Owner("before-first-apply", UPDATE, kind.api_version), everything))
    config = {key: value for key, value in config.items() if key in _applicable(kind, config, owner.subresource)}
    claimed = _without_roots(fields_of(_owned_part(kind, config, owner.subresource), schema))
    last = managed.of(owner)
    merged = merge(live, config, schema)
    managed.put(Entry(owner, claimed, managed.entries[owner.identity].time if last else now))
    merged = _pruned(merged, last, managed, schema)
    before, after = (_owned_part(kind, side, owner.subresource) for side in (live, merged))
    changed = Comparison(before, after, schema)
    touched = union(changed.added, changed.modified)
    if not force:
        allowed = fields_of_last_applied(kind, live) if owner.manager == "kubectl" else {}
        _refuse_conflicts(managed, owner, difference(touched, allowed))
    managed.take(union(touched, changed.removed), owner)
    if touched or changed.removed or last != claimed:
        managed.put(Entry(owner, claimed, now))
    merged["metadata"] = dict(merged["metadata"])
    write_managed(merged, managed)
    return merged


def _applicable(kind: Kind, config: Manifest, subresource: str) -> set[str]:
    """Return the members of a configuration that this resource or subresource takes."""
    if not kind.has_status:
        return set(config)
    return set(config) - ({"spec"} if subresource == "status" else {"status"})


def _pruned(merged: Manifest, last: FieldSet, managed: Managed, schema: Manifest) -> Manifest:
    if not last:
        return merged
    kept: FieldSet = {}
    for entry in managed.entries.values():
        kept = union(kept, entry.fields)
    gone = difference(with_parents(last, schema), with_parents(kept, schema))
    rest: Manifest = without(merged, gone, schema)
    return rest


def _refuse_conflicts(managed: Managed, owner: Owner, touched: FieldSet) -> None:
    conflicts: list[tuple[str, str]] = []
    for entry in sorted(managed.others(owner), key=lambda one: str(one.owner)):
        conflicts += [(str(entry.owner), path) for path in paths(intersection(entry.fields, touched))]
    if conflicts:
        raise conflicted(conflicts)


def conflicted(conflicts: list[tuple[str, str]]) -> ApiStatus:
    """409 of an apply that would change what others manage."""
    causes: list[Any] = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in conflicts
    ]
    if len(conflicts) == 1:
        text = f"1 conflict: conflict with {conflicts[0][0]}: {conflicts[0][1]}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines += [f"conflicts with {manager}:", *(f"- {path}" for who, path in conflicts if who == manager)]
        text = f"{len(conflicts)} conflicts: " + "\n".join(lines)
    return ApiStatus(409, "Conflict", f"Apply failed with {text}", {"causes": causes})


def is_same_but_times(new: Manifest, old: Manifest) -> bool:
    """Return whether two states differ in the times of their managedFields alone, which is no change."""
    before, after = (side["metadata"].get("managedFields") or [] for side in (old, new))
    if len(before) != len(after):
        return False
    times_taken_over = [{**one, "time": other.get("time")} for one, other in zip(after, before, strict=True)]
    if times_taken_over != before:
        return False
    return new | {"metadata": new["metadata"] | {"managedFields": before}} == old
