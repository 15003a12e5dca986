"""What the copies of ConfigMaps and Secrets that pods refer to look like in a target.

A copy is owned by the chaperons that need it: when the last of them is gone the target's own garbage collector takes
the copy too, and nobody has to remember it.
"""

from collections.abc import Sequence
from typing import Any

from federation import names
from federation.model.chaperon import Chaperon
from federation.model.references import Reference

Manifest = dict[str, Any]

_WAITING = "waiting for its configuration:"


def _owner(chaperon: Chaperon) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "name": chaperon.name,
        "uid": chaperon.uid,
    }


def copy_of(original: Manifest, chaperons: Sequence[Chaperon], existing: Manifest | None) -> Manifest | None:
    """Return the copy that these chaperons (at least one) need, or None where nothing is to be written.

    An object of that name that is not a copy of ours (the target's own) is left alone.
    """
    metadata, cluster_name = original["metadata"], chaperons[0].parent_cluster_name
    copy: Manifest = {
        "apiVersion": "v1",
        "kind": original["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {names.PARENT_UID: metadata["uid"], names.PARENT_CLUSTER_NAME: cluster_name},
            "annotations": {names.PARENT_NAMESPACE: metadata["namespace"], names.PARENT_NAME: metadata["name"]},
            "ownerReferences": [_owner(chaperon) for chaperon in chaperons],
        },
    } | {key: original[key] for key in ("data", "binaryData", "type") if key in original}
    if existing is None:
        return copy
    known = existing["metadata"]
    if (known.get("labels") or {}).get(names.PARENT_CLUSTER_NAME) != cluster_name:
        return None
    owners = known.get("ownerReferences") or []
    uids = {reference["uid"] for reference in owners}
    missing = [owner for owner in copy["metadata"]["ownerReferences"] if owner["uid"] not in uids]
    is_equal = all(existing.get(key) == copy.get(key) for key in ("data", "binaryData"))
    if not missing and is_equal and (known.get("labels") or {}).get(names.PARENT_UID) == metadata["uid"]:
        return None
    copy["metadata"]["ownerReferences"] = [*owners, *missing]
    copy["metadata"]["resourceVersion"] = known["resourceVersion"]
    return copy


def placeholder(reference: Reference, namespace: str, existing: Manifest | None = None) -> Manifest:
    """Return what stands for an original that is not at home and that a pod can do without.

    Empty, it takes the name in the target, so that the pod reads nothing of the target's own there, now or later (T6).
    Where a copy exists, from an original that was deleted, others of our pods may be reading it: it stays as it is.
    """
    metadata = {"name": reference.name, "namespace": namespace, "uid": ""}
    made: Manifest = {"kind": reference.kind, "metadata": metadata}
    if existing is None:
        return made | ({"type": "Opaque"} if reference.kind == "Secret" else {})
    metadata["uid"] = (existing["metadata"].get("labels") or {}).get(names.PARENT_UID, "")
    return made | {key: existing[key] for key in ("data", "binaryData", "type") if key in existing}


def waiting_message(target: str, missing: Sequence[Reference], foreign: Sequence[Reference]) -> str:
    """Return why a bound pod may not go ahead in a target yet (T6); empty where it may.

    `missing` are required and not at home, `foreign` are objects of the target's own under the names of ours.
    """
    parts = []
    if missing:
        parts.append(f"{_listed(missing)} not found in the pod's namespace")
    if foreign:
        parts.append(
            f"{target} has {_listed(foreign)} of its own, which the pod must not read: its owner deletes or renames "
            f'it, or lets pods of other clusters read it by the label {names.SHARED}: "true"'
        )
    return f"bound to {target}, {_WAITING} {'; '.join(parts)}" if parts else ""


def is_waiting(message: str) -> bool:
    """Whether what a proxy says of its waiting is that its configuration is not there, or not its own."""
    return _WAITING in message


def _listed(references: Sequence[Reference]) -> str:
    return ", ".join(f"{reference.kind} {reference.name}" for reference in references)
