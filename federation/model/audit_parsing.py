"""From manifests to what an audit keeps of them: as little as can be, because it reads everything there is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from federation import names
from federation.model.audit import (
    MarkedPod,
    SeenChaperon,
    SeenCopy,
    SeenLease,
    SeenNode,
    SeenOriginal,
    SeenPod,
)
from federation.model.chaperon import parse_chaperon
from federation.model.kept import keep
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.reading import METADATA, reads
from federation.model.shape import Fields, Text

Manifest = dict[str, Any]

_METADATA = Fields({"metadata": METADATA}, ("metadata",))
_KIND_AND_METADATA = Fields({"metadata": METADATA, "kind": Text()}, ("metadata", "kind"))
_POD = Fields(
    {"metadata": METADATA, "spec": Fields({"nodeName": Text(), "schedulerName": Text()})}, ("metadata", "spec")
)


def parse_seen_chaperon(manifest: Manifest) -> SeenChaperon:
    """Return the chaperon as an audit sees it; only the phase is kept of its pod's status. Raises Unreadable."""
    chaperon = parse_chaperon(manifest)
    metadata = manifest["metadata"]
    return SeenChaperon(
        replace(chaperon, status_text=keep({"phase": chaperon.status.get("phase")})),
        (metadata.get("labels") or {}).get(names.TARGET, ""),
    )


@reads("Pod", _POD)
def parse_seen_pod(manifest: Manifest) -> SeenPod | None:
    """Return the pod, or None for one that has nothing to do with chaperons. Raises Unreadable."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    owner_uid = next((uid for uid, is_controller in _chaperon_owners(metadata) if is_controller), "")
    is_ours = spec.get("schedulerName") == names.CANDIDATE_SCHEDULER
    if not (owner_uid or is_ours or names.PARENT_UID in (metadata.get("labels") or {})):
        return None
    return SeenPod(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner_uid,
        node_name=spec.get("nodeName") or "",
        is_by_candidate_scheduler=is_ours,
        is_terminating=bool(metadata.get("deletionTimestamp")),
    )


def _chaperon_owners(metadata: Manifest) -> list[tuple[str, bool]]:
    return [
        (owner["uid"], bool(owner.get("controller")))
        for owner in metadata.get("ownerReferences") or []
        if owner.get("kind") == names.CHAPERON_KIND and str(owner.get("apiVersion")).startswith(names.PREFIX)
    ]


@reads("copy", _KIND_AND_METADATA)
def parse_seen_copy(manifest: Manifest) -> SeenCopy | None:
    """Return the copy, or None for an object that no source brought. Raises Unreadable."""
    metadata = manifest["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    if names.PARENT_CLUSTER_NAME not in labels:
        return None
    return SeenCopy(
        kind=manifest["kind"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        parent_uid=labels.get(names.PARENT_UID, ""),
        parent_cluster_name=labels[names.PARENT_CLUSTER_NAME],
        owners=frozenset(uid for uid, _ in _chaperon_owners(metadata)),
        is_terminating=bool(metadata.get("deletionTimestamp")),
    )


@reads("original", _KIND_AND_METADATA)
def parse_seen_original(manifest: Manifest) -> SeenOriginal:
    """Return a Service or Ingress of the source. Raises Unreadable."""
    metadata = manifest["metadata"]
    where = (metadata.get("namespace") or "", metadata["name"], metadata["uid"])
    return SeenOriginal(manifest["kind"], *where, _finalizers(metadata))


def _finalizers(metadata: Manifest) -> tuple[str, ...]:
    return tuple(name for name in metadata.get("finalizers") or [] if name.startswith(names.PREFIX))


def parse_seen_proxy(manifest: Manifest) -> ProxyPod | None:
    """Return the proxy without the manifest and the status, which an audit does not need; None for any other pod.

    Raises Unreadable.
    """
    proxy = parse_proxy(manifest)
    return None if proxy is None else replace(proxy, manifest_text=b"", status_text=b"", requests={})


@reads("Pod", _METADATA)
def parse_marked_pod(manifest: Manifest) -> MarkedPod | None:
    """Return a pod that is no proxy and has our label or finalizers, or None. Raises Unreadable."""
    metadata = manifest["metadata"]
    finalizers = _finalizers(metadata)
    if not finalizers and names.HAS_FINALIZER not in (metadata.get("labels") or {}):
        return None
    return MarkedPod(metadata.get("namespace") or "", metadata["name"], metadata["uid"], finalizers)


@reads("Node", _METADATA)
def parse_seen_node(manifest: Manifest) -> SeenNode | None:
    """Return the virtual node, or None for any other. Raises Unreadable."""
    metadata = manifest["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    name = labels.get(names.TARGET_NAME) or labels.get(names.CLUSTER_TARGET_NAME)
    if not name:
        return None
    target = names.target_key(labels.get(names.TARGET_NAMESPACE, ""), name)
    return SeenNode(metadata["name"], metadata["uid"], target, bool(metadata.get("deletionTimestamp")))


@reads("Lease", _METADATA)
def parse_seen_lease(manifest: Manifest) -> SeenLease | None:
    """Return the Lease of a virtual node, or None for any other. Raises Unreadable."""
    metadata = manifest["metadata"]
    if not metadata["name"].startswith("admiralty-"):
        return None
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or [] if owner.get("kind") == "Node"]
    return SeenLease(metadata["name"], metadata["uid"], owners[0] if owners else "")
