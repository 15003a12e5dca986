"""OpenAPI v3: the fields and types of every kind served, for `kubectl explain` and for clients that validate.

The documents come from the schemas that the server itself decodes by, so they cannot say anything else than it does.
They have no descriptions for built-in kinds, and no PATCH bodies: kubectl then merges built-in kinds by what it knows
of them itself. Every write takes `fieldValidation`, which is how kubectl finds out that the server does the checking.
"""

from typing import Any

from lab.api_server.core.manifest import Manifest
from lab.api_server.core.routes import Served
from lab.api_server.kinds.model import Kind
from lab.api_server.kinds.types import NAME

PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
REFERENCE = "#/components/schemas/"
OWN = frozenset({NAME, "x-quantity"})


def index(served: Served) -> Manifest:
    """Return the list of group-version documents."""
    paths = sorted({f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}" for kind in served})
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=lab"} for path in paths}}


def document(served: Served, path: str) -> Manifest | None:
    """Return the document of `api/v1` or `apis/group/version`."""
    steps = path.split("/")
    group, version = ("", steps[1]) if steps[0] == "api" and len(steps) == 2 else ("", "")
    if steps[0] == "apis" and len(steps) == 3:
        group, version = steps[1], steps[2]
    kinds = [kind for kind in served if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    paths: Manifest = {}
    schemas: dict[str, Manifest] = {}
    for kind in kinds:
        paths |= _paths(kind)
        root = _named(kind.schema, schemas, kind)
        identity = {"group": kind.group, "kind": kind.kind, "version": kind.version}
        schemas[root]["x-kubernetes-group-version-kind"] = [identity]
    info = {"title": "Kubernetes", "version": "v1.37.2"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _named(schema: Manifest, schemas: dict[str, Manifest], kind: Kind | None = None) -> str:
    """Write a named type, and those it uses, into `schemas`; return its name."""
    name = str(schema.get(NAME) or "")
    if not name:
        assert kind is not None
        name = ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    if name not in schemas:
        schemas[name] = {}
        schemas[name] |= _written(schema, schemas, is_root=True)
    return name


def _written(value: Any, schemas: dict[str, Manifest], *, is_root: bool = False) -> Any:
    """Return a schema as documents show it: named types by reference."""
    if isinstance(value, list):
        return [_written(one, schemas) for one in value]
    if not isinstance(value, dict):
        return value
    if NAME in value and not is_root:
        return {"allOf": [{"$ref": REFERENCE + _named(value, schemas)}]}
    return {key: _written(one, schemas) for key, one in value.items() if key not in OWN}


def _paths(kind: Kind) -> Manifest:
    collection, one = kind.path("{namespace}"), kind.path("{namespace}", "{name}")
    operations = {"post": _operation(kind, "post")} if "create" in kind.verbs else {}
    methods = {"put": "update", "patch": "patch"}
    writes = {method: _operation(kind, method) for method, verb in methods.items() if verb in kind.verbs}
    if "get" in kind.verbs:
        writes["get"] = _operation(kind, "get")
    return {collection: operations, one: writes}


def _operation(kind: Kind, action: str) -> Manifest:
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in PARAMETERS],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": kind.version},
    }
