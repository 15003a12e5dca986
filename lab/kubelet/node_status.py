"""The Node object and its Lease as manifests. Pure."""

from datetime import datetime

from lab.kubelet.config import Node
from lab.kubelet.records import Manifest, write_time
from lab.kubelet.status import ADDRESS

VERSION = "v1.37.2-isthmus-lab"
SIMULATED = "isthmus.dev/simulated"
LEASE_NAMESPACE = "kube-node-lease"
LEASE_DURATION_SECONDS = 40  # upstream's; four renewals may be lost


def node_object(node: Node, machine: str) -> Manifest:
    """What the node registers as: everything but its status. `machine` is what it really runs on, for people."""
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": node.os,
        "kubernetes.io/arch": node.arch,
        "beta.kubernetes.io/os": node.os,
        "beta.kubernetes.io/arch": node.arch,
    }
    annotations = {"isthmus.dev/containers": f"processes of this machine ({machine})"}
    if node.is_simulated:
        labels[SIMULATED] = "true"
        annotations["isthmus.dev/simulates"] = f"{node.os}/{node.arch}; its containers are {machine} processes"
    metadata = {
        "name": node.name,
        "labels": labels | node.labels,
        "annotations": annotations | node.annotations,
    }
    spec = {"taints": [taint.model_dump() for taint in node.taints]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def allocatable(node: Node) -> dict[str, str]:
    """What the scheduler may give out."""
    return {
        "cpu": node.cpu,
        "memory": node.memory,
        "ephemeral-storage": node.ephemeral_storage,
        "pods": str(node.pods),
        **node.extra_resources,
    }


def node_status(node: Node, port: int, machine_id: str, kernel: str, since: datetime, now: datetime) -> Manifest:
    """The node's status: ready since `since`, heard of `now`, its API on `port`."""
    room = allocatable(node)
    return {
        "capacity": room,
        "allocatable": room,
        "conditions": [
            _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", since, now),
            _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", since, now),
            _condition("PIDPressure", "False", "KubeletHasSufficientPID", since, now),
            _condition("Ready", "True", "KubeletReady", since, now),
        ],
        "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": node.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "machineID": machine_id,
            "systemUUID": machine_id,
            "bootID": machine_id,
            "kernelVersion": kernel,
            "osImage": "Isthmus lab (processes of this machine)",
            "containerRuntimeVersion": "process://1.0.0",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": node.os,
            "architecture": node.arch,
        },
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
    }


def lease(node: str, uid: str, now: datetime) -> Manifest:
    """The node's Lease, owned by the Node so that it goes with it."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": node,
            "leaseDurationSeconds": LEASE_DURATION_SECONDS,
            "renewTime": micro_time(now),
        },
    }


def micro_time(time: datetime) -> str:
    """A time as Kubernetes' `metav1.MicroTime` has it: six digits of a second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _condition(type_: str, status: str, reason: str, since: datetime, now: datetime) -> Manifest:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": "a node of the Isthmus lab",
        "lastTransitionTime": write_time(since),
        "lastHeartbeatTime": write_time(now),
    }
