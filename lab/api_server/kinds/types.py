"""The fields of the built-in kinds, as schemas like those of custom resources.

`tables_of_types/` has one file per API group: a line per type, `name:type` per field, without a type for strings. `!`
after a name means that the field is required, `[T]` a list that is replaced whole, `[T|key]` a list whose items are
known by that key, `[T|*]` a set, `{T}` a map, and `=` behind a type that it is owned and replaced as a whole. A type is
looked for in its own file, then in `core` and `meta`. A test holds the tables against the official client's models.

The schemas drive strict decoding, pruning, field ownership, `kubectl explain`. They carry no descriptions, and no
limits on values: what a value may be is the strategies' business. Types that contain themselves are shared dicts, so a
schema may be cyclic; `x-name` marks a named type.
"""

from functools import cache
from importlib.resources import files

from lab.api_server.core.manifest import Manifest

NAME = "x-name"
PACKAGES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
META = PACKAGES["meta"]
SCALARS: dict[str, Manifest] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "bool": {"type": "boolean"},
    "number": {"type": "number"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, NAME: f"{META}.FieldsV1"},
    "Time": {"type": "string", "format": "date-time", NAME: f"{META}.Time"},
    "MicroTime": {"type": "string", "format": "date-time", NAME: f"{META}.MicroTime"},
    "Quantity": {
        "oneOf": [{"type": "string"}, {"type": "number"}],
        "x-quantity": True,
        NAME: "io.k8s.apimachinery.pkg.api.resource.Quantity",
    },
    "IntOrString": {
        "oneOf": [{"type": "integer"}, {"type": "string"}],
        "format": "int-or-string",
        "x-kubernetes-int-or-string": True,
        NAME: "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    },
}
ATOMIC: Manifest = {"x-kubernetes-map-type": "atomic"}


def package_of(group: str) -> str:
    """Return the name of a group's table."""
    return group.split(".", maxsplit=1)[0] or "core"


def schema_of(group: str, kind: str) -> Manifest:
    """Return the schema of a built-in kind."""
    return named(package_of(group), kind)


@cache
def _lines(package: str) -> dict[str, str]:
    """Return the fields of every type of a table, unread."""
    table = files(__package__).joinpath("tables_of_types", f"{package}.txt").read_text()
    lines = [line.split(maxsplit=1) for line in table.replace("\n  ", " ").splitlines()]
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


_types: dict[tuple[str, str], Manifest] = {}


def named(package: str, name: str) -> Manifest:
    """Return the schema of a type."""
    if name in SCALARS:
        return SCALARS[name]
    owner = next((one for one in (package, "core", "meta") if {name, f"{name}="} & _lines(one).keys()), "")
    if not owner:
        raise KeyError(f"{package}.{name} is in no table of types")
    if (owner, name) not in _types:
        root = PACKAGES.get(owner, f"io.k8s.api.{owner}.v1")
        _types[owner, name] = {"type": "object", "properties": {}, NAME: f"{root}.{name}"}
        _fill(_types[owner, name], owner, name)
    return _types[owner, name]


def _fill(schema: Manifest, package: str, name: str) -> None:
    lines = _lines(package)
    required = []
    for word in lines.get(name, lines.get(f"{name}=", "")).split():
        field, _, kind = word.partition(":")
        if field.endswith("!"):
            required.append(field[:-1])
        schema["properties"][field.rstrip("!")] = _parsed(package, kind or "string")
    if required:
        schema["required"] = required
    if f"{name}=" in lines:
        schema |= ATOMIC


def _parsed(package: str, kind: str) -> Manifest:
    """Return the schema of a field's type."""
    if kind.startswith("["):
        inner, _, keys = kind[1:-1].partition("|")
        how: Manifest = {"x-kubernetes-list-type": "atomic"}
        if keys == "*":
            how = {"x-kubernetes-list-type": "set"}
        elif keys:
            how = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys.split(",")}
        return {"type": "array", "items": _parsed(package, inner)} | how
    if kind.startswith("{"):
        inner = kind.strip("{}=")
        whole = ATOMIC if kind.endswith("=") else {}
        return {"type": "object", "additionalProperties": _parsed(package, inner)} | whole
    other, _, name = kind.rpartition(".")
    return named(other or package, name)
