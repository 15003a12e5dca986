"""Which ConfigMaps and Secrets a pod refers to, and what their copies in a target look like.

A copy is owned by the chaperons that need it: when the last of them is gone the target's own garbage collector takes
the copy too, and nobody has to remember it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from federation import names
from federation.model.chaperon import Chaperon

Manifest = dict[str, Any]
Kind = Literal["ConfigMap", "Secret"]


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A ConfigMap or Secret by name; an optional one may be absent."""

    kind: Kind
    name: str


def references(spec: Mapping[str, Any]) -> set[Reference]:
    """Return what a pod spec refers to in volumes, environments and image pull secrets."""
    found = set(_in_volumes(spec))
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for source in container.get("envFrom") or []:
            found |= set(_named(source, "configMapRef", "secretRef"))
        for variable in container.get("env") or []:
            found |= set(_named(variable.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef"))
    found |= {Reference("Secret", secret["name"]) for secret in spec.get("imagePullSecrets") or [] if "name" in secret}
    # Every namespace has its own; the target's pod gets the target's.
    return found - {Reference("ConfigMap", "kube-root-ca.crt")}


def _named(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[Reference]:
    if name := (source.get(config_map) or {}).get("name"):
        yield Reference("ConfigMap", name)
    if name := (source.get(secret) or {}).get("name"):
        yield Reference("Secret", name)


def _in_volumes(spec: Mapping[str, Any]) -> Iterator[Reference]:
    for volume in spec.get("volumes") or []:
        if name := (volume.get("configMap") or {}).get("name"):
            yield Reference("ConfigMap", name)
        if name := (volume.get("secret") or {}).get("secretName"):
            yield Reference("Secret", name)
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _named(source, "configMap", "secret")


def _owner(chaperon: Chaperon) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "name": chaperon.name,
        "uid": chaperon.uid,
    }


def copy_of(original: Manifest, chaperon: Chaperon, existing: Manifest | None) -> Manifest | None:
    """Return the copy as it should be in the target, or None where nothing is to be written.

    An object of that name that is not a copy of ours (the target's own, or this very object where the target is the
    source itself) is left alone, and the pod uses it.
    """
    metadata = original["metadata"]
    owner = _owner(chaperon)
    copy: Manifest = {
        "apiVersion": "v1",
        "kind": original["kind"],
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {names.PARENT_UID: metadata["uid"], names.PARENT_CLUSTER_NAME: chaperon.parent_cluster_name},
            "annotations": {names.PARENT_NAMESPACE: metadata["namespace"], names.PARENT_NAME: metadata["name"]},
            "ownerReferences": [owner],
        },
    } | {key: original[key] for key in ("data", "binaryData", "type") if key in original}
    if existing is None:
        return copy
    known = existing["metadata"]
    if (known.get("labels") or {}).get(names.PARENT_CLUSTER_NAME) != chaperon.parent_cluster_name:
        return None
    owners = known.get("ownerReferences") or []
    is_owner = any(reference["uid"] == owner["uid"] for reference in owners)
    is_equal = all(existing.get(key) == copy.get(key) for key in ("data", "binaryData"))
    if is_owner and is_equal and (known.get("labels") or {}).get(names.PARENT_UID) == metadata["uid"]:
        return None
    copy["metadata"]["ownerReferences"] = owners if is_owner else [*owners, owner]
    copy["metadata"]["resourceVersion"] = known["resourceVersion"]
    return copy
