"""What a node's conditions mean for its taints, and how long its pods may stay. Pure."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from lab.controllers.objects import condition_of, parse_time, timestamp
from lab.scheduler.selectors import tolerates

Manifest = dict[str, Any]

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"

# How long a node may be silent: 50 s (node-monitor-grace-period) once it has reported, 60 s before it ever has.
GRACE_SECONDS = 50.0
STARTUP_GRACE_SECONDS = 60.0

_FROM_CONDITION = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_SILENCED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def readiness(node: Manifest) -> str:
    """Return the Ready condition's status: True, False or Unknown; Unknown where there is none."""
    return str(condition_of(node, "Ready").get("status") or "Unknown")


def wanted_taints(node: Manifest, *, may_evict: bool) -> set[tuple[str, str]]:
    """Return the (key, effect) of the taints that follow from conditions; NoExecute only where that is allowed."""
    ready = readiness(node)
    found = {(key, "NoSchedule") for kind, key in _FROM_CONDITION.items() if _is_bad(node, kind)}
    if (node.get("spec") or {}).get("unschedulable"):
        found.add((_UNSCHEDULABLE, "NoSchedule"))
    if ready != "True":
        key = NOT_READY if ready == "False" or not condition_of(node, "Ready") else UNREACHABLE
        found |= {(key, "NoSchedule")} | ({(key, "NoExecute")} if may_evict and condition_of(node, "Ready") else set())
    return found


def _is_bad(node: Manifest, kind: str) -> bool:
    return bool(condition_of(node, kind).get("status") == "True")


def next_taints(node: Manifest, wanted: Collection[tuple[str, str]], now: datetime) -> list[Manifest] | None:
    """Return the node's taints with ours put right and everybody else's untouched, or None where they are right."""
    taints = (node.get("spec") or {}).get("taints") or []
    ours = {NOT_READY, UNREACHABLE, _UNSCHEDULABLE, *_FROM_CONDITION.values()}
    kept = [one for one in taints if one["key"] not in ours or (one["key"], one["effect"]) in wanted]
    have = {(one["key"], one["effect"]) for one in kept}
    added = [
        {"key": key, "effect": effect, "timeAdded": timestamp(now)}
        for key, effect in sorted(wanted)
        if (key, effect) not in have
    ]
    return [*kept, *added] if added or len(kept) != len(taints) else None


def silenced(node: Manifest, now: datetime) -> list[Manifest]:
    """Return the conditions of a node that nobody has heard of for too long: Unknown."""
    conditions = [dict(one) for one in (node.get("status") or {}).get("conditions") or []]
    for kind in _SILENCED:
        old = next((one for one in conditions if one["type"] == kind), None)
        if old is None:
            never = {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}
            born = node["metadata"].get("creationTimestamp")
            times = {"lastHeartbeatTime": born, "lastTransitionTime": timestamp(now)}
            conditions.append({"type": kind, "status": "Unknown", **never, **times})
        elif old["status"] != "Unknown":
            old |= {
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": timestamp(now),
            }
    return conditions


def evicted_in(pod: Manifest, taints: Collection[Manifest], seen_at: datetime, now: datetime) -> float | None:
    """Return the seconds until NoExecute taints end a pod (0 or less: now), or None where it may stay.

    `seen_at` stands in for a taint's timeAdded, which people who taint by hand leave out.
    """
    tolerations = pod["spec"].get("tolerations") or []
    left: list[float] = []
    for taint in taints:
        if taint["effect"] != "NoExecute":
            continue
        matching = [one for one in tolerations if tolerates(one, taint)]
        if not matching:
            return 0.0
        limits = [float(one["tolerationSeconds"]) for one in matching if one.get("tolerationSeconds") is not None]
        if limits:
            since = parse_time(taint.get("timeAdded")) or seen_at
            left.append(max(0.0, min(limits)) - (now - since).total_seconds())
    return min(left, default=None)
