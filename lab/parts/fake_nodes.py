"""Fake nodes: Node objects by the hundred, and kwok in place of their kubelets.

For benchmarks and for trying things at a size that no machine could really run. kwok (https://kwok.sigs.k8s.io) says
that a pod runs as soon as it is bound; what it says is in `stages.yaml`, which is ours. It looks after annotated nodes
only: it must never speak for a virtual node, whose pods run elsewhere.
"""

import asyncio
from pathlib import Path
from typing import Any

from federation.kube.api import Api
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NODES
from lab.construction import Cluster, Construction
from lab.engines.engine import kube_directory, kwok_program
from lab.parts.manifests import cluster_role_binding, create
from lab.parts.nodes import until_ready
from lab.plan import LabPlan, Platform

KWOK_USER = "isthmus-lab-kwok"
STAGES = Path(__file__).resolve().with_name("stages.yaml")

ANNOTATION, VALUE = "kwok.x-k8s.io/node", "fake"
ROOM = {"cpu": "64", "memory": "512Gi", "pods": "500", "ephemeral-storage": "1Ti"}
# A Lease is renewed after a quarter of this: just often enough for the node-lifecycle controller, which waits 50 s.
# Ten times as often, two hundred nodes would keep a core busy.
LEASE_SECONDS = 120
READY_SECONDS = 120
CREATED_AT_ONCE = 16


def missing(plan: LabPlan) -> str:
    """Why the plan's fake nodes cannot be had and what to do; empty where they can, or none are wanted."""
    if kwok_program() or not any(cluster.fake_nodes for cluster in plan.clusters):
        return ""
    return f"kwok is not in {kube_directory()} (run: make kube)"


async def start_fake_nodes(lab: Construction, cluster: Cluster) -> None:
    """Start kwok, create the cluster's nodes, and return when all of them are Ready."""
    await _give_rights(cluster.api)
    command = [
        kwok_program(),
        f"--kubeconfig={cluster.kubeconfig(KWOK_USER)}",
        f"--config={STAGES}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={ANNOTATION}={VALUE}",
        f"--node-lease-duration-seconds={LEASE_SECONDS}",
        "--server-address=127.0.0.1:0",
    ]
    # kwok reads a configuration from the home directory too: it shall be told by us alone.
    env = {"HOME": str(cluster.directory)}
    process = lab.start("fake-kubelet", command, cluster=cluster.name, env=env)
    nodes = cluster.plan.nodes()
    await _create_nodes(cluster.api, nodes)
    await until_ready(cluster, process, "fake nodes", seconds=READY_SECONDS)


async def _create_nodes(api: Api, nodes: dict[str, Platform]) -> None:
    slots = asyncio.Semaphore(CREATED_AT_ONCE)

    async def create_one(name: str, platform: Platform) -> None:
        async with slots:
            await create(api, NODES, fake_node(name, platform))

    async with asyncio.TaskGroup() as group:
        for name, platform in nodes.items():
            group.create_task(create_one(name, platform))


def fake_node(name: str, platform: Platform) -> dict[str, Any]:
    """The Node object, with room for hundreds of pods."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": platform.os, "kubernetes.io/arch": platform.arch}
    info = {"kubeletVersion": "fake", "operatingSystem": platform.os, "architecture": platform.arch}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {ANNOTATION: VALUE}},
        "status": {"capacity": ROOM, "allocatable": ROOM, "nodeInfo": info},
    }


async def _give_rights(api: Api) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch", "update", "delete"]},
        {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["patch", "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"],
        },
    ]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": KWOK_USER},
        "rules": rules,
    }
    await create(api, CLUSTER_ROLES, role)
    await create(api, CLUSTER_ROLE_BINDINGS, cluster_role_binding(KWOK_USER, KWOK_USER, KWOK_USER))
