"""What a target's virtual node looks like, and the patches that make it so.

The Node is shared: admins label, taint and cordon it, controllers of the source taint it. So of its labels we own the
keys that we set (recorded in an annotation, to take back what the target no longer has), of its taints one, of its
conditions ours. All else stays as it is.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from federation import names
from federation.decisions.capacity import shown
from federation.model.quantity import Amounts, amounts, quantities
from federation.model.summary import Summary
from federation.model.target import Target
from federation.model.times import format_time
from federation.model.virtual_node import OWNED_LABELS, Health, VirtualNode, VirtualNodeView

Manifest = dict[str, Any]

GRACE = timedelta(seconds=20)
"""A target may be silent for two heartbeats before its node turns NotReady, which marks every proxy there unready."""

TAINT: Manifest = {"key": names.PROVIDER_KEY, "value": names.PROVIDER, "effect": "NoSchedule"}
GOING: Manifest = {"key": names.TARGET_GOING, "effect": "NoSchedule"}  # while its Target is being deleted (rule M7)
FEATURES = ["ExtendWebSocketsToKubelet"]  # the API server speaks WebSocket to the gateway, which passes it on
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def wanted_labels(target: Target, summary: Summary | None, is_excluded: Callable[[str], bool]) -> dict[str, str]:
    """Return the labels of a target's node: the cluster's own, under those that every virtual node has.

    `is_excluded` is asked about `key=value`. The host name is the node's own always: a cluster of one node has but
    one host name, and proxies are tied to virtual nodes by it. Nor may a target speak for the federation.
    """
    aggregated = summary.labels if summary else {}
    labels = {
        key: value
        for key, value in aggregated.items()
        if not key.startswith((names.PREFIX, names.OURS)) and not is_excluded(f"{key}={value}")
    }
    return labels | base_labels(target)


def base_labels(target: Target) -> dict[str, str]:
    """Return the labels that a target's node has whatever the target says."""
    return {
        names.HOSTNAME: target.node_name,
        "type": "virtual-kubelet",
        names.PROVIDER_KEY: names.PROVIDER,
        "kubernetes.io/role": "cluster",
        "alpha.service-controller.kubernetes.io/exclude-balancer": "true",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        **_identity(target),
    }


def _identity(target: Target) -> dict[str, str]:
    if not target.namespace:
        return {names.CLUSTER_TARGET_NAME: target.name}
    return {names.TARGET_NAMESPACE: target.namespace, names.TARGET_NAME: target.name}


