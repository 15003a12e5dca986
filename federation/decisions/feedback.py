"""What of a delegate's status the proxy shows.

The delegate's status goes to the proxy as it is, but for what belongs to the source: its own conditions (ours, and any
that a controller in the source set), the QoS class (fixed at creation), generations and resource claims of the other
cluster, and containers that only the target injected.
"""

from collections.abc import Mapping
from typing import Any

from federation import names
from federation.decisions.patches import merge_patch

Manifest = dict[str, Any]

_OWN = ("qosClass", "observedGeneration", "nominatedNodeName", "resourceClaimStatuses", "resize", "conditions")
_CONTAINER_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_KUBELET_CONDITIONS = (
    "PodScheduled",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodReadyToStartContainers",
    "DisruptionTarget",
    "PodResizePending",
    "PodResizeInProgress",
)


def proxy_status(live: Mapping[str, Any], delegate: Mapping[str, Any], container_names: frozenset[str]) -> Manifest:
    """Return the status the proxy should have, from its live status and the delegate's."""
    status = {key: value for key, value in delegate.items() if key not in _OWN}
    for key in _CONTAINER_LISTS:
        if key in status:
            status[key] = [c for c in status[key] if c["name"] in container_names]
            if not status[key]:
                del status[key]
    for key in _OWN:
        if key in live and key != "conditions":
            status[key] = live[key]
    mirrored = [
        {key: value for key, value in condition.items() if key != "observedGeneration"}
        for condition in delegate.get("conditions") or []
        if condition["type"] in _KUBELET_CONDITIONS
    ]
    kinds = {condition["type"] for condition in mirrored}
    kept = [c for c in live.get("conditions") or [] if _belongs_to_source(c["type"]) and c["type"] not in kinds]
    if conditions := mirrored + kept:
        status["conditions"] = conditions
    return status


def _belongs_to_source(condition_type: str) -> bool:
    return condition_type not in _KUBELET_CONDITIONS or condition_type == "PodScheduled"


def status_patch(live: Mapping[str, Any], delegate: Mapping[str, Any], container_names: frozenset[str]) -> Manifest:
    """Return the merge patch of `status` that brings the proxy up to date; empty where it is (rule C3)."""
    return merge_patch(live, proxy_status(live, delegate, container_names))


def waiting_patch(live: Mapping[str, Any], message: str, now: str) -> Manifest:
    """Return the merge patch of `status` that says why a proxy waits, in a condition of ours."""
    others = [c for c in live.get("conditions") or [] if c["type"] != names.RESERVED_CONDITION]
    condition = {
        "type": names.RESERVED_CONDITION,
        "status": "False",
        "reason": "NoReservation",
        "message": message,
        "lastTransitionTime": now,
    }
    return {"conditions": [*others, condition]}


def ended_patch(live: Mapping[str, Any], reason: str, message: str, now: str, *, is_disruption: bool) -> Manifest:
    """Return the merge patch of `status` that gives a proxy its terminal phase (rule C1)."""
    patch: Manifest = {"phase": "Failed", "reason": reason, "message": message}
    conditions = [c for c in live.get("conditions") or [] if c["type"] not in ("Ready", "ContainersReady")]
    if is_disruption and not any(c["type"] == "DisruptionTarget" for c in conditions):
        conditions.append(
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": now,
            }
        )
    patch["conditions"] = conditions + [
        {"type": kind, "status": "False", "reason": "PodFailed", "lastTransitionTime": now}
        for kind in ("Ready", "ContainersReady")
    ]
    return patch
