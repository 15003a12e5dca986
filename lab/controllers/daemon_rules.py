"""Where a DaemonSet's pods belong, and which of them have to go. Pure.

A pod names its node by required affinity (matchFields) and is bound by the scheduler, as upstream has it.
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lab.controllers.objects import controller_reference, is_ready, is_terminating
from lab.controllers.rollout import template_hash
from lab.scheduler.selectors import matches_node, named_nodes, untolerated

Manifest = dict[str, Any]

REVISION_HASH = "controller-revision-hash"

# What every daemon tolerates besides its own: it belongs to the node whatever state that is in.
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


def revision_hash(daemon_set: Manifest) -> str:
    """Return the label value by which pods of the current template are known."""
    return template_hash(daemon_set["spec"]["template"], 0)


def tolerations(spec: Manifest) -> list[Manifest]:
    """Return a pod template's tolerations with those of every daemon."""
    network = [("node.kubernetes.io/network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else []
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in (*_TOLERATED, *network)]
    own = spec.get("tolerations") or []
    return [*own, *(one for one in added if one not in own)]


def new_pod(daemon_set: Manifest, node: str) -> Manifest:
    """Return the pod for one node."""
    template = copy.deepcopy(daemon_set["spec"]["template"])
    spec, metadata = template["spec"], template.get("metadata") or {}
    spec["tolerations"] = tolerations(spec)
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {})
    affinity.setdefault("nodeAffinity", {})["requiredDuringSchedulingIgnoredDuringExecution"] = {
        "nodeSelectorTerms": [named]
    }
    metadata["labels"] = {**(metadata.get("labels") or {}), REVISION_HASH: revision_hash(daemon_set)}
    metadata["generateName"] = f"{daemon_set['metadata']['name'][:57]}-"
    metadata["ownerReferences"] = [controller_reference(daemon_set, "apps/v1", "DaemonSet")]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def node_of(pod: Manifest) -> str:
    """Return the node a daemon's pod is on or meant for."""
    names = named_nodes(pod["spec"]) or set()
    return str(pod["spec"].get("nodeName") or next(iter(names), ""))


@dataclass
class DaemonPlan:
    """Nodes to make a pod for, pods to delete, and the status' numbers."""

    create: list[str] = field(default_factory=list)
    delete: list[Manifest] = field(default_factory=list)
    status: Manifest = field(default_factory=dict)


def plan(daemon_set: Manifest, nodes: Collection[Manifest], pods: Collection[Manifest]) -> DaemonPlan:
    """Return what to do."""
    result = DaemonPlan()
    spec = daemon_set["spec"]["template"]["spec"]
    by_node: dict[str, list[Manifest]] = {}
    for pod in pods:
        by_node.setdefault(node_of(pod), []).append(pod)
    current = revision_hash(daemon_set)
    counts = dict.fromkeys(("desired", "current", "misscheduled", "ready", "updated"), 0)
    outdated: list[Manifest] = []
    for node in nodes:
        taints = (node.get("spec") or {}).get("taints") or []
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        matches = matches_node(spec, name, labels)
        tolerated = tolerations(spec)
        should_run = matches and not untolerated(taints, tolerated, ["NoSchedule", "NoExecute"])
        may_stay = matches and not untolerated(taints, tolerated, ["NoExecute"])
        there = by_node.pop(name, [])
        ended = [pod for pod in there if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")]
        alive = [pod for pod in there if pod not in ended and not is_terminating(pod)]
        counts["misscheduled"] += bool(alive) and not should_run
        counts["desired"] += should_run
        if may_stay:
            result.delete += [*ended, *alive[1:]]
            counts["current"] += bool(alive) and should_run
            counts["ready"] += bool(alive) and should_run and is_ready(alive[0])
            for pod in alive[:1]:
                is_current = (pod["metadata"].get("labels") or {}).get(REVISION_HASH) == current
                counts["updated"] += is_current
                outdated += [] if is_current else [pod]
            if should_run and not there:
                result.create.append(name)
        else:
            result.delete += alive
    result.delete += [pod for pods_left in by_node.values() for pod in pods_left]
    unavailable = counts["desired"] - counts["ready"]
    if (daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
        broken = [pod for pod in outdated if not is_ready(pod)]
        healthy = [pod for pod in outdated if is_ready(pod)]
        result.delete += [*broken, *healthy[: max(0, 1 - unavailable)]]  # maxUnavailable: one at a time
    result.delete = [pod for pod in result.delete if not is_terminating(pod)]
    result.status = {
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
        "desiredNumberScheduled": counts["desired"],
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["misscheduled"],
        "numberReady": counts["ready"],
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["ready"],
        "numberUnavailable": unavailable,
    }
    return result
