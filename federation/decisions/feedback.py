"""What of a delegate's status the proxy shows.

The delegate's status goes to the proxy as it is, but for what belongs to the source: its own conditions (ours,
PodScheduled, and any that a controller in the source set), the QoS class (fixed at creation), generations and resource
claims of the other cluster, and containers that only the target injected. A disruption is never taken back: the
proxy's, too, may have been announced in the source.
"""

from collections.abc import Mapping
from typing import Any

from federation import names
from federation.decisions.patches import merge_patch
from federation.model.pod import has_started

Manifest = dict[str, Any]

_OWN = ("qosClass", "observedGeneration", "nominatedNodeName", "resourceClaimStatuses", "resize", "conditions")
_CONTAINER_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_KUBELET_CONDITIONS = (
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
            status[key] = [c for c in status[key] if c.get("name") in container_names]
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
    kept = [
        _told(condition, delegate)
        for condition in live.get("conditions") or []
        if _belongs_to_source(condition["type"]) and condition["type"] not in kinds
    ]
    if conditions := mirrored + kept:
        status["conditions"] = conditions
    return status


def _belongs_to_source(condition_type: str) -> bool:
    return condition_type not in _KUBELET_CONDITIONS or condition_type == "DisruptionTarget"


def _told(condition: Manifest, delegate: Mapping[str, Any]) -> Manifest:
    """Return a condition of the source's; ours, why the proxy waits, is done with once the delegate runs."""
    if condition["type"] != names.RESERVED_CONDITION or condition["status"] == "True" or not has_started(delegate):
        return condition
    scheduled: Manifest = next((c for c in delegate.get("conditions") or [] if c["type"] == "PodScheduled"), {})
    moment = scheduled.get("lastTransitionTime") or condition.get("lastTransitionTime")
    return condition | {"status": "True", "reason": "Started", "message": "", "lastTransitionTime": moment}


def status_patch(live: Mapping[str, Any], delegate: Mapping[str, Any], container_names: frozenset[str]) -> Manifest:
    """Return the merge patch of `status` that brings the proxy up to date; empty where it is (rule C3)."""
    return merge_patch(live, proxy_status(live, delegate, container_names))


def disruption(status: Mapping[str, Any]) -> Manifest:
    """Return the condition by which a status says that the pod is, or was, disrupted; {} where it says nothing."""
    conditions = status.get("conditions") or []
    return next((c for c in conditions if c["type"] == "DisruptionTarget" and c["status"] == "True"), {})


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


def disrupted_patch(live: Mapping[str, Any], reason: str, message: str, now: str) -> Manifest:
    """Return the merge patch of `status` that says that, and why, a proxy is about to end."""
    others = [c for c in live.get("conditions") or [] if c["type"] != "DisruptionTarget"]
    return {"conditions": [*others, _disruption(reason, message, now)]}


def _disruption(reason: str, message: str, now: str) -> Manifest:
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    }


def ended_patch(live: Mapping[str, Any], reason: str, message: str, now: str, *, is_disruption: bool) -> Manifest:
    """Return the merge patch of `status` that gives a proxy its terminal phase (rule C1)."""
    patch: Manifest = {"phase": "Failed", "reason": reason, "message": message}
    conditions = [c for c in live.get("conditions") or [] if c["type"] not in ("Ready", "ContainersReady")]
    if is_disruption and not any(c["type"] == "DisruptionTarget" for c in conditions):
        conditions.append(_disruption(reason, message, now))
    patch["conditions"] = conditions + [
        {"type": kind, "status": "False", "reason": "PodFailed", "lastTransitionTime": now}
        for kind in ("Ready", "ContainersReady")
    ]
    return patch
