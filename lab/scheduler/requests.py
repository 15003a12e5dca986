"""What a pod asks of a node, as one set of numbers.

Containers run together, so they add up; init containers run one after the other, so the largest counts, on top of the
sidecars (init containers with restartPolicy Always) started before it. Overhead comes on top. A pod-level request
replaces the sum for its resource. CPU is in millicores, everything else in base units.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lab.scheduler.quantities import millis, whole

Resources = dict[str, int]

# What a pod without a request counts as when nodes are *scored*: a node full of such pods is not empty.
DEFAULT_CPU_MILLICORES = 100
DEFAULT_MEMORY_BYTES = 200 * 2**20

_NATIVE = {"cpu", "memory", "ephemeral-storage", "pods"}


def parse_resources(quantities: Mapping[str, Any] | None) -> Resources:
    """Return a ResourceList as whole numbers."""
    return {name: millis(value) if name == "cpu" else whole(value) for name, value in (quantities or {}).items()}


def is_extended(resource: str) -> bool:
    """Whether a resource is one that devices or plugins bring (`example.com/gpu`, hugepages included)."""
    return resource not in _NATIVE


def _requests(container: Mapping[str, Any]) -> Resources:
    return parse_resources((container.get("resources") or {}).get("requests"))


def add(left: Resources, right: Resources) -> Resources:
    """Return the sum of two sets of resources."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def _larger(left: Resources, right: Resources) -> Resources:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def _together(containers: Iterable[Mapping[str, Any]]) -> Resources:
    total: Resources = {}
    for container in containers:
        total = add(total, _requests(container))
    return total


def requests_of(spec: Mapping[str, Any]) -> Resources:
    """Return what a pod with this spec takes from a node's allocatable."""
    sidecars: Resources = {}
    starting: Resources = {}
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars = add(sidecars, _requests(container))
            starting = _larger(starting, sidecars)
        else:
            starting = _larger(starting, add(sidecars, _requests(container)))
    running = add(_together(spec.get("containers") or []), sidecars)
    total = _larger(running, starting)
    total |= parse_resources((spec.get("resources") or {}).get("requests"))
    return add(total, parse_resources(spec.get("overhead")))


def scored(requests: Resources) -> Resources:
    """Return requests with defaults for CPU and memory not asked for, as used in scores only."""
    return {
        **requests,
        "cpu": requests.get("cpu") or DEFAULT_CPU_MILLICORES,
        "memory": requests.get("memory") or DEFAULT_MEMORY_BYTES,
    }
