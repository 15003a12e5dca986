"""Faults to seed into a federation whose agents are away, by its administrators' clients: each says what it is."""

import base64
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import LEASES, NODES, PODS, SECRETS, SERVICES
from tests.protocol.federation import FOREVER, Federation, pod

Manifest = dict[str, Any]
Fault = tuple[str, str, str]  # rule, cluster, name


@dataclass(frozen=True, slots=True)
class Seeder:
    """Seeds into one federation."""

    federation: Federation

    async def chaperon(self, cluster: str, parent: Manifest, name: str = "", *, is_allowed: bool = False) -> str:
        """Create a chaperon for a pod of the source (or for one that never was) and return its name."""
        metadata = parent["metadata"]
        namespace, label = self.federation.namespace, names.target_key(self.federation.namespace, cluster)
        name = name or names.chaperon_name(metadata["name"], metadata["uid"], label)
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.CHAPERON_KIND,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {
                    names.PARENT_UID: metadata["uid"],
                    names.PARENT_CLUSTER_NAME: self.federation.lab.source,
                    names.TARGET: label,
                },
                "annotations": {names.PARENT_NAME: metadata["name"], names.PARENT_NAMESPACE: namespace},
            },
            "spec": pod(FOREVER, schedulerName=names.CANDIDATE_SCHEDULER)["spec"],
        }
        await self.federation.lab.api(cluster).create(POD_CHAPERONS, manifest)
        if is_allowed:
            await self.federation.allow(cluster, name)
        return name

    async def withdraw_leave(self, cluster: str, name: str) -> None:
        """Take `is-allowed` off a chaperon."""
        patch = {"metadata": {"annotations": {names.IS_ALLOWED: None}}}
        await self.federation.lab.api(cluster).patch(POD_CHAPERONS, name, patch, self.federation.namespace)

    async def finalizers(self, name: str, finalizers: list[str]) -> None:
        """Set a pod's finalizers in the source."""
        patch = {"metadata": {"finalizers": finalizers or None}}
        await self.federation.home.patch(PODS, name, patch, self.federation.namespace)

    async def candidate(self, cluster: str, name: str, owner_uid: str = "") -> None:
        """Create a pod in a target that looks like a candidate; nobody, or a chaperon that never was, owns it."""
        manifest = pod(FOREVER, name=name, schedulerName=names.CANDIDATE_SCHEDULER)
        if owner_uid:
            manifest["metadata"]["ownerReferences"] = [_owner(name, owner_uid) | {"controller": True}]
        await self.federation.create(manifest, cluster)

    async def secret(self, cluster: str, name: str, owner_uid: str = "", owner: str = "gone") -> None:
        """Create what looks like the copy of a Secret."""
        metadata: Manifest = {
            "name": name,
            "namespace": self.federation.namespace,
            "labels": {names.PARENT_CLUSTER_NAME: self.federation.lab.source, names.PARENT_UID: "original"},
        }
        if owner_uid:
            metadata["ownerReferences"] = [_owner(owner, owner_uid)]
        data = {"password": base64.b64encode(b"secret").decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        await self.federation.lab.api(cluster).create(SECRETS, body)

    async def service(self, cluster: str, name: str) -> None:
        """Create what looks like the copy of a Service that the source does not have."""
        labels = {names.PARENT_CLUSTER_NAME: self.federation.lab.source, names.PARENT_UID: "never-was"}
        metadata = {"name": name, "namespace": self.federation.namespace, "labels": labels}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}
        await self.federation.lab.api(cluster).create(SERVICES, body)

    async def node_and_lease(self, target: str) -> str:
        """Create a virtual node that no Target stands behind, and a Lease without one; returns the node's name."""
        name = self.federation.node(target)
        labels = {
            names.PROVIDER_KEY: names.PROVIDER,
            "type": "virtual-kubelet",
            names.TARGET_NAMESPACE: self.federation.namespace,
            names.TARGET_NAME: target,
        }
        await self.federation.home.create(
            NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        )
        lease = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": f"{name}-lease"}, "spec": {}}
        await self.federation.home.create(LEASES, lease, "kube-node-lease")
        return name


def _owner(name: str, uid: str) -> Manifest:
    return {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "name": name, "uid": uid}
