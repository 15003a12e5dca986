"""Patches as values: what turns one JSON document into another."""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Manifest:
    """Return the JSON merge patch (RFC 7386) from `old` to `new`; empty where they are equal. Lists go whole.

    Nulls count as absent, in lists too: the API server has `lastProbeTime: null` in every pod condition and drops it
    where it applies a merge patch, so that the two would never be equal.
    """
    return _merge_patch(_without_nulls(old), _without_nulls(new))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Manifest:
    patch: Manifest = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            patch[key] = _merge_patch(before, value)
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
