"""What the server knows of a kind: its names, and the strategy that sets it apart from every other kind.

A `Strategy` is upstream's registry strategy as plain functions. All of them work on the object in place or return
field errors; none of them reads the store. What needs other objects is admission (`lab.api_server.admission`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.metadata import NameRule, subdomain
from lab.api_server.core.selectors import Field
from lab.api_server.core.status import FieldError

Columns = tuple["Column", ...]
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a printed table; `priority` 1 shows with `-o wide` only. `cell(manifest, now)` reads it."""

    name: str
    cell: Callable[..., object]
    type: str = "string"
    priority: int = 0
    description: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource: `kind` is what it answers with ("" = the kind itself), as `group/version.Kind`."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""


STATUS = Subresource("status", ("get", "patch", "update"))
SCALE = Subresource("scale", ("get", "patch", "update"), "autoscaling/v1.Scale")


def _nothing(_: Manifest) -> None:
    return None


def _nothing_from(_: Manifest, __: Manifest) -> None:
    return None


def _no_errors(_: Manifest) -> list[FieldError]:
    return []


def _no_errors_from(_: Manifest, __: Manifest) -> list[FieldError]:
    return []


def keep_status(new: Manifest, old: Manifest) -> None:
    """Undo what a write of the main resource did to the status."""
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def keep_status_only(new: Manifest, old: Manifest) -> None:
    """Let a status write change status, labels and annotations, and nothing else."""
    for member in old.keys() | new.keys():
        if member in {"status", "metadata"}:
            continue
        if member in old:
            new[member] = old[member]
        else:
            del new[member]
    owners = old["metadata"].get("ownerReferences")
    if owners is None:
        new["metadata"].pop("ownerReferences", None)
    else:
        new["metadata"]["ownerReferences"] = owners


def spec_changed(new: Manifest, old: Manifest) -> bool:
    """Return whether an update changed what `metadata.generation` counts: the spec."""
    return bool(new.get("spec") != old.get("spec"))


@dataclass(frozen=True, slots=True)
class Strategy:
    """The functions of one kind; the defaults are right for kinds that are only stored."""

    default: Callable[[Manifest], None] = _nothing
    prepare_create: Callable[[Manifest], None] = _nothing
    prepare_update: Callable[[Manifest, Manifest], None] = _nothing_from
    prepare_status: Callable[[Manifest, Manifest], None] = keep_status_only
    validate: Callable[[Manifest], list[FieldError]] = _no_errors
    validate_update: Callable[[Manifest, Manifest], list[FieldError]] = _no_errors_from
    validate_status: Callable[[Manifest, Manifest], list[FieldError]] = _no_errors_from
    changes_generation: Callable[[Manifest, Manifest], bool] | None = None
    grace_seconds: Callable[[Manifest, int | None], int] | None = None
    name_rule: NameRule = subdomain
    unconditional_update: bool = True
    create_on_update: bool = False
    orphans_dependents: bool = False
    returns_deleted: bool = False
    drops_nulls: bool = True


def metadata_name(manifest: Manifest) -> str:
    """Return metadata.name."""
    return str(manifest["metadata"].get("name", ""))


def metadata_namespace(manifest: Manifest) -> str:
    """Return metadata.namespace."""
    return str(manifest["metadata"].get("namespace", ""))


def reader(*path: str, default: str = "") -> Field:
    """Return a function that reads one field as text, for field selectors."""

    def read(manifest: Manifest) -> str:
        value = at(manifest, *path)
        if value is None:
            return default
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


COMMON_FIELDS: Mapping[str, Field] = {"metadata.name": metadata_name, "metadata.namespace": metadata_namespace}


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource in one version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    fields: Mapping[str, Field] = field(default_factory=lambda: COMMON_FIELDS)
    strategy: Strategy = Strategy()
    columns: Columns = ()
    storage: str = ""  # set where two resources show the same objects
    to_storage: Callable[[Manifest], Manifest] | None = None
    from_storage: Callable[[Manifest], Manifest] | None = None
    singular: str = ""
    list_kind: str = ""
    is_custom: bool = False
    deprecation: str = ""  # what every answer warns of
    schema: Manifest = field(default_factory=dict)  # with object references inside, and possibly cyclic

    @property
    def api_version(self) -> str:
        """Return `v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def shelf(self) -> str:
        """Return the name under which the store keeps the objects."""
        return self.storage or (f"{self.plural}.{self.group}" if self.group else self.plural)

    @property
    def has_status(self) -> bool:
        """Return whether status can only be written through its subresource."""
        return any(one.name == "status" for one in self.subresources)

    def subresource(self, name: str) -> Subresource | None:
        """Return the subresource of that name."""
        return next((one for one in self.subresources if one.name == name), None)

    def path(self, namespace: str, name: str = "") -> str:
        """Return the URL path of a collection or object."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")
