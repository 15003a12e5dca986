"""Sets of fields of an object, as field ownership keeps them.

A set is a tree of dicts. Keys are path elements in the notation of FieldsV1: `f:name` for a member, `k:{"name":"c"}`
for the item of a keyed list, `v:"x"` for a member of a set. The key `.` says that the node itself is in the set. An
empty dict is the empty set. All functions leave their arguments alone.
"""

import json
from collections.abc import Iterator
from typing import Any

FieldSet = dict[str, Any]
SELF = "."


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Return what is in either."""
    result = dict(left)
    for key, node in right.items():
        result[key] = node if key == SELF or key not in result else union(result[key], node)
    return result


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Return what is in `left` only."""
    result: FieldSet = {}
    for key, node in left.items():
        if key not in right:
            result[key] = node
        elif key != SELF and (rest := difference(node, right[key])):
            result[key] = rest
    return result


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Return what is in both."""
    result: FieldSet = {}
    for key in left.keys() & right.keys():
        if key == SELF:
            result[SELF] = True
        elif both := intersection(left[key], right[key]):
            result[key] = both
    return result


def decode(fields: Any) -> FieldSet:
    """Read FieldsV1."""
    return {key: _decoded(node) for key, node in fields.items()} if isinstance(fields, dict) else {}


def _decoded(node: Any) -> FieldSet:
    if not node:
        return {SELF: True}
    return {key: True if key == SELF else _decoded(member) for key, member in node.items()}


def encode(fields: FieldSet) -> FieldSet:
    """Write FieldsV1, in its order."""
    result: FieldSet = {}
    for key in sorted(fields):
        node = fields[key]
        result[key] = {} if key == SELF or node == {SELF: True} else encode(node)
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Yield the members as people read them (`.spec.containers[name="c"].image`), in upstream's order."""
    for key in sorted(fields):
        if key != SELF and SELF in fields[key]:
            yield prefix + _shown(key)
    for key in sorted(fields):
        if key != SELF:
            yield from paths(fields[key], prefix + _shown(key))


def _shown(element: str) -> str:
    kind, _, text = element.partition(":")
    match kind:
        case "f":
            return f".{text}"
        case "k":
            pairs = json.loads(text)
            return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in pairs.items()) + "]"
        case "v":
            return f"[={text}]"
    return f"[{text}]"
