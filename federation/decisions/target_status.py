"""What a Target's status says: whether pods can be sent there, and if not, why and what to do."""

from dataclasses import dataclass
from typing import Any

from federation.decisions.patches import merge_patch
from federation.model.target import Target

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known of a target: `problem` is why it has no connection, `trouble` why the connection is of no use."""

    problem: str
    trouble: str
    message: str
    cluster_id: str


def status_patch(target: Target, facts: TargetFacts, now: str) -> Manifest:
    """Return the merge patch of a Target's status; empty where it says so already."""
    reason, message = _reason(facts)
    before: Manifest = next((c for c in target.status.get("conditions") or [] if c["type"] == "Ready"), {})
    status = "False" if facts.problem or facts.trouble else "True"
    is_same = before.get("status") == status
    ready = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if is_same else now,
    }
    wanted = dict(target.status) | {"virtualNodeName": target.node_name, "conditions": [ready]}
    if target.generation:
        wanted["observedGeneration"] = target.generation
    if facts.cluster_id:
        wanted["clusterID"] = facts.cluster_id
    return merge_patch(target.status, wanted)


def _reason(facts: TargetFacts) -> tuple[str, str]:
    if facts.problem:
        return "BadKubeconfig", facts.problem
    if facts.trouble:
        return "Unreachable", f"{facts.trouble}: {facts.message}" if facts.message else facts.trouble
    return "Connected", "pods can be sent there"
