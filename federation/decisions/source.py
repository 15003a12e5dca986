"""From a Source to the objects that let somebody in: a service account, bindings, and what its credential needs.

A Source is bound in its namespace. A ClusterSource is bound in every namespace but those of the cluster itself and the
agent's own, each by a RoleBinding; cluster-wide it may only follow what it would otherwise have to ask for namespace by
namespace. The credential is a Secret in the agent's namespace, which pods of the source cannot mount, with a Role by
which its holder reads the next one; its tokens are bound to an empty Secret beside the service account, the anchor.

What is ours carries a label and is owned by the Source. Ours that differs is put right, ours that is no longer wanted
goes; a binding or Secret of that name that somebody else made is left alone and called taken. A service account
that was there before is used as it is, but no credential is issued for it: it may have rights that no other cluster
shall have.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.model.source import Mark, Reference, Source, content_of

Manifest = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Place:
    """The cluster that lets somebody in: where its agent lives, and the namespaces that a ClusterSource is let into."""

    agent_namespace: str
    namespaces: tuple[str, ...] = ()


def is_for_sources(namespace: str, agent_namespace: str) -> bool:
    """Whether a ClusterSource covers a namespace: not those of Kubernetes itself, and not the agent's."""
    return not namespace.startswith("kube-") and namespace != agent_namespace


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


def wanted(source: Source, place: Place, *, has_credential: bool) -> dict[Reference, Manifest]:
    """Return what a Source stands for, in the order to make it; `has_credential`: what its credential needs, too."""
    found: dict[Reference, Manifest] = {}
    if source.account is not None:
        found[source.account] = _object(source, source.account)
    subjects = _subjects(source)
    for reference, role in _bindings(source, place).items():
        found[reference] = _bound(source, reference, "ClusterRole", role, subjects)
    if has_credential:
        found |= _for_credential(source, place, subjects)
    return found


def _bindings(source: Source, place: Place) -> dict[Reference, str]:
    """Return the roles that a Source is bound to, by binding."""
    binding, viewer, _ = names.source_names(*source.key)
    cluster_wide = {Reference("ClusterRoleBinding", "", viewer): names.SUMMARY_VIEWER_ROLE}
    if source.namespace:
        return {Reference("RoleBinding", source.namespace, binding): names.SOURCE_ROLE} | cluster_wide
    everywhere = {Reference("ClusterRoleBinding", "", binding): names.CLUSTER_SOURCE_ROLE} | cluster_wide
    return everywhere | {
        Reference("RoleBinding", namespace, binding): names.SOURCE_ROLE for namespace in sorted(place.namespaces)
    }


def _for_credential(source: Source, place: Place, subjects: list[Manifest]) -> dict[Reference, Manifest]:
    """Return the anchor, the Secret, and the right of the service account to read that Secret and no other."""
    secret = source.credential(place.agent_namespace)
    role = Reference("Role", secret.namespace, secret.name)
    reader = Reference("RoleBinding", secret.namespace, secret.name)
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret.name], "verbs": ["get"]}
    accounts = [subject for subject in subjects if subject["kind"] == "ServiceAccount"]
    return {
        source.anchor: _object(source, source.anchor) | {"type": "Opaque"},
        role: _object(source, role) | {"rules": [rule]},
        reader: _bound(source, reader, "Role", secret.name, accounts),
        secret: _object(source, secret) | {"type": "Opaque"},
    }


def _bound(source: Source, reference: Reference, kind: str, role: str, subjects: list[Manifest]) -> Manifest:
    role_ref = {"apiGroup": _RBAC, "kind": kind, "name": role}
    return _object(source, reference) | {"roleRef": role_ref, "subjects": subjects}


def settled(objects: Mapping[Reference, Manifest], marks: Iterable[Mark]) -> frozenset[Reference]:
    """Return the RoleBindings that are as wanted, by what is known of them: they need not be read one by one."""
    return frozenset(
        mark.reference
        for mark in marks
        if mark.reference.kind == "RoleBinding"
        and mark.reference in objects
        and mark.content == content_of(objects[mark.reference])
    )


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
    source: Source,
    objects: Mapping[Reference, Manifest],
    observed: Mapping[Reference, Manifest],
    marks: Iterable[Mark],
    *,
    kept: Collection[Reference] = (),
) -> Plan:
    """Return what to write for these wanted `objects`, of which `observed` are live.

    `marks` are all that are marked as the Source's; those that are neither among the objects nor `kept` go.
    """
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
        elif patch := _difference(found, manifest, is_empty=reference == source.anchor):
            actions.append(Change(reference, patch))
    left = [mark for mark in leftovers(marks) if mark.reference not in objects and mark.reference not in kept]
    actions += [Delete(mark.reference, mark.uid) for mark in left]
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
    if reference.namespace == source.namespace or not source.namespace:
        # An owner has no namespace, or the object's own: anything else is found by its label.
        owner = {"apiVersion": names.API_VERSION, "kind": source.kind, "name": source.name, "uid": source.uid}
        metadata["ownerReferences"] = [owner | {"controller": True}]
    api_version = f"{_RBAC}/v1" if reference.kind.endswith(("Binding", "Role")) else "v1"
    return {"apiVersion": api_version, "kind": reference.kind, "metadata": metadata}


def _subjects(source: Source) -> list[Manifest]:
    subjects: list[Manifest] = []
    if source.account_name:
        subjects.append({"kind": "ServiceAccount", "name": source.account_name, "namespace": source.account_namespace})
    if source.user_name:
        subjects.append({"kind": "User", "apiGroup": _RBAC, "name": source.user_name})
    return subjects


def _difference(found: Manifest, manifest: Manifest, *, is_empty: bool) -> Manifest:
    """Return the merge patch that puts right subjects, rules, marks and owner; empty where nothing differs.

    `is_empty`: it holds no data, as a Secret from before credentials moved to the agent's namespace may.
    """
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
    for field in ("subjects", "rules"):
        if field in manifest and found.get(field) != manifest[field]:
            patch[field] = manifest[field]
    if is_empty and found.get("data"):
        patch["data"] = None
    if change or patch:
        patch["metadata"] = change | {"uid": known["uid"]}
    return patch
