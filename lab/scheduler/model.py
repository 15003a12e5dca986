"""Pods and nodes as the scheduler sees them: parsed once at the watch, then only read.

The manifest stays beside the parsed fields: extenders get the pod whole, and affinity terms are read where they are
used, since few pods have any.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lab.scheduler.requests import Resources, parse_resources, requests_of, scored

Manifest = dict[str, Any]
HostPort = tuple[str, str, int]  # address, protocol, port

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # Kubernetes' word for "all addresses" in hostIP, nothing is bound
_TERMINAL = ("Succeeded", "Failed")


def _host_ports(spec: Manifest) -> frozenset[HostPort]:
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return frozenset(
        (port.get("hostIP") or _ANY_ADDRESS, port.get("protocol") or "TCP", port["hostPort"])
        for container in [*(spec.get("containers") or []), *sidecars]
        for port in container.get("ports") or []
        if port.get("hostPort")
    )


@dataclass(frozen=True)
class Pod:
    """One pod. `key` is (namespace, name)."""

    manifest: Manifest

    @cached_property
    def metadata(self) -> Manifest:
        """metadata as received."""
        return dict(self.manifest["metadata"])

    @cached_property
    def spec(self) -> Manifest:
        """spec as received."""
        return dict(self.manifest["spec"])

    @cached_property
    def status(self) -> Manifest:
        """status as received."""
        return dict(self.manifest.get("status") or {})

    @cached_property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.metadata["namespace"], self.metadata["name"]

    @cached_property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.metadata["uid"])

    @cached_property
    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        return self.metadata.get("labels") or {}

    @cached_property
    def node_name(self) -> str:
        """Where it is bound, or an empty string."""
        return self.spec.get("nodeName") or ""

    @cached_property
    def priority(self) -> int:
        """spec.priority, resolved by admission."""
        return self.spec.get("priority") or 0

    @cached_property
    def requests(self) -> Resources:
        """What it takes from a node."""
        return requests_of(self.spec)

    @cached_property
    def scored_requests(self) -> Resources:
        """What it counts as in scores."""
        return scored(self.requests)

    @cached_property
    def host_ports(self) -> frozenset[HostPort]:
        """Ports it wants on the node itself."""
        return _host_ports(self.spec)

    @cached_property
    def tolerations(self) -> list[Manifest]:
        """spec.tolerations."""
        return self.spec.get("tolerations") or []

    @cached_property
    def claims(self) -> list[str]:
        """Names of the PersistentVolumeClaims it mounts; those of generic ephemeral volumes included."""
        names = []
        for volume in self.spec.get("volumes") or []:
            if claim := volume.get("persistentVolumeClaim"):
                names.append(str(claim["claimName"]))
            elif volume.get("ephemeral"):
                names.append(f"{self.metadata['name']}-{volume['name']}")
        return names

    @property
    def is_gated(self) -> bool:
        """Whether a scheduling gate is left: such a pod costs the scheduler nothing."""
        return bool(self.spec.get("schedulingGates"))

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended: it then takes nothing from its node."""
        return self.status.get("phase") in _TERMINAL

    @property
    def is_terminating(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.metadata.get("deletionTimestamp"))

    def affinity(self, kind: str) -> Manifest:
        """Return spec.affinity's `nodeAffinity`, `podAffinity` or `podAntiAffinity`, empty where there is none."""
        return (self.spec.get("affinity") or {}).get(kind) or {}


@dataclass(frozen=True)
class Node:
    """One node."""

    manifest: Manifest

    @cached_property
    def name(self) -> str:
        """metadata.name."""
        return str(self.manifest["metadata"]["name"])

    @cached_property
    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        return self.manifest["metadata"].get("labels") or {}

    @cached_property
    def taints(self) -> list[Manifest]:
        """spec.taints."""
        return (self.manifest.get("spec") or {}).get("taints") or []

    @cached_property
    def is_unschedulable(self) -> bool:
        """Whether it is cordoned."""
        return bool((self.manifest.get("spec") or {}).get("unschedulable"))

    @cached_property
    def allocatable(self) -> Resources:
        """status.allocatable, or capacity where it is not given."""
        status = self.manifest.get("status") or {}
        return parse_resources(status.get("allocatable") or status.get("capacity"))

    def differs(self, other: "Node") -> bool:
        """Whether a change from `other` could let a waiting pod in; heartbeats do not count."""
        return (self.labels, self.taints, self.is_unschedulable, self.allocatable) != (
            other.labels,
            other.taints,
            other.is_unschedulable,
            other.allocatable,
        )
