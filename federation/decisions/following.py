"""What the copies of ConfigMaps and Secrets that pods refer to look like in a target.

A copy is owned by the chaperons that need it: when the last of them is gone the target's own garbage collector takes
the copy too, and nobody has to remember it.
"""

from collections.abc import Sequence
from typing import Any

from federation import names
from federation.model.chaperon import Chaperon

Manifest = dict[str, Any]


def _owner(chaperon: Chaperon) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "name": chaperon.name,
        "uid": chaperon.uid,
    }


def copy_of(original: Manifest, chaperons: Sequence[Chaperon], existing: Manifest | None) -> Manifest | None:
    """Return the copy that these chaperons (at least one) need, or None where nothing is to be written.

    An object of that name that is not a copy of ours (the target's own, or this very object where the target is the
    source itself) is left alone, and the pod uses it.
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
