"""Structural schemas: pruning and, for custom resources, defaulting. (`schema_check` does the validation.)

Unknown fields are dropped unless `x-kubernetes-preserve-unknown-fields` keeps them; the paths of what was dropped are
returned, because `fieldValidation=Strict` makes an error of them. Rules in CEL (`x-kubernetes-validations`) are not
evaluated here: the lab's own CRDs must hold without them.
"""

from typing import Any

from lab.api_server.core.manifest import Manifest
from lab.api_server.kinds.types import NAME

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
ROOT_MEMBERS = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Any, schema: Manifest, path: str = "", *, is_root: bool = True) -> list[str]:
    """Drop unknown fields from `value` in place and return their paths."""
    if isinstance(value, dict):
        return _prune_object(value, schema, path, is_root=is_root)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [
            dropped
            for index, item in enumerate(value)
            for dropped in prune(item, schema["items"], f"{path}[{index}]", is_root=False)
        ]
    return []


def _prune_object(value: Manifest, schema: Manifest, path: str, *, is_root: bool) -> list[str]:
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    is_root = is_root or bool(schema.get(EMBEDDED))
    dropped: list[str] = []
    for key in list(value):
        where = f"{path}.{key}" if path else key
        if is_root and key in ROOT_MEMBERS and NAME not in properties.get(key, {}):
            continue
        if key in properties:
            dropped += prune(value[key], properties[key], where, is_root=False)
        elif isinstance(additional, dict):
            dropped += prune(value[key], additional, where, is_root=False)
        elif not additional and not schema.get(PRESERVE):
            del value[key]
            dropped.append(where)
    return dropped


def default(value: Any, schema: Manifest) -> None:
    """Fill in defaults in place; a null where null is not allowed gives way to the default."""
    if isinstance(value, dict):
        _default_object(value, schema)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            default(item, schema["items"])


def _default_object(value: Manifest, schema: Manifest) -> None:
    additional = schema.get("additionalProperties")
    for key, member in (schema.get("properties") or {}).items():
        if "default" in member and (key not in value or (value[key] is None and not member.get("nullable"))):
            value[key] = member["default"]
        if key in value:
            if value[key] is None and not member.get("nullable"):
                del value[key]
                continue
            default(value[key], member)
    if isinstance(additional, dict):
        for key in value.keys() - (schema.get("properties") or {}).keys():
            default(value[key], additional)
