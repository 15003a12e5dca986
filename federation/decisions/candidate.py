"""From a proxy pod to the chaperon that asks a target for its candidate."""

import copy
from collections.abc import Callable
from typing import Any

from federation import names
from federation.decisions.admission import restore
from federation.decisions.travelling import let_in, moved_keys, read_as_moved, travelling

Manifest = dict[str, Any]

_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  # a path, not a secret
_NOT_CARRIED = (names.PREFIX, names.OURS, "kubectl.kubernetes.io/last-applied-configuration")
# What is told of a pod on its chaperon alone.
_RECORDS = (
    names.IS_RESERVED,
    names.IS_ALLOWED,
    names.POD_MISSING_SINCE,
    names.REMADE,
    names.NODE_NAME,
    names.POD_UID,
    names.REPLACEABLE,
)
# What the target's own admission computes anew; carried over, a different default there would refuse the pod.
_TARGET_COMPUTES = ("priority", "preemptionPolicy", "overhead", "ephemeralContainers")


def chaperon_for(
    proxy: Manifest,
    source: Manifest,
    constraints: Manifest | None,
    *,
    cluster_name: str,
    target: str,
    is_kept_label: Callable[[str], bool],
) -> Manifest:
    """Return the PodChaperon of a proxy pod.

    `source` is the pod as submitted (from `sourcepod-manifest`), `constraints` the parsed annotation
    `proxy-pod-scheduling-constraints`, `cluster_name` this source's unique id, `target` the key of the target,
    `is_kept_label` the user's choice of labels that keep their key. Owner references, finalizers and the uid stay
    behind (rule C4).
    """
    metadata = proxy["metadata"]
    annotations = metadata.get("annotations") or {}
    has_reservation = names.NO_RESERVATION not in annotations
    is_ungated = names.UNGATED_AT in annotations
    pod = restore(proxy, source, constraints)
    is_ours = (names.HAS_FINALIZER, names.OURS)
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if not key.startswith(is_ours)}
    carried = {key: value for key, value in annotations.items() if not key.startswith(_NOT_CARRIED)}
    marks = {names.PARENT_NAMESPACE: metadata["namespace"], names.PARENT_NAME: metadata["name"]}
    if not has_reservation:
        marks[names.WAITS_TO_BE_ALLOWED] = "true"
    if is_ungated:
        marks[names.ASKED_AFTER_UNGATE] = "true"
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "metadata": {
            "name": names.chaperon_name(metadata["name"], metadata["uid"], target),
            "namespace": metadata["namespace"],
            "labels": names.delegate_labels(labels, is_kept_label)
            | {names.PARENT_UID: metadata["uid"], names.PARENT_CLUSTER_NAME: cluster_name, names.TARGET: target},
            "annotations": travelling(carried) | marks,
        },
        "spec": _pod_spec(pod["spec"], annotations, moved_keys(carried)),
    }


def _pod_spec(spec: Manifest, annotations: dict[str, str], moved: dict[str, str]) -> Manifest:
    read_as_moved(spec, moved)
    for key in _TARGET_COMPUTES:
        spec.pop(key, None)
    if names.USE_CONSTRAINTS_FROM_SPEC in annotations:
        for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"):
            spec.pop(key, None)
    if names.NO_RESERVATION not in annotations:
        spec["schedulerName"] = names.CANDIDATE_SCHEDULER
    _drop_token_volume(spec)
    return spec


def _drop_token_volume(spec: Manifest) -> None:
    """Take out the volume with our own service account's token: the target puts in its own."""
    dropped: set[str] = set()
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        mounts = container.get("volumeMounts") or []
        dropped |= {mount["name"] for mount in mounts if mount["mountPath"] == _TOKEN_PATH}
        if kept := [mount for mount in mounts if mount["mountPath"] != _TOKEN_PATH]:
            container["volumeMounts"] = kept
        else:
            container.pop("volumeMounts", None)
    if volumes := [volume for volume in spec.get("volumes") or [] if volume["name"] not in dropped]:
        spec["volumes"] = volumes
    else:
        spec.pop("volumes", None)


def pod_of(chaperon: Manifest, is_allowed: Callable[[str], bool]) -> Manifest:
    """Return the candidate pod of a chaperon: same name, labels and annotations, owned by it.

    `is_allowed` says which foreign annotations this cluster's owner lets in by their own keys (rule T5).
    """
    metadata = chaperon["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _RECORDS}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": let_in(annotations, is_allowed),
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.CHAPERON_KIND,
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": copy.deepcopy(chaperon.get("spec") or {}),
    }
