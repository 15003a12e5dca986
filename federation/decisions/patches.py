"""Patches as values: what turns one JSON document into another."""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Manifest:
    """Return the JSON merge patch (RFC 7386) from `old` to `new`; empty where they are equal. Lists go whole."""
    patch: Manifest = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            patch[key] = merge_patch(before, value)
        else:
            patch[key] = value
    return patch


def json_patch(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[Manifest]:
    """Return the JSON patch (RFC 6902) from `old` to `new`, object by object; lists are replaced whole.

    Fields that are the same in both are not mentioned, so a field we do not know cannot be lost.
    """
    operations: list[Manifest] = [{"op": "remove", "path": f"{path}/{_escape(key)}"} for key in old if key not in new]
    for key, value in new.items():
        where = f"{path}/{_escape(key)}"
        if key not in old:
            operations.append({"op": "add", "path": where, "value": value})
        elif isinstance(value, Mapping) and isinstance(old[key], Mapping):
            operations += json_patch(old[key], value, where)
        elif old[key] != value:
            operations.append({"op": "replace", "path": where, "value": value})
    return operations


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
