"""ClusterSummary, and the nodes and pods of a target that it is made from."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from federation import names
from federation.model.quantity import Amounts, amount, amounts, pod_requests, quantities

Manifest = dict[str, Any]

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


def parse_summary(manifest: Manifest) -> Summary | None:
    """Return the summary, or None for one of another name, which nobody should heed. Admiralty's lacks our fields."""
    if manifest["metadata"]["name"] != names.SUMMARY_NAME:
        return None
    return Summary(
        cluster_id=manifest.get("clusterID") or "",
        cluster_name=manifest.get("clusterName") or "",
        kubelet_version=manifest.get("kubeletVersion") or "",
        capacity=_readable(manifest.get("capacity")),
        allocatable=_readable(manifest.get("allocatable")),
        labels=manifest["metadata"].get("labels") or {},
    )


def _readable(quantities: Mapping[str, object] | None) -> dict[str, int]:
    """Return the amounts that can be read: another cluster wrote them, and its mistake must not stop us."""
    found = {}
    for name, value in (quantities or {}).items():
        with suppress(ValueError):
            found[name] = max(amount(name, value), 0)
    return found


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


def parse_cluster_node(manifest: Manifest) -> ClusterNode:
    """Return the node."""
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


def parse_occupant(manifest: Manifest) -> Occupant | None:
    """Return the pod, or None where it takes no room: not bound, or finished."""
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
