"""ClusterSummary, and the nodes and pods of a target that it is made from.

A summary is what another cluster says of itself: of its labels, amounts and words only those are kept that API servers
here would take, and no more of them than a cluster has (rule T1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation import names
from federation.model.pod_shapes import NODE_SPEC, NODE_STATUS, POD_SPEC
from federation.model.quantity import Amounts, amounts, pod_requests, quantities
from federation.model.reading import NAMED, fitting, reads
from federation.model.shape import Fields, Quantities, Text, is_label_key, is_label_value

Manifest = dict[str, Any]

_LABELS_MAX = 256  # labels that are the same on all nodes of a cluster: real ones have some dozens
_RESOURCES_MAX = 128  # kinds of resources
_ID_MAX = 63  # a cluster's id and name become label values on what a source sends there
_VERSION_MAX = 128
_SAID = Fields(
    {
        "clusterID": Text(_ID_MAX),
        "clusterName": Text(_ID_MAX),
        "kubeletVersion": Text(_VERSION_MAX),
        "capacity": Quantities(),
        "allocatable": Quantities(),
    }
)

_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a target's real nodes amount to; `labels` are those that are the same wherever they occur.

    `cluster_name` is what the cluster calls itself as a source, on its chaperons: an audit cannot know it otherwise.
    """

    cluster_id: str = ""
    cluster_name: str = ""
    kubelet_version: str = ""
    capacity: Amounts = field(default_factory=dict)
    allocatable: Amounts = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def manifest(self) -> Manifest:
        """Return it as the ClusterSummary `singleton`."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": "ClusterSummary",
            "metadata": {"name": names.SUMMARY_NAME, "labels": dict(self.labels)},
            "clusterID": self.cluster_id,
            "clusterName": self.cluster_name,
            "kubeletVersion": self.kubelet_version,
            "capacity": quantities(self.capacity),
            "allocatable": quantities(self.allocatable),
        }


@reads("ClusterSummary", Fields({"metadata": NAMED}, ("metadata",)))
def parse_summary(manifest: Manifest) -> Summary | None:
    """Return the summary, or None for one of another name, which nobody should heed. Admiralty's lacks our fields.

    Raises Unreadable.
    """
    if manifest["metadata"]["name"] != names.SUMMARY_NAME:
        return None
    said = fitting(manifest, _SAID)
    return Summary(
        cluster_id=said.get("clusterID") or "",
        cluster_name=said.get("clusterName") or "",
        kubelet_version=said.get("kubeletVersion") or "",
        capacity=_readable(said.get("capacity")),
        allocatable=_readable(said.get("allocatable")),
        labels=_usable_labels(manifest["metadata"].get("labels") or {}),
    )


def _readable(quantities: Mapping[str, object] | None) -> dict[str, int]:
    """Return the amounts that can be read: another cluster wrote them, and its mistake must not stop us."""
    named = {name: value for name, value in (quantities or {}).items() if is_label_key(name)}
    found = sorted(amounts(named).items())[:_RESOURCES_MAX]
    return {name: max(value, 0) for name, value in found}


def _usable_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a Node here can carry."""
    found = [(key, value) for key, value in sorted(labels.items()) if is_label_key(key) and is_label_value(value)]
    return dict(found[:_LABELS_MAX])


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node of a target. `is_usable`: ready and not cordoned. A virtual one stands for yet another cluster."""

    name: str
    is_virtual: bool
    is_usable: bool
    kubelet_version: str
    capacity: Amounts
    allocatable: Amounts
    labels: Mapping[str, str]


@reads("Node", Fields({"metadata": NAMED, "spec": NODE_SPEC, "status": NODE_STATUS}, ("metadata",)))
def parse_cluster_node(manifest: Manifest) -> ClusterNode:
    """Return the node. Raises Unreadable."""
    metadata, spec, status = manifest["metadata"], manifest.get("spec") or {}, manifest.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or []}
    return ClusterNode(
        name=metadata["name"],
        is_virtual=labels.get(names.PROVIDER_KEY) == names.PROVIDER,
        is_usable=conditions.get("Ready") == "True" and not spec.get("unschedulable"),
        kubelet_version=(status.get("nodeInfo") or {}).get("kubeletVersion") or "",
        capacity=amounts(status.get("capacity")),
        allocatable=amounts(status.get("allocatable") or status.get("capacity")),
        labels=labels,
    )


@dataclass(frozen=True, slots=True)
class Occupant:
    """A pod that takes room on a node of a target. `is_federated`: it runs there for another cluster."""

    node_name: str
    is_federated: bool
    requests: Amounts


@reads("Pod", Fields({"metadata": NAMED, "spec": POD_SPEC, "status": Fields()}, ("metadata", "spec")))
def parse_occupant(manifest: Manifest) -> Occupant | None:
    """Return the pod, or None where it takes no room: not bound, or finished. Raises Unreadable."""
    spec, phase = manifest["spec"], (manifest.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in _FINISHED:
        return None
    owners = manifest["metadata"].get("ownerReferences") or []
    is_federated = any(
        owner.get("controller")
        and owner.get("kind") == names.CHAPERON_KIND
        and str(owner.get("apiVersion")).startswith(names.PREFIX)
        for owner in owners
    )
    return Occupant(spec["nodeName"], is_federated, pod_requests(spec))
