"""create, update and patch: from what a client sent to a stored version.

Order and wording follow upstream's generic registry: admission, then what the server fills in, then validation, then
the store. Admission may wait for webhooks, so an update checks at the end that the object is still the one it started
from, and begins again where the client did not insist on a revision.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from lab.api_server.admission.chain import Admits
from lab.api_server.admission.plugins import Attributes
from lab.api_server.core import metadata as object_metadata
from lab.api_server.core.manifest import Clock, Manifest, clone, timestamp
from lab.api_server.core.names import generated, uid
from lab.api_server.core.ownership import UPDATE, Owner, is_same_but_times, record_write
from lab.api_server.core.routes import Call
from lab.api_server.core.status import (
    STALE,
    already_exists,
    bad_request,
    conflict,
    internal_error,
    invalid,
    not_found,
    wrong,
)
from lab.api_server.core.store import Store, Version
from lab.api_server.kinds.model import Kind

ATTEMPTS = 5  # upstream's retries of a write without a revision; more would only hide a fight between clients
Transform = Callable[[Manifest], Manifest]
Listener = Callable[[str, Manifest], None]


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write."""

    manifest: Manifest
    is_new: bool = False
    raw: bytes = b""


class Writer:
    """Changes objects, one at a time."""

    def __init__(self, store: Store, clock: Clock, random: Random, admission: Admits, pods: Kind) -> None:
        self._store, self._clock, self._random, self._admission = store, clock, random, admission
        self._pods = pods
        self.listeners: dict[str, Listener] = {}

    # -- create ---------------------------------------------------------------------------------------------------

    async def create(self, call: Call, manifest: Manifest) -> Written:
        """Store a new object; `manifest` is normalized already."""
        kind, given = call.kind, manifest["metadata"]
        given.pop("resourceVersion", None)
        self._record(call, {}, manifest)
        is_generated = not given.get("name") and bool(given.get("generateName"))
        attributes = self._attributes(call, "CREATE", manifest, name=given.get("name", ""))
        await self._admission.mutate(attributes)
        manifest = attributes.new
        self._fill_in(kind, manifest)
        kind.strategy.prepare_create(manifest)
        errors = object_metadata.validate(manifest, kind.strategy.name_rule, is_generated=is_generated)
        errors += kind.strategy.validate(manifest)
        name = manifest["metadata"].get("name", "")
        if errors:
            raise invalid(kind.group, kind.kind, name, errors)
        await self._admission.validate(replace(attributes, new=manifest))
        key = (call.namespace if kind.namespaced else "", name)
        if self._store.shelf(kind.shelf).get(key) is not None:
            raise already_exists(kind.group, kind.plural, name)
        return self._commit(call, "ADDED", key, manifest)

    def _fill_in(self, kind: Kind, manifest: Manifest) -> None:
        """Give a new object what only the server decides."""
        meta = manifest["metadata"]
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = generated(meta["generateName"], self._random)
        for member in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"):
            meta.pop(member, None)
        meta["uid"], meta["creationTimestamp"] = uid(self._random), timestamp(self._clock())
        if kind.strategy.changes_generation is not None:
            meta["generation"] = 1

    # -- update ---------------------------------------------------------------------------------------------------

    async def update(
        self, call: Call, transform: Transform, *, when_missing: Callable[[], Manifest] | None = None
    ) -> Written:
        """Change a stored object by `transform`, which gets a copy of its current state."""
        kind, key = call.kind, (call.namespace if call.kind.namespaced else "", call.name)
        shelf = self._store.shelf(kind.shelf)
        for _ in range(ATTEMPTS):
            current = shelf.get(key)
            if current is None:
                if when_missing is None:
                    raise not_found(kind.group, kind.plural, call.name)
                return await self.create(call, when_missing())
            new = transform(clone(current.manifest))
            self._record(call, current.manifest, new)
            revision = self._check_identity(call, new, current)
            new = await self._admitted(call, new, current.manifest)
            if shelf.get(key) is current:
                return self._finish(call, new, current)
            if revision:
                break
        raise conflict(kind.group, kind.plural, call.name, STALE)

    def _check_identity(self, call: Call, new: Manifest, current: Version) -> str:
        """Check name and revision; return the revision that the client insists on, or ""."""
        kind, meta = call.kind, new["metadata"]
        if meta.get("name") != call.name:
            raise bad_request(
                f"the name of the object ({meta.get('name', '')}) does not match the name on the URL ({call.name})"
            )
        revision = str(meta.get("resourceVersion") or "")
        if revision in {"", "0"}:
            if not kind.strategy.unconditional_update and call.verb == "update":
                error = wrong("metadata.resourceVersion", 0, "must be specified for an update")
                raise invalid(kind.group, kind.kind, call.name, [error])
            return ""
        if revision != str(current.revision):
            raise conflict(kind.group, kind.plural, call.name, STALE)
        given, uid_now = meta.get("uid"), current.manifest["metadata"]["uid"]
        if call.verb == "update" and given and given != uid_now:
            why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {uid_now}"
            raise conflict(kind.group, kind.plural, call.name, why)
        return "" if call.verb == "patch" and call.subresource is None else revision

    async def _admitted(self, call: Call, new: Manifest, old: Manifest) -> Manifest:
        """Take a new state through preparation, admission and validation."""
        kind = call.kind
        is_status = call.subresource is not None
        object_metadata.carry_over(new, old)
        attributes = self._attributes(call, "UPDATE", new, name=call.name, old=old)
        await self._admission.mutate(attributes)
        new = attributes.new
        prepare = kind.strategy.prepare_status if is_status else kind.strategy.prepare_update
        prepare(new, old)
        changes_generation = kind.strategy.changes_generation
        if changes_generation is not None:
            was = old["metadata"].get("generation", 1)
            new["metadata"]["generation"] = was + 1 if changes_generation(new, old) else was
        errors = object_metadata.validate_update(new, old)
        errors += (kind.strategy.validate_status if is_status else kind.strategy.validate_update)(new, old)
        if errors:
            raise invalid(kind.group, kind.kind, call.name, errors)
        await self._admission.validate(replace(attributes, new=new))
        return new

    def _finish(self, call: Call, new: Manifest, current: Version) -> Written:
        """Store the new state, unless nothing changed; let go of an object whose last finalizer went."""
        new["metadata"]["resourceVersion"] = current.manifest["metadata"]["resourceVersion"]
        new = object_metadata.clean(new)
        meta = new["metadata"]
        is_gone = (
            "deletionTimestamp" in meta and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds")
        )
        if is_gone and not at_spec_finalizers(call.kind, new):
            return self._commit(call, "DELETED", current.key, new)
        if new == current.manifest or is_same_but_times(new, current.manifest):
            return Written(current.manifest, raw=current.raw)
        return self._commit(call, "MODIFIED", current.key, new)

    # -- both -----------------------------------------------------------------------------------------------------

    def _attributes(
        self, call: Call, operation: str, new: Manifest, *, name: str, old: Manifest | None = None
    ) -> Attributes:
        return Attributes(
            operation=operation,
            kind=call.kind,
            subresource=call.subresource.name if call.subresource else "",
            namespace=call.namespace,
            name=name,
            user=call.user,
            new=new,
            old=old,
            is_dry_run=call.is_dry_run,
        )

    def _record(self, call: Call, old: Manifest, new: Manifest) -> None:
        """Note in managedFields who changed what; an apply has done so itself."""
        if call.verb == "patch" and call.request.header("content-type").startswith("application/apply-patch"):
            return
        kind = call.kind
        agent = call.request.header("user-agent").split("/")[0][:128]
        subresource = call.subresource.name if call.subresource else ""
        owner = Owner(call.request.parameter("fieldManager") or agent, UPDATE, kind.api_version, subresource)
        record_write(kind, owner, old, new, timestamp(self._clock()))

    def _commit(self, call: Call, change: str, key: tuple[str, str], manifest: Manifest) -> Written:
        kind = call.kind
        if call.is_dry_run:
            return Written(manifest, is_new=change == "ADDED")
        version = self._store.write(kind.shelf, change, key, ordered(manifest))
        if kind.shelf in self.listeners:
            self.listeners[kind.shelf](change, version.manifest)
        return Written(version.manifest, is_new=change == "ADDED", raw=version.raw)

    def store(self, call: Call, change: str, key: tuple[str, str], manifest: Manifest) -> Written:
        """Store what deletion or a subresource decided; admission is behind it."""
        return self._commit(call, change, key, manifest)

    async def rewrite(self, call: Call, change: Transform) -> Written:
        """Change an object by a subresource of its own, which knows what may change: no preparation, no validation."""
        kind, key = call.kind, (call.namespace if call.kind.namespaced else "", call.name)
        shelf = self._store.shelf(kind.shelf)
        for _ in range(ATTEMPTS):
            current = shelf.get(key)
            if current is None:
                raise not_found(kind.group, kind.plural, call.name)
            new = change(clone(current.manifest))
            self._record(call, current.manifest, new)
            await self.admit(call, "UPDATE", new, current.manifest)
            if shelf.get(key) is current:
                changes_generation = kind.strategy.changes_generation
                if changes_generation is not None and changes_generation(new, current.manifest):
                    new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
                return self._finish(call, new, current)
        raise conflict(kind.group, kind.plural, call.name, STALE)

    def as_pods(self, call: Call) -> Call:
        """Return the call as one on pods, for the `bindings` resource that is another way to write them."""
        return replace(call, kind=self._pods)

    def objects(self, resource: str, namespace: str) -> list[tuple[str, Manifest]]:
        """Return name and manifest of all objects of a namespace."""
        return [(version.key[1], version.manifest) for version in self._store.shelf(resource).select(namespace)]

    def put(self, resource: str, key: tuple[str, str], manifest: Manifest) -> None:
        """Store a changed object of another kind than the call's."""
        self._store.write(resource, "MODIFIED", key, manifest)

    async def admit(self, call: Call, operation: str, new: Manifest, old: Manifest | None) -> None:
        """Run admission alone, for writes that do not go through create or update."""
        attributes = self._attributes(call, operation, new, name=call.name, old=old)
        await self._admission.mutate(attributes)
        await self._admission.validate(attributes)


def at_spec_finalizers(kind: Kind, manifest: Manifest) -> bool:
    """Return whether a namespace still waits for its own controller."""
    return kind.shelf == "namespaces" and bool(manifest["spec"].get("finalizers"))


def ordered(manifest: Manifest) -> Manifest:
    """Return the manifest with kind and apiVersion first, which list encoding relies on."""
    if next(iter(manifest)) == "kind" and list(manifest)[1] == "apiVersion":
        return manifest
    if "kind" not in manifest or "apiVersion" not in manifest:
        raise internal_error("an object without kind and apiVersion reached the store")
    head = {"kind": manifest["kind"], "apiVersion": manifest["apiVersion"]}
    return head | {key: value for key, value in manifest.items() if key not in head}
