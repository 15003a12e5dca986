"""Validation of custom resources against their OpenAPI v3 schema, with the messages of kube-openapi.

Patterns are matched by RE2, as upstream's are, so that a pattern that Go refuses cannot work here.
"""

import ipaddress
from typing import Any

import orjson
import re2

from lab.api_server.core.manifest import Manifest, parse_timestamp
from lab.api_server.core.status import FieldError, required, unsupported, wrong

INT_OR_STRING = "x-kubernetes-int-or-string"


def check(value: Any, schema: Manifest, path: str) -> list[FieldError]:
    """Return every violation below `path`."""
    if value is None and schema.get("nullable"):
        return []
    mismatch = _type_error(value, schema, path)
    if mismatch:
        return [mismatch]
    errors = _enumeration(value, schema, path)
    if isinstance(value, dict):
        errors += _object(value, schema, path)
    elif isinstance(value, list):
        errors += _list(value, schema, path)
    elif isinstance(value, str):
        errors += _text(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        errors += _number(value, schema, path)
    return errors + _combinations(value, schema, path)


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (dict, "object"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "null"


def _type_error(value: Any, schema: Manifest, path: str) -> FieldError | None:
    wanted, found = schema.get("type"), _type_name(value)
    if schema.get(INT_OR_STRING):
        if found in {"integer", "string"}:
            return None
        wanted = "integer,string"
    if not wanted or wanted == found or (wanted == "number" and found == "integer"):
        return None
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        return None
    return wrong(path, found, f'{path} in body must be of type {wanted}: "{found}"')


def _enumeration(value: Any, schema: Manifest, path: str) -> list[FieldError]:
    allowed = schema.get("enum")
    return [unsupported(path, value, allowed)] if allowed and value not in allowed else []


def _object(value: Manifest, schema: Manifest, path: str) -> list[FieldError]:
    errors = [required(_join(path, key)) for key in schema.get("required") or [] if key not in value]
    properties = schema.get("properties") or {}
    for key, member in value.items():
        if key in properties:
            errors += check(member, properties[key], _join(path, key))
        elif isinstance(schema.get("additionalProperties"), dict):
            errors += check(member, schema["additionalProperties"], _join(path, key))
    fewest, most = schema.get("minProperties"), schema.get("maxProperties")
    if fewest is not None and len(value) < fewest:
        errors.append(wrong(path, len(value), f"{path} in body should have at least {fewest} properties"))
    if most is not None and len(value) > most:
        message = f"Too many: {len(value)}: must have at most {most} items"
        errors.append(FieldError(path, message, "FieldValueTooMany"))
    return errors


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _list(value: list[Any], schema: Manifest, path: str) -> list[FieldError]:
    errors = []
    if isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            errors += check(item, schema["items"], f"{path}[{index}]")
    fewest, most = schema.get("minItems"), schema.get("maxItems")
    if fewest is not None and len(value) < fewest:
        errors.append(wrong(path, len(value), f"{path} in body should have at least {fewest} items"))
    if most is not None and len(value) > most:
        message = f"Too many: {len(value)}: must have at most {most} items"
        errors.append(FieldError(path, message, "FieldValueTooMany"))
    return errors + _set_or_map(value, schema, path)


def _set_or_map(value: list[Any], schema: Manifest, path: str) -> list[FieldError]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    if kind not in {"set", "map"}:
        return []
    errors, seen = [], set()
    for index, item in enumerate(value):
        identity = orjson.dumps(
            {key: item.get(key) for key in keys} if kind == "map" and isinstance(item, dict) else item
        )
        if identity in seen:
            message = f"Duplicate value: {identity.decode()}"
            errors.append(FieldError(f"{path}[{index}]", message, "FieldValueDuplicate"))
        seen.add(identity)
    return errors


def _text(value: str, schema: Manifest, path: str) -> list[FieldError]:
    errors = []
    fewest, most = schema.get("minLength"), schema.get("maxLength")
    if fewest is not None and len(value) < fewest:
        errors.append(wrong(path, value, f"{path} in body should be at least {fewest} chars long"))
    if most is not None and len(value) > most:
        message = f"Too long: may not be more than {most} bytes"
        errors.append(FieldError(path, message, "FieldValueTooLong"))
    pattern = schema.get("pattern")
    if pattern and not re2.search(pattern, value):
        errors.append(wrong(path, value, f"{path} in body should match '{pattern}'"))
    if not _has_format(value, schema.get("format", "")):
        errors.append(wrong(path, value, f'{path} in body must be of type {schema["format"]}: "{value}"'))
    return errors


def _has_format(value: str, name: str) -> bool:
    try:
        if name == "date-time":
            parse_timestamp(value)
        elif name in {"ipv4", "ipv6"}:
            ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _number(value: float, schema: Manifest, path: str) -> list[FieldError]:
    errors = []
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is not None and (value < lowest or (value == lowest and schema.get("exclusiveMinimum"))):
        relation = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        errors.append(wrong(path, value, f"{path} in body should be {relation} {lowest}"))
    if highest is not None and (value > highest or (value == highest and schema.get("exclusiveMaximum"))):
        relation = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        errors.append(wrong(path, value, f"{path} in body should be {relation} {highest}"))
    return errors


def _combinations(value: Any, schema: Manifest, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    shown = orjson.dumps(value).decode() if isinstance(value, dict | list) else value
    for one in schema.get("allOf") or []:
        errors += check(value, one, path)
    if schema.get("anyOf") and all(check(value, one, path) for one in schema["anyOf"]):
        errors.append(wrong(path, shown, f'"{path}" must validate at least one schema (anyOf)'))
    if schema.get("oneOf"):
        matching = sum(not check(value, one, path) for one in schema["oneOf"])
        if matching != 1:
            found = "none valid" if not matching else f"{matching} valid alternatives"
            errors.append(wrong(path, shown, f'"{path}" must validate one and only one schema (oneOf). Found {found}'))
    if isinstance(schema.get("not"), dict) and not check(value, schema["not"], path):
        errors.append(wrong(path, shown, f'"{path}" must not validate the schema (not)'))
    return errors
