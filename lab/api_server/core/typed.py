"""Objects seen through their schema: which fields they have, how two differ, how one is laid over another.

The rules are those of structured merge: members of objects and items of keyed lists are fields of their own; a scalar,
an atomic list or an atomic object is one field however much is in it. Schemas are those of `kinds.types` and of custom
resources; below a field without a schema, objects are taken apart and lists are atomic.
"""

import json
from typing import Any

from lab.api_server.core.field_sets import SELF, FieldSet
from lab.api_server.core.manifest import Manifest

MISSING: Any = object()
KEY_DEFAULTS = {"protocol": "TCP"}
LEAF: FieldSet = {SELF: True}


class NotDeclared(Exception):
    """A field that the schema does not have, or an item without its key."""


def _member(schema: Manifest, key: str) -> tuple[Manifest, bool]:
    """Return the schema of a member, and whether it is a declared field."""
    properties = schema.get("properties") or {}
    if key in properties:
        return properties[key], True
    additional = schema.get("additionalProperties")
    return (additional if isinstance(additional, dict) else {}), False


def _is_open(schema: Manifest) -> bool:
    return bool(
        not schema.get("properties")
        or schema.get("additionalProperties")
        or schema.get("x-kubernetes-preserve-unknown-fields")
    )


def _is_map(value: Any, schema: Manifest) -> bool:
    return isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic"


def _is_list(value: Any, schema: Manifest) -> bool:
    return isinstance(value, list) and schema.get("x-kubernetes-list-type") in {"map", "set"}


def element(item: Any, schema: Manifest) -> str:
    """Return the path element of a list item."""
    if schema["x-kubernetes-list-type"] == "set":
        return "v:" + _compact(item)
    if not isinstance(item, dict):
        raise NotDeclared("an item of a keyed list is no object")
    keys = {}
    for key in sorted(schema["x-kubernetes-list-map-keys"]):
        default = (_member(schema.get("items") or {}, key)[0]).get("default", KEY_DEFAULTS.get(key))
        if key in item or default is not None:
            keys[key] = item.get(key, default)
    if not keys:
        raise NotDeclared("associative list with keys has an element that omits key field")
    return "k:" + _compact(keys)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def items(value: list[Any], schema: Manifest) -> dict[str, Any]:
    """Return a keyed list or a set by path element."""
    return {element(item, schema): item for item in value}


def fields_of(value: Any, schema: Manifest, path: str = "") -> FieldSet:
    """Return the set of all fields of a value."""
    if _is_map(value, schema):
        result: FieldSet = {}
        for key, member in value.items():
            below, is_declared = _member(schema, key)
            if not is_declared and not _is_open(schema):
                raise NotDeclared(f"{path}.{key}: field not declared in schema")
            node = fields_of(member, below, f"{path}.{key}")
            if member is None or member == {} or not is_declared:
                node = node | LEAF
            if node:
                result[f"f:{key}"] = node
        return result
    if _is_list(value, schema):
        below = schema.get("items") or {}
        keyed = items(value, schema)
        return {key: fields_of(item, below, f"{path}[...]") | LEAF for key, item in keyed.items()}
    return dict(LEAF)


class Comparison:
    """What changed from one state to another."""

    def __init__(self, old: Manifest, new: Manifest, schema: Manifest) -> None:
        self.added: FieldSet = {}
        self.removed: FieldSet = {}
        self.modified: FieldSet = {}
        self._compare(old, new, schema, ())

    def _note(self, fields: FieldSet, path: tuple[str, ...]) -> None:
        for step in path:
            fields = fields.setdefault(step, {})
        fields[SELF] = True

    def _compare(self, old: Any, new: Any, schema: Manifest, path: tuple[str, ...]) -> None:
        if old is new or (old is not MISSING and new is not MISSING and old == new):
            return
        sides = [side for side in (old, new) if side is not MISSING and side is not None and side not in ({}, [])]
        if sides and all(_is_map(side, schema) for side in sides):
            self._members(old, new, schema, path)
        elif sides and all(_is_list(side, schema) for side in sides):
            self._items(old, new, schema, path)
        elif old is MISSING:
            self._note(self.added, path)
        elif new is MISSING:
            self._note(self.removed, path)
        else:
            self._note(self.modified, path)

    def _members(self, old: Any, new: Any, schema: Manifest, path: tuple[str, ...]) -> None:
        before, after = (side if isinstance(side, dict) else {} for side in (old, new))
        for key in {**before, **after}:
            below = _member(schema, key)[0]
            self._compare(before.get(key, MISSING), after.get(key, MISSING), below, (*path, f"f:{key}"))
        self._note_itself(old, new, path)

    def _items(self, old: Any, new: Any, schema: Manifest, path: tuple[str, ...]) -> None:
        before, after = (items(side, schema) if isinstance(side, list) else {} for side in (old, new))
        below = schema.get("items") or {}
        for key in {**before, **after}:
            self._compare(before.get(key, MISSING), after.get(key, MISSING), below, (*path, key))
        self._note_itself(old, new, path)

    def _note_itself(self, old: Any, new: Any, path: tuple[str, ...]) -> None:
        if path and old is MISSING:
            self._note(self.added, path)
        elif path and new is MISSING:
            self._note(self.removed, path)


def merge(base: Any, over: Any, schema: Manifest) -> Any:
    """Return `base` with `over` laid over it."""
    if _is_map(over, schema):
        result = dict(base) if isinstance(base, dict) else {}
        for key, member in over.items():
            result[key] = merge(result.get(key), member, _member(schema, key)[0])
        return result
    if _is_list(over, schema):
        return _merge_items(base if isinstance(base, list) else [], over, schema)
    return over


def _merge_items(base: list[Any], over: list[Any], schema: Manifest) -> list[Any]:
    """Take the items in the order of `over`; those of `base` alone keep their place among them."""
    left, right, below = items(base, schema), items(over, schema), schema.get("items") or {}
    waiting, result = list(left), []
    for key, item in right.items():
        while waiting and waiting[0] not in right:
            result.append(left[waiting.pop(0)])
        result.append(merge(left.get(key), item, below))
        if key in waiting:
            waiting.remove(key)
    return result + [left[key] for key in waiting]


def without(value: Any, fields: FieldSet, schema: Manifest) -> Any:
    """Return a value without the fields of a set; an object that this empties goes too (None)."""
    if _is_map(value, schema):
        kept = {}
        for key, member in value.items():
            node = fields.get(f"f:{key}")
            if node is None:
                kept[key] = member
            elif SELF not in node:
                rest = without(member, node, _member(schema, key)[0])
                if rest is not None:
                    kept[key] = rest
        return kept or None
    if _is_list(value, schema):
        rest_items = []
        for key, item in items(value, schema).items():
            node = fields.get(key)
            if node is None:
                rest_items.append(item)
            elif SELF not in node:
                rest_items.append(without(item, node, schema.get("items") or {}))
        return [item for item in rest_items if item is not None] or None
    return value


def with_parents(fields: FieldSet, schema: Manifest) -> FieldSet:
    """Return a set with the declared objects and lists that its members lie in."""
    result: FieldSet = {}
    for key, node in fields.items():
        if key == SELF:
            result[key] = node
            continue
        is_declared = False
        below: Manifest = schema.get("items") or {}
        if key.startswith("f:"):
            below, is_declared = _member(schema, key[2:])
        inner = with_parents(node, below)
        result[key] = inner | LEAF if is_declared else inner
    return result
