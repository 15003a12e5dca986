"""What a Target's status says: whether pods can be sent there, and if not, why and what to do."""

from dataclasses import dataclass
from typing import Any

from federation.decisions.patches import merge_patch
from federation.decisions.trust import INTACT, LOSS_ACCEPTED, Doubt, is_accepted
from federation.model.target import Target

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known of a target.

    `problem` is why it has no connection, `trouble` why the connection is of no use, `doubt` why what it says is not
    believed (rule S4), `remains` what is still there of a Target that is being deleted. `is_kind_missing`: the target
    answers, but knows no PodChaperons.
    """

    problem: str
    trouble: str
    message: str
    cluster_id: str
    doubt: Doubt | None = None
    remains: str = ""
    is_kind_missing: bool = False


def replaces_cluster(target: Target, facts: TargetFacts) -> bool:
    """Whether the cluster that answers takes the place of the one on record: a person has accepted its loss."""
    return bool(target.cluster_id and facts.cluster_id not in ("", target.cluster_id)) and is_accepted(target)


def status_patch(target: Target, facts: TargetFacts, now: str) -> Manifest:
    """Return the merge patch of a Target's status; empty where it says so already."""
    reason, message = _reason(target, facts)
    is_ready = reason == "Connected"
    conditions = [_condition(target, "Ready", is_ready, reason, message, now), _intact(target, facts, now)]
    wanted = dict(target.status) | {"virtualNodeName": target.node_name, "conditions": conditions}
    if target.generation:
        wanted["observedGeneration"] = target.generation
    if facts.cluster_id and (not target.cluster_id or replaces_cluster(target, facts)):
        wanted["clusterID"] = facts.cluster_id
    return merge_patch(target.status, wanted)


def _intact(target: Target, facts: TargetFacts, now: str) -> Manifest:
    before = target.condition(INTACT)
    if facts.doubt is None and not facts.trouble and not facts.problem:
        return _condition(target, INTACT, True, "AsOnRecord", "nothing that ran there has vanished", now)
    if facts.doubt is None:  # nothing is known while it is away: what was said last stands
        return before or _condition(target, INTACT, True, "AsOnRecord", "nothing is known to have vanished", now)
    if is_accepted(target):
        return _condition(target, INTACT, False, LOSS_ACCEPTED, facts.doubt.message, now)
    return _condition(target, INTACT, False, facts.doubt.reason, facts.doubt.message, now)


def _condition(target: Target, kind: str, is_true: bool, reason: str, message: str, now: str) -> Manifest:
    before = target.condition(kind)
    status = "True" if is_true else "False"
    is_same = before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": (before.get("lastTransitionTime") if is_same else "") or now,
    }


def _reason(target: Target, facts: TargetFacts) -> tuple[str, str]:
    if facts.remains:
        return "Deleting", facts.remains
    if facts.problem:
        return "BadKubeconfig", facts.problem
    if facts.doubt is not None and not is_accepted(target):
        return facts.doubt.reason, facts.doubt.message
    if facts.trouble:
        reason = "KindMissing" if facts.is_kind_missing else "Unreachable"
        return reason, f"{facts.trouble}: {facts.message}" if facts.message else facts.trouble
    return "Connected", "pods can be sent there"
