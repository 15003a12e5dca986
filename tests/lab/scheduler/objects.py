"""Pods and nodes for the pure tests, with only what a test is about."""

from typing import Any

from lab.scheduler.cache import Place
from lab.scheduler.model import Node, Pod


def pod(name: str, *, labels: dict[str, str] | None = None, priority: int = 0, cpu: str = "0", **spec: Any) -> Pod:
    """Return a pod that asks for some CPU."""
    container = {"name": "main", "resources": {"requests": {"cpu": cpu} if cpu != "0" else {}}}
    metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "labels": labels or {}}
    return Pod({"metadata": metadata, "spec": {"containers": [container], "priority": priority, **spec}})


def place(
    name: str,
    *pods: Pod,
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    **allocatable: str,
) -> Place:
    """Return a node with pods on it."""
    resources = {"cpu": "4", "memory": "8Gi", "pods": "10"} | allocatable
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
    one = Place(Node({"metadata": metadata, "spec": {"taints": taints or []}, "status": {"allocatable": resources}}))
    for each in pods:
        one.take(each)
    return one
