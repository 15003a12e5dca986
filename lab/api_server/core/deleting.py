"""delete and deletecollection: preconditions, grace periods, finalizers and propagation.

A deletion either removes the object at once, or marks it with a deletionTimestamp and leaves the rest to whoever holds
it: the kubelet (grace period), a controller (finalizers), or the garbage collector (propagation policies, which are
finalizers too).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from lab.api_server.core.decoding import read_body
from lab.api_server.core.manifest import Manifest, clone, seconds_after, timestamp
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Request, Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.status import bad_request, conflict
from lab.api_server.core.store import Version
from lab.api_server.core.writing import Writer, at_spec_finalizers
from lab.api_server.kinds.model import Kind

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


class Deleter:
    """Ends objects."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer

    async def delete(self, call: Call) -> Response:
        """Answer a DELETE of one object."""
        options = _options(call)
        if "All" in (options.get("dryRun") or []):
            call = replace(call, request=_dry(call.request))
        manifest, is_gone = await self.end(call, options)
        if is_gone and not call.kind.strategy.returns_deleted:
            details = {"name": call.name, "group": call.kind.group, "kind": call.kind.plural}
            details["uid"] = manifest["metadata"]["uid"]
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return answer(status | {"details": {key: value for key, value in details.items() if value}})
        return self._reader.show(call, manifest)

    async def end(self, call: Call, options: Manifest) -> tuple[Manifest, bool]:
        """Delete one object; return its last state and whether it is gone."""
        key = (call.namespace if call.kind.namespaced else "", call.name)
        current = self._reader.require(call.kind, *key)
        _check_preconditions(call.kind, call.name, current, options)
        await self._writer.admit(call, "DELETE", current.manifest, current.manifest)
        current = self._reader.require(call.kind, *key)
        _check_preconditions(call.kind, call.name, current, options)
        manifest = clone(current.manifest)
        changed = self._mark(call.kind, manifest, options)
        meta = manifest["metadata"]
        waits = (
            meta.get("finalizers") or meta.get("deletionGracePeriodSeconds") or at_spec_finalizers(call.kind, manifest)
        )
        if not waits:
            return self._writer.store(call, "DELETED", key, manifest).manifest, True
        if changed:
            return self._writer.store(call, "MODIFIED", key, manifest).manifest, False
        return current.manifest, False

    def _mark(self, kind: Kind, manifest: Manifest, options: Manifest) -> bool:
        """Write the deletion into metadata; return whether that changed anything."""
        meta = manifest["metadata"]
        before = clone(meta)
        finalizers = _finalizers(kind, meta.get("finalizers") or [], options)
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        self._set_times(kind, manifest, options.get("gracePeriodSeconds"))
        if kind.shelf == "namespaces":
            manifest["status"] = {**manifest.get("status", {}), "phase": "Terminating"}
        return bool(meta != before)

    def _set_times(self, kind: Kind, manifest: Manifest, asked: int | None) -> None:
        meta = manifest["metadata"]
        grace = kind.strategy.grace_seconds
        if "deletionTimestamp" in meta:
            self._shorten(kind, manifest, asked)
            return
        seconds = grace(manifest, asked) if grace is not None else 0
        meta["deletionTimestamp"] = timestamp(self._reader.now() + timedelta(seconds=seconds))
        meta["deletionGracePeriodSeconds"] = seconds
        if "generation" in meta:
            meta["generation"] += 1

    def _shorten(self, kind: Kind, manifest: Manifest, asked: int | None) -> None:
        """A second deletion can only make the grace period shorter."""
        meta, grace = manifest["metadata"], kind.strategy.grace_seconds
        left = meta.get("deletionGracePeriodSeconds")
        if grace is None or asked is None or left is None:
            return
        seconds = grace(manifest, asked)
        if seconds < left:
            meta["deletionTimestamp"] = seconds_after(meta["deletionTimestamp"], seconds - left)
            meta["deletionGracePeriodSeconds"] = seconds

    async def delete_collection(self, call: Call) -> Response:
        """Delete everything that the selectors match, and answer with what that was."""
        options = _options(call)
        if "All" in (options.get("dryRun") or []):
            call = replace(call, request=_dry(call.request))
        listed = self._reader.listing(call)
        selector = self._reader.selector(call.request, call.kind)
        for version in self._reader.matching(call.kind, call.namespace, selector):
            namespace, name = version.key
            single = replace(call, verb="delete", namespace=namespace, name=name)
            await self.end(single, {key: value for key, value in options.items() if key != "preconditions"})
        return listed


def _dry(request: Request) -> Request:
    """Return a request whose body asked for a dry run as one whose URL does."""
    return replace(request, query=(*request.query, ("dryRun", "All")))


def _options(call: Call) -> Manifest:
    """Read DeleteOptions from the body, or from the query as kubectl and curl also send them."""
    body: Any = read_body(call.request) if call.request.body.strip() else {}
    if not isinstance(body, dict):
        raise bad_request("DeleteOptions must be an object")
    options: Manifest = {**body}
    if call.request.parameter("gracePeriodSeconds"):
        options.setdefault("gracePeriodSeconds", int(call.request.parameter("gracePeriodSeconds")))
    if call.request.parameter("propagationPolicy"):
        options.setdefault("propagationPolicy", call.request.parameter("propagationPolicy"))
    return options


def _check_preconditions(kind: Kind, name: str, current: Version, options: Manifest) -> None:
    wanted = options.get("preconditions") or {}
    uid, revision = current.manifest["metadata"]["uid"], str(current.revision)
    shown = kind.kind
    if wanted.get("uid") not in (None, uid):
        why = (
            f"the UID in the precondition ({wanted['uid']}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind.group, shown, name, why)
    if wanted.get("resourceVersion") not in (None, revision):
        why = (
            f"the ResourceVersion in the precondition ({wanted['resourceVersion']}) does not match the ResourceVersion "
            f"in record ({revision}). The object might have been modified"
        )
        raise conflict(kind.group, shown, name, why)


def _finalizers(kind: Kind, present: list[str], options: Manifest) -> list[str]:
    """Return the finalizers with those that the propagation policy asks for."""
    policy = options.get("propagationPolicy")
    orphans = options.get("orphanDependents")
    if policy is None and orphans is None:
        if ORPHAN in present or FOREGROUND in present:
            return present
        policy = "Orphan" if kind.strategy.orphans_dependents else "Background"
    kept = [one for one in present if one not in {ORPHAN, FOREGROUND}]
    if policy == "Orphan" or (policy is None and orphans):
        return [*kept, ORPHAN]
    return [*kept, FOREGROUND] if policy == "Foreground" else kept
