"""Just enough OpenAPI v3 for kubectl: that every write takes `fieldValidation`, so that the server does the checking.

No schemas are published. kubectl then neither validates on its side nor merges by schema, and `kubectl explain` has
nothing to say.
"""

from lab.api_server.core.manifest import Manifest
from lab.api_server.core.routes import Served
from lab.api_server.kinds.model import Kind

PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


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
    for kind in kinds:
        paths |= _paths(kind)
    info = {"title": "Kubernetes", "version": "v1.37.2"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}


def _paths(kind: Kind) -> Manifest:
    collection, one = kind.path("{namespace}"), kind.path("{namespace}", "{name}")
    operations = {"post": _operation(kind, "post")} if "create" in kind.verbs else {}
    methods = {"put": "update", "patch": "patch"}
    writes = {method: _operation(kind, method) for method, verb in methods.items() if verb in kind.verbs}
    return {collection: operations, one: writes}


def _operation(kind: Kind, action: str) -> Manifest:
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in PARAMETERS],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": kind.version},
    }
