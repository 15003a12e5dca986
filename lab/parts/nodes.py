"""The nodes of a cluster: one process kubelet for all of them.

A node whose platform is not this machine's is simulated: its containers are processes of this machine all the same. The
kubelet decides that and marks the Node object.
"""

import json
import sys
from pathlib import Path

from federation.kube.resources import NODES
from lab.construction import Cluster, Construction, lab_program
from lab.identities import KUBELET_USER
from lab.pki import write_private
from lab.processes import Process
from lab.waiting import Manifest, until_object

CONTAINERS_CONF = Path(__file__).resolve().with_name("containers.conf")

READY_SECONDS = 60


async def start_nodes(lab: Construction, cluster: Cluster) -> None:
    """Start the kubelet and return when all the cluster's nodes are Ready."""
    config = write_private(cluster.directory / "kubelet.json", json.dumps(_configuration(lab, cluster)).encode())
    process = lab.start("kubelet", lab_program("kubelet", config), cluster=cluster.name)
    await until_ready(cluster, process, "nodes")


async def until_ready(cluster: Cluster, kubelet: Process, what: str, *, seconds: float = READY_SECONDS) -> None:
    """Return when all nodes of the plan are Ready, or raise when the program that keeps them has ended."""
    nodes = cluster.plan.nodes()
    await until_object(
        cluster.api,
        NODES,
        lambda node: node["metadata"]["name"] in nodes and is_ready(node),
        count=len(nodes),
        relies_on=[kubelet],
        what=f"{cluster.name}: {len(nodes)} {what} Ready",
        seconds=seconds,
    )


def is_ready(node: Manifest) -> bool:
    """Whether a Node says it is Ready, and the node-lifecycle controller has seen it: pods can be placed there."""
    conditions = (node.get("status") or {}).get("conditions") or []
    taints = node["spec"].get("taints") or []
    says_so = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return says_so and not any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints)


def _configuration(lab: Construction, cluster: Cluster) -> dict[str, object]:
    nodes = []
    for name, platform in cluster.plan.nodes().items():
        keys = cluster.identities.server(name)
        nodes.append(
            {
                "name": name,
                "os": platform.os,
                "arch": platform.arch,
                "tls_cert_file": str(keys.certificate),
                "tls_private_key_file": str(keys.key),
            }
        )
    return {
        "kubeconfig": str(cluster.kubeconfig(KUBELET_USER)),
        "root_dir": str(cluster.directory / "kubelet"),
        "client_ca_file": str(cluster.identities.authority.certificate),
        "nodes": nodes,
        # Keys and tokens of the lab are nothing that a container should find.
        "hidden": [str(lab.directory.root)],
        # A job's Python scripts run with the interpreter that runs the lab.
        "visible": [sys.prefix, str(CONTAINERS_CONF)],
        "environment": {"CONTAINERS_CONF": str(CONTAINERS_CONF)},
    }
