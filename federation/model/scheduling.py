"""A node as a scheduler's filters see it: labels, taints, cordon, room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.model.pod_shapes import NODE_SPEC, NODE_STATUS
from federation.model.quantity import Amounts, amounts
from federation.model.reading import NAMED, reads
from federation.model.shape import Fields


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class SchedulingNode:
    """What decides whether a pod may go to a node; `allocatable` of a virtual one is all that its target can give."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    is_unschedulable: bool
    allocatable: Amounts = field(default_factory=dict)


@reads("Node", Fields({"metadata": NAMED, "spec": NODE_SPEC, "status": NODE_STATUS}, ("metadata",)))
def parse_scheduling_node(manifest: dict[str, Any]) -> SchedulingNode:
    """Return the node. Raises Unreadable."""
    spec = manifest.get("spec") or {}
    return SchedulingNode(
        name=manifest["metadata"]["name"],
        labels=manifest["metadata"].get("labels") or {},
        taints=tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or []),
        is_unschedulable=bool(spec.get("unschedulable")),
        allocatable=amounts((manifest.get("status") or {}).get("allocatable")),
    )
