"""From a Source to the objects that let somebody in: a service account, two bindings, the Secret of its credential.

What is ours carries a label and is owned by the Source. Ours that differs is put right, ours that is no longer wanted
goes; a binding or Secret of that name that somebody else made is left alone and called taken. A service account
that was there before is used as it is, but no credential is issued for it: it may have rights that no other cluster
shall have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.model.source import Mark, Reference, Source

Manifest = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Create:
    """Make an object that is not there."""

    reference: Reference
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Change:
    """Put right, by a merge patch with the uid, what differs."""

    reference: Reference
    patch: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object of ours, with its uid."""

    reference: Reference
    uid: str


Action = Create | Change | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order to carry them out; `taken` are names that others have."""

    actions: tuple[Action, ...] = ()
    taken: tuple[Reference, ...] = ()


def wanted(source: Source, *, has_credential: bool) -> dict[Reference, Manifest]:
    """Return what a Source stands for, in the order to make it; `has_credential`: its Secret, too."""
    binding, viewer, _ = names.source_names(*source.key)
    kind = "RoleBinding" if source.namespace else "ClusterRoleBinding"
    found: dict[Reference, Manifest] = {}
    if source.account is not None:
        found[source.account] = _object(source, source.account)
    for reference, role in (
        (Reference(kind, source.namespace, binding), names.SOURCE_ROLE),
        (Reference("ClusterRoleBinding", "", viewer), names.SUMMARY_VIEWER_ROLE),
    ):
        found[reference] = _object(source, reference) | {
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
            "subjects": _subjects(source),
        }
    if has_credential:
        found[source.secret] = _object(source, source.secret) | {"type": "Opaque"}
    return found


def is_ours(manifest: Manifest, source: Source) -> bool:
    """Whether an object was made for this Source, by us or (by its owner) by an Admiralty that was here before."""
    metadata = manifest["metadata"]
    if (metadata.get("labels") or {}).get(names.SOURCE) == source.label:
        return True
    owners = metadata.get("ownerReferences") or []
    return any(owner.get("controller") and owner["uid"] == source.uid for owner in owners)


def issues_for(source: Source, observed: Mapping[Reference, Manifest], *, is_enabled: bool) -> bool:
    """Whether a credential is to be issued: only for a service account that we made, or are about to make."""
    if source.account is None or not is_enabled:
        return False
    account = observed.get(source.account)
    return account is None or is_ours(account, source)


def decide(
    source: Source, observed: Mapping[Reference, Manifest], marks: Iterable[Mark], *, has_credential: bool
) -> Plan:
    """Return what to write. `observed` are the live objects of the wanted names, `marks` all that are marked as its."""
    objects = wanted(source, has_credential=has_credential)
    actions: list[Action] = []
    taken = []
    for reference, manifest in objects.items():
        found = observed.get(reference)
        if found is None:
            actions.append(Create(reference, manifest))
        elif not is_ours(found, source):
            if reference != source.account:
                taken.append(reference)
        elif found.get("roleRef") != manifest.get("roleRef"):  # immutable
            actions += [Delete(reference, found["metadata"]["uid"]), Create(reference, manifest)]
        elif patch := _difference(found, manifest):
            actions.append(Change(reference, patch))
    actions += [Delete(mark.reference, mark.uid) for mark in leftovers(marks) if mark.reference not in objects]
    return Plan(tuple(actions), tuple(taken))


def leftovers(marks: Iterable[Mark]) -> list[Mark]:
    """Return marks in the order to delete their objects: rights first."""
    return sorted(marks, key=lambda mark: (not mark.reference.kind.endswith("Binding"), mark.reference))


def _object(source: Source, reference: Reference) -> Manifest:
    metadata: Manifest = {
        "name": reference.name,
        "labels": {names.SOURCE: source.label},
        "annotations": {names.SOURCE_OF: f"{source.namespace}/{source.name}"},
    }
    if reference.namespace:
        metadata["namespace"] = reference.namespace
    if reference.namespace or not source.namespace:
        # A cluster-scoped object cannot be owned by a namespaced one: that one is found by its label.
        owner = {"apiVersion": names.API_VERSION, "kind": source.kind, "name": source.name, "uid": source.uid}
        metadata["ownerReferences"] = [owner | {"controller": True}]
    api_version = f"{_RBAC}/v1" if reference.kind.endswith("Binding") else "v1"
    return {"apiVersion": api_version, "kind": reference.kind, "metadata": metadata}


def _subjects(source: Source) -> list[Manifest]:
    subjects: list[Manifest] = []
    if source.account_name:
        subjects.append({"kind": "ServiceAccount", "name": source.account_name, "namespace": source.account_namespace})
    if source.user_name:
        subjects.append({"kind": "User", "apiGroup": _RBAC, "name": source.user_name})
    return subjects


def _difference(found: Manifest, manifest: Manifest) -> Manifest:
    """Return the merge patch that puts right subjects, marks and owner; empty where nothing differs."""
    known, metadata = found["metadata"], manifest["metadata"]
    change: Manifest = {}
    for field in ("labels", "annotations"):
        has = known.get(field) or {}
        if missing := {key: value for key, value in metadata[field].items() if has.get(key) != value}:
            change[field] = missing
    owners = metadata.get("ownerReferences") or []
    kept = known.get("ownerReferences") or []
    if {owner["uid"] for owner in kept if owner.get("controller")} != {owner["uid"] for owner in owners}:
        change["ownerReferences"] = owners + [owner for owner in kept if not owner.get("controller")]
    patch: Manifest = {}
    if "subjects" in manifest and found.get("subjects") != manifest["subjects"]:
        patch["subjects"] = manifest["subjects"]
    if change or patch:
        patch["metadata"] = change | {"uid": known["uid"]}
    return patch
