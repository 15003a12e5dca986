"""CustomResourceDefinitions, and the kinds that they define.

A definition is served at once: the lab has no establishing controller, so its conditions are set when it is created
and its kinds are rebuilt on every write of it (`core.server` listens).
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.status import FieldError, required, wrong
from lab.api_server.kinds.ages import age
from lab.api_server.kinds.model import COMMON_FIELDS, SCALE, STATUS, Column, Columns, Kind, Strategy, reader
from lab.api_server.kinds.schema import default, prune
from lab.api_server.kinds.schema_check import check
from lab.api_server.kinds.types import SCALARS, named

OPEN_SCHEMA: Manifest = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def default_definition(manifest: Manifest) -> None:
    """Fill in the names that can be derived, and where the versions are converted: nowhere."""
    spec = manifest.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})


def validate_definition(manifest: Manifest) -> list[FieldError]:
    """Check what the server itself relies on."""
    spec = manifest["spec"]
    names = spec["names"]
    errors = [required(f"spec.{member}") for member in ("group", "scope", "versions") if not spec.get(member)]
    errors += [required(f"spec.names.{member}") for member in ("plural", "kind") if not names.get(member)]
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if manifest["metadata"].get("name") != expected:
        detail = 'must be spec.names.plural+"."+spec.group'
        errors.append(wrong("metadata.name", manifest["metadata"].get("name"), detail))
    for index, version in enumerate(spec.get("versions") or []):
        if not at(version, "schema", "openAPIV3Schema"):
            field = f"spec.versions[{index}].schema.openAPIV3Schema"
            errors.append(required(field, "schemas are required"))
    if spec.get("versions") and sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.append(wrong("spec.versions", "...", detail))
    return errors


def establish(manifest: Manifest) -> None:
    """Give a new definition the status of one that is served."""
    spec, now = manifest["spec"], manifest["metadata"]["creationTimestamp"]
    manifest["status"] = {
        "conditions": [
            {
                "type": "NamesAccepted",
                "status": "True",
                "lastTransitionTime": now,
                "reason": "NoConflicts",
                "message": "no conflicts found",
            },
            {
                "type": "Established",
                "status": "True",
                "lastTransitionTime": now,
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
            },
        ],
        "acceptedNames": spec["names"],
        "storedVersions": [version["name"] for version in spec["versions"] if version.get("storage")],
    }


def keep_established(new: Manifest, old: Manifest) -> None:
    """Keep the status on an update, and accept its names."""
    new["status"] = old.get("status", {}) | {"acceptedNames": new["spec"]["names"]}


def _changed(new: Manifest, old: Manifest) -> bool:
    return bool(new.get("spec") != old.get("spec"))


DEFINITION = Strategy(
    default=default_definition,
    prepare_create=establish,
    prepare_update=keep_established,
    validate=validate_definition,
    changes_generation=_changed,
    unconditional_update=False,
)


def kinds_of(definition: Manifest) -> list[Kind]:
    """Return one kind per served version."""
    return [_kind(definition, version) for version in definition["spec"]["versions"] if version.get("served", True)]


def _kind(definition: Manifest, version: Manifest) -> Kind:
    spec, names = definition["spec"], definition["spec"]["names"]
    storage = next(one["name"] for one in spec["versions"] if one.get("storage"))
    has_status = at(version, "subresources", "status") is not None
    has_scale = at(version, "subresources", "scale") is not None
    subresources = ((STATUS,) if has_status else ()) + ((SCALE,) if has_scale else ())
    schema = at(version, "schema", "openAPIV3Schema") or OPEN_SCHEMA
    fields = {f"{field['jsonPath'].lstrip('.')}": _field(field) for field in version.get("selectableFields") or []}
    api_version = f"{spec['group']}/{version['name']}"
    return Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=subresources,
        fields={**COMMON_FIELDS, **fields},
        strategy=_strategy(schema, has_status=has_status),
        columns=_columns(version.get("additionalPrinterColumns") or []),
        to_storage=partial(_renamed, api_version=f"{spec['group']}/{storage}") if storage != version["name"] else None,
        from_storage=partial(_renamed, api_version=api_version) if storage != version["name"] else None,
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        is_custom=True,
        schema=_whole(schema),
    )


def _whole(schema: Manifest) -> Manifest:
    """Return the schema with the members that every object has."""
    members = {"apiVersion": SCALARS["string"], "kind": SCALARS["string"], "metadata": named("meta", "ObjectMeta")}
    return schema | {"properties": {**(schema.get("properties") or {}), **members}}


def _renamed(manifest: Manifest, api_version: str) -> Manifest:
    return manifest | {"apiVersion": api_version}


def _field(field: Manifest) -> Callable[[Manifest], str]:
    return reader(*field["jsonPath"].lstrip(".").split("."))


def _strategy(schema: Manifest, *, has_status: bool) -> Strategy:
    def fill(manifest: Manifest) -> None:
        prune(manifest, schema)
        default(manifest, schema)

    def validate(manifest: Manifest) -> list[FieldError]:
        return check(manifest, schema, "")

    def validate_update(manifest: Manifest, _old: Manifest) -> list[FieldError]:
        return check(manifest, schema, "")

    return Strategy(
        default=fill,
        prepare_create=_without_status if has_status else _untouched,
        prepare_update=_status_of if has_status else _untouched_from,
        prepare_status=_only_status,
        validate=validate,
        validate_update=validate_update,
        validate_status=validate_update,
        changes_generation=_without_metadata_and_status if has_status else _without_metadata,
        unconditional_update=False,
        drops_nulls=False,
    )


def _untouched(_: Manifest) -> None:
    return None


def _untouched_from(_: Manifest, __: Manifest) -> None:
    return None


def _without_status(manifest: Manifest) -> None:
    manifest.pop("status", None)


def _status_of(new: Manifest, old: Manifest) -> None:
    new.pop("status", None)
    if "status" in old:
        new["status"] = old["status"]


def _only_status(new: Manifest, old: Manifest) -> None:
    """A status write of a custom resource changes nothing else, labels and annotations included."""
    status = new.get("status")
    for key in list(new):
        del new[key]
    new.update({key: value for key, value in old.items() if key != "status"})
    if status is not None:
        new["status"] = status


def _without_metadata(new: Manifest, old: Manifest) -> bool:
    return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - {"metadata"})


def _without_metadata_and_status(new: Manifest, old: Manifest) -> bool:
    return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - {"metadata", "status"})


def _columns(declared: list[Manifest]) -> Columns:
    if not declared:
        return ()
    return tuple(
        Column(
            name=column["name"],
            cell=partial(_cell, path=column["jsonPath"], kind=column["type"]),
            type=column["type"],
            priority=column.get("priority", 0),
            description=column.get("description", ""),
            format=column.get("format", ""),
        )
        for column in declared
    )


def _cell(manifest: Manifest, now: datetime, *, path: str, kind: str) -> Any:
    value = read_json_path(manifest, path)
    if kind == "date":
        return age(value, now) if value else ""
    if value is None:
        return None
    if kind == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def read_json_path(manifest: Manifest, path: str) -> Any:
    """Read the subset of JSONPath that printer columns use: `.a.b`, `.a[0]`, `.a[?(@.type=="Ready")].status`."""
    value: Any = manifest
    for step in _steps(path):
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            member, wanted = step
            items = value if isinstance(value, list) else []
            value = next((item for item in items if isinstance(item, dict) and str(item.get(member)) == wanted), None)
        if value is None:
            return None
    return value


def _steps(path: str) -> list[str | int | tuple[str, str]]:
    steps: list[str | int | tuple[str, str]] = []
    rest = path.replace("\\.", "\0")
    while rest:
        if rest.startswith("[?(@."):
            condition, rest = rest[5:].split(")]", 1)
            member, _, wanted = condition.partition("==")
            steps.append((member.strip(), wanted.strip().strip("'\"")))
        elif rest.startswith("["):
            inner, rest = rest[1:].split("]", 1)
            steps.append(int(inner) if inner.lstrip("-").isdigit() else inner.strip("'\""))
        else:
            rest = rest.removeprefix(".")
            end = min((position for position in (rest.find("."), rest.find("[")) if position >= 0), default=len(rest))
            if end:
                steps.append(rest[:end].replace("\0", "."))
            rest = rest[end:]
    return steps
