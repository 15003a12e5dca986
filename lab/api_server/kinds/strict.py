"""Strict decoding of built-in kinds: fields that do not exist, and values of a type that Go would refuse.

Unknown fields are collected (`fieldValidation` decides what they mean) and dropped by `schema.prune`; a wrong type is
always an error, worded as Go's encoding/json words it: clients show it to people.
"""

import re
from typing import Any

from lab.api_server.core.manifest import Manifest
from lab.api_server.kinds.types import NAME

QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
INTEGER_LIMITS = {"int32": 2**31, "int64": 2**63}


class WrongType(Exception):
    """A value that cannot be decoded; the text is that of Go's JSON, `converted` that of apimachinery's converter."""

    def __init__(self, text: str, converted: str = "") -> None:
        super().__init__(text)
        self.converted = converted or text


def check_types(value: Any, schema: Manifest, owner: str = "", path: str = "") -> None:
    """Raise WrongType for the first value that does not fit; `owner` is the struct that `path` lies in."""
    if value is None:
        return
    if schema.get("x-quantity"):
        _check_quantity(value, owner, path)
        return
    wanted = schema.get("type")
    if wanted is None or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if not _fits(value, schema):
        raise _mismatch(value, schema, owner, path)
    if isinstance(value, dict):
        _check_members(value, schema, owner, path)
    elif isinstance(value, list):
        for item in value:
            check_types(item, schema.get("items") or {}, owner, path)


def _check_members(value: Manifest, schema: Manifest, owner: str, path: str) -> None:
    name, properties = _short(schema), schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for key, member in value.items():
        if key in properties:
            check_types(member, properties[key], name, f"{path}.{key}" if path else key)
        elif isinstance(additional, dict):
            check_types(member, additional, owner, path)


def _fits(value: Any, schema: Manifest) -> bool:
    match schema["type"]:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            limit = INTEGER_LIMITS.get(schema.get("format", ""), 2**63)
            return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
    return isinstance(value, dict)


def _check_quantity(value: Any, owner: str, path: str) -> None:
    if isinstance(value, dict | list | bool):
        raise _mismatch(value, {NAME: "resource.Quantity"}, owner, path)
    if not QUANTITY.match(str(value)):
        raise WrongType(f"quantities must match the regular expression '{QUANTITY.pattern}'")


def _mismatch(value: Any, schema: Manifest, owner: str, path: str) -> WrongType:
    shown = _json_name(value, schema)
    text = f"json: cannot unmarshal {shown} into Go struct field {owner}.{path} of type {go_type(schema)}"
    return WrongType(text, _conversion(value, schema))


def _conversion(value: Any, schema: Manifest) -> str:
    source = {"bool": "bool", "string": "string", "array": "slice", "object": "map"}.get(_json_name(value, {}), "int64")
    match schema.get("type"):
        case "array":
            return f"cannot restore slice from {source}"
        case "object" if schema.get("properties"):
            return f"cannot restore struct from: {source}"
        case "object":
            return f"cannot restore map from {source}"
        case "string":
            return f"cannot convert {source} to string"
    return f"unrecognized type: {go_type(schema)}"


def go_value(value: Any) -> str:
    """Return a value as Go prints it with %v."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_value(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)


def _json_name(value: Any, schema: Manifest) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}" if schema.get("type") == "integer" else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def go_type(schema: Manifest) -> str:
    """Return a type as Go prints it."""
    if schema.get(NAME) and schema.get("type", "object") == "object":
        return ".".join(schema[NAME].split(".")[-2:])
    match schema.get("type"):
        case "array":
            return f"[]{go_type(schema['items'])}"
        case "object":
            return f"map[string]{go_type(schema.get('additionalProperties') or {})}"
        case "integer":
            return str(schema.get("format"))
    return {"boolean": "bool", "number": "float64"}.get(schema.get("type", ""), "string")


def _short(schema: Manifest) -> str:
    return str(schema.get(NAME, "")).rsplit(".", 1)[-1]
