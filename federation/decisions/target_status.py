"""What a Target's status says: whether pods can be sent there, and if not, why and what to do."""

from dataclasses import dataclass
from typing import Any

from federation.decisions.addresses import Network
from federation.decisions.patches import merge_patch
from federation.decisions.trust import INTACT, LOSS_ACCEPTED, Doubt, is_accepted
from federation.model.target import Target

Manifest = dict[str, Any]

ENDPOINTS = "EndpointsAllowed"
_NETWORKS_TOLD = 8


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known of a target.

    `problem` is why it has no connection, `trouble` why the connection is of no use, `doubt` why what it says is not
    believed (rule S4), `remains` what is still there of a Target that is being deleted. `is_kind_missing`: the target
    answers, but knows no PodChaperons. `networks` are those in which addresses of it are believed, None for all (T4).
    """

    problem: str
    trouble: str
    message: str
    cluster_id: str
    doubt: Doubt | None = None
    remains: str = ""
    is_kind_missing: bool = False
    networks: tuple[Network, ...] | None = None


def replaces_cluster(target: Target, facts: TargetFacts) -> bool:
    """Whether the cluster that answers takes the place of the one on record: a person has accepted its loss."""
    return bool(target.cluster_id and facts.cluster_id not in ("", target.cluster_id)) and is_accepted(target)


def status_patch(target: Target, facts: TargetFacts, now: str) -> Manifest:
    """Return the merge patch of a Target's status; empty where it says so already."""
    reason, message = _reason(target, facts)
    is_ready = reason == "Connected"
    conditions = [_condition(target, "Ready", is_ready, reason, message, now), _intact(target, facts, now)]
    conditions.append(_endpoints(target, facts, now))
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


def _endpoints(target: Target, facts: TargetFacts, now: str) -> Manifest:
    """Say whether Services at home get endpoints in this target, and where not, what to set (rule T4)."""
    if facts.networks is None:
        return _condition(target, ENDPOINTS, True, "Self", "it is this cluster", now)
    if facts.networks:
        listed = ", ".join(str(network) for network in facts.networks[:_NETWORKS_TOLD])
        return _condition(target, ENDPOINTS, True, "CIDRs", f"addresses in {listed} are believed", now)
    key = f"{target.namespace}/{target.name}" if target.namespace else target.name
    message = (
        "Services at home get no endpoints in this target, because addresses that it tells are not believed: to allow "
        f'those of some networks, set ISTHMUS_AGENT_ENDPOINT_CIDRS, as in {{"{key}": ["10.0.0.0/8"]}}'
    )
    return _condition(target, ENDPOINTS, False, "NoCIDRs", message, now)


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
