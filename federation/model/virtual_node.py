"""Virtual nodes: the Nodes that stand for targets, and what they are to show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from federation import names
from federation.model.pod_shapes import NODE_SPEC, NODE_STATUS
from federation.model.quantity import Amounts
from federation.model.reading import STORED, reads
from federation.model.shape import Fields
from federation.model.summary import Summary
from federation.model.target import Target

Manifest = dict[str, Any]

OWNED_LABELS = names.OURS + "owned-labels"  # annotation: the keys of the labels that we set, comma-separated


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a target answers; `since` is when that last changed, `message` why it does not."""

    is_reachable: bool
    since: datetime
    message: str = ""


@dataclass(frozen=True, slots=True)
class KubeletAddress:
    """Where the gateway listens for one virtual node."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class VirtualNodeView:
    """What is known of one target, for its node to show.

    `summary` is None until it has been read; `committed` is what proxies that are bound or reserved there ask for.
    `kubelet_version` is shown where the target does not tell its own.
    """

    target: Target
    health: Health
    summary: Summary | None
    committed: Amounts
    kubelet: KubeletAddress | None
    kubelet_version: str


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """A virtual node as the API server has it. `owned_labels` are the keys that we set, by our own record."""

    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    owned_labels: frozenset[str]
    taints: Sequence[Manifest]
    is_terminating: bool
    status: Manifest = field(repr=False)


@reads("Node", Fields({"metadata": STORED, "spec": NODE_SPEC, "status": NODE_STATUS}, ("metadata",)))
def parse_virtual_node(manifest: Manifest) -> VirtualNode | None:
    """Return the node, or None for one that is not ours to keep. Raises Unreadable."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    if names.TARGET_NAME not in labels and names.CLUSTER_TARGET_NAME not in labels:
        return None
    owned = (metadata.get("annotations") or {}).get(OWNED_LABELS, "")
    return VirtualNode(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        labels=labels,
        owned_labels=frozenset(filter(None, owned.split(","))),
        taints=(manifest.get("spec") or {}).get("taints") or [],
        is_terminating=bool(metadata.get("deletionTimestamp")),
        status=manifest.get("status") or {},
    )
