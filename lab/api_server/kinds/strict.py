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
    """A value that cannot be decoded; the text is that of Go's JSON, `converted` that of apimachinery's converter.

    `path` is where it lies, `owner` the struct that it lies in; both are found out on the way up.
    """

    def __init__(self, text: str, converted: str = "") -> None:
        super().__init__(text)
        self.text, self.converted = text, converted or text
        self.path: list[str] = []
        self.owner = ""

    def __str__(self) -> str:
        return self.text.replace("{}", ".".join([self.owner, *self.path]))


def examine(value: Any, schema: Manifest) -> list[str]:
    """Return the paths of unknown fields; raise WrongType for the first value that does not fit.

    Every write comes through here, so paths are put together only where something is wrong.
    """
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    if isinstance(value, dict) and schema.get("type") == "object":
        return _examine_members(value, schema)
    if isinstance(value, list) and schema.get("type") == "array":
        return _examine_items(value, schema["items"])
    _check_scalar(value, schema)
    return []


def _examine_members(value: Manifest, schema: Manifest) -> list[str]:
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    unknown: list[str] = []
    for key, member in value.items():
        below = properties.get(key, additional)
        if below is None:
            unknown.append(key)
        elif member is not None and not (type(member) is str and below.get("type") == "string"):
            try:
                found = examine(member, below)
            except WrongType as error:
                if key in properties:
                    error.path.insert(0, key)
                    error.owner = error.owner or _short(schema)
                raise
            if found:
                unknown += [f"{key}{one if one.startswith('[') else '.' + one}" for one in found]
    return unknown


def _examine_items(value: list[Any], schema: Manifest) -> list[str]:
    unknown: list[str] = []
    for index, item in enumerate(value):
        if item is not None and (found := examine(item, schema)):
            unknown += [f"[{index}].{one}" for one in found]
    return unknown


def _check_scalar(value: Any, schema: Manifest) -> None:
    if schema.get("x-quantity"):
        _check_quantity(value)
    elif schema.get("type") is not None and not _fits(value, schema):
        raise _mismatch(value, schema)


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
    return False


def _check_quantity(value: Any) -> None:
    if isinstance(value, dict | list | bool):
        raise _mismatch(value, {NAME: "resource.Quantity"})
    if not QUANTITY.match(str(value)):
        raise WrongType(f"quantities must match the regular expression '{QUANTITY.pattern}'")


def _mismatch(value: Any, schema: Manifest) -> WrongType:
    text = f"json: cannot unmarshal {_json_name(value, schema)} into Go struct field {{}} of type {go_type(schema)}"
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