def new_node(target: Target, labels: Mapping[str, str]) -> Manifest:
    """Return the Node to create."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": target.node_name,
            "labels": dict(labels),
            "annotations": {OWNED_LABELS: ",".join(sorted(labels))},
        },
        "spec": {"taints": [dict(TAINT)]},
    }


def object_patch(
    node: VirtualNode, wanted: Mapping[str, str], base: Mapping[str, str], *, is_going: bool = False
) -> Manifest:
    """Return the merge patch for labels and taints, empty where nothing is to do.

    `base` are the wanted labels that win over anybody's; another's label of the same key as an aggregated one stays.
    """
    ours = {
        key: value for key, value in wanted.items() if key in base or key in node.owned_labels or key not in node.labels
    }
    labels: dict[str, str | None] = {key: value for key, value in ours.items() if node.labels.get(key) != value}
    labels |= dict.fromkeys(key for key in node.owned_labels if key not in wanted and key in node.labels)
    patch: Manifest = {}
    if labels:
        patch["labels"] = labels
    if frozenset(ours) != node.owned_labels:
        patch["annotations"] = {OWNED_LABELS: ",".join(sorted(ours))}
    body: Manifest = {"metadata": patch} if patch else {}
    missing = [taint for taint in (TAINT, GOING)[: 2 if is_going else 1] if not _has(node, taint)]
    if missing:
        places = [(taint["key"], taint["effect"]) for taint in missing]
        others = [taint for taint in node.taints if (taint["key"], taint["effect"]) not in places]
        body["spec"] = {"taints": [*others, *missing]}
    return body


def _has(node: VirtualNode, wanted: Manifest) -> bool:
    return any(taint == wanted | {k: v for k, v in taint.items() if k == "timeAdded"} for taint in node.taints)


def status_patch(node_status: Manifest, view: VirtualNodeView, now: datetime) -> Manifest:
    """Return the merge patch for the node's status, empty where nothing is to do.

    Lists are patched whole: send the node's resourceVersion along, so that no other writer's change is lost.
    """
    patch: Manifest = {}
    capacity, allocatable = shown(view.summary, view.committed)
    for name, wanted in (("capacity", capacity), ("allocatable", allocatable)):
        if changed := _amounts_patch(node_status.get(name) or {}, wanted):
            patch[name] = changed
    conditions = _conditions(node_status.get("conditions") or [], view.health, now)
    for name, value in (("conditions", conditions), ("declaredFeatures", FEATURES), *_kubelet(view)):
        if node_status.get(name) != value:
            patch[name] = value
    if changed := _info_patch(node_status.get("nodeInfo") or {}, view):
        patch["nodeInfo"] = changed
    return patch


def _amounts_patch(current: Mapping[str, object], wanted: Amounts) -> Manifest:
    """Compare amounts, not words: `1Gi` and `1024Mi` are no change."""
    known = amounts(current)
    changed: Manifest = dict(quantities({key: value for key, value in wanted.items() if known.get(key) != value}))
    return changed | dict.fromkeys(key for key in known if key not in wanted)


def _kubelet(view: VirtualNodeView) -> list[tuple[str, Any]]:
    if view.kubelet is None:
        return []
    # InternalIP alone: the API server prefers host names, and nobody resolves a virtual node's.
    return [
        ("addresses", [{"type": "InternalIP", "address": view.kubelet.address}]),
        ("daemonEndpoints", {"kubeletEndpoint": {"Port": view.kubelet.port}}),
    ]


def _info_patch(current: Mapping[str, Any], view: VirtualNodeView) -> Manifest:
    labels = view.summary.labels if view.summary else {}
    told = view.summary.kubelet_version if view.summary else ""
    info = {
        "kubeletVersion": told or view.kubelet_version,
        "operatingSystem": labels.get("kubernetes.io/os", ""),
        "architecture": labels.get("kubernetes.io/arch", ""),
        "osImage": "Isthmus virtual node",
    }
    return {key: value for key, value in info.items() if (current.get(key) or "") != value}


def _conditions(current: list[Manifest], health: Health, now: datetime) -> list[Manifest]:
    """Return the node's conditions with ours up to date, in place, and others' untouched."""
    ours = {"Ready": _ready(health, now)}
    ours |= dict.fromkeys(_PRESSURES, ("False", "VirtualNode", "a virtual node has no such resource of its own"))
    result = []
    for condition in current:
        wanted = ours.pop(condition["type"], None)
        result.append(condition if wanted is None else _updated(condition, wanted, now))
    return result + [_updated({"type": kind}, wanted, now) for kind, wanted in ours.items()]


def _ready(health: Health, now: datetime) -> tuple[str, str, str]:
    if health.is_reachable:
        return "True", "TargetReachable", "the target's API server answers"
    since = f"unreachable since {health.since:%Y-%m-%dT%H:%M:%SZ}: {health.message}"
    if now - health.since < GRACE:
        return "Unchanged", "TargetUnreachable", since
    return "False", "TargetUnreachable", since


def _updated(condition: Manifest, wanted: tuple[str, str, str], now: datetime) -> Manifest:
    status, reason, message = wanted
    if status == "Unchanged":  # within the grace: keep what the node says; a node that never said anything is not ready
        if condition.get("status") in {"True", "False"}:
            return condition
        status = "False"
    if (condition.get("status"), condition.get("reason"), condition.get("message")) == (status, reason, message):
        return condition
    moment = format_time(now)[:19] + "Z"
    has_turned = condition.get("status") != status
    return condition | {
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": moment,
        "lastTransitionTime": moment if has_turned else condition.get("lastTransitionTime") or moment,
    }


def next_look(health: Health, now: datetime) -> float | None:
    """Return the seconds until a silent target's grace ends, or None."""
    rest = (health.since + GRACE - now).total_seconds()
    return rest if not health.is_reachable and rest > 0 else None
