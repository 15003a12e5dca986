"""What a new cluster has before anybody wrote to it: system namespaces, priority classes, roles, the API's Service."""

from random import Random

from lab.api_server.auth.bootstrap_roles import bootstrap_objects
from lab.api_server.core.manifest import Clock, Manifest, timestamp
from lab.api_server.core.names import uid
from lab.api_server.core.store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def bootstrap(store: Store, clock: Clock, random: Random, client_ca: str) -> None:
    """Write the objects of an empty cluster into the store."""
    for resource, manifest in [*_objects(client_ca), *bootstrap_objects()]:
        metadata = manifest["metadata"]
        metadata |= {"uid": uid(random), "creationTimestamp": timestamp(clock())}
        store.write(resource, "ADDED", (metadata.get("namespace", ""), metadata["name"]), manifest)


def _objects(client_ca: str) -> list[tuple[str, Manifest]]:
    namespaces = [("namespaces", _namespace(name)) for name in NAMESPACES]
    classes = [("priorityclasses.scheduling.k8s.io", _priority(name, value)) for name, value in PRIORITIES.items()]
    authentication: Manifest = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
    }
    if client_ca:
        authentication["data"] = {"client-ca-file": client_ca}
    return [*namespaces, *classes, ("configmaps", authentication), ("services", _service())]


def _namespace(name: str) -> Manifest:
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _priority(name: str, value: int) -> Manifest:
    return {
        "kind": "PriorityClass",
        "apiVersion": "scheduling.k8s.io/v1",
        "metadata": {"name": name, "generation": 1},
        "value": value,
        "description": "Used for system critical pods that must run in the cluster.",
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _service() -> Manifest:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 443}],
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }
