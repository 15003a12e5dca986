"""What a Source says of itself: whether its rights are in place, where its credential is, and if not, what to do."""

from dataclasses import dataclass
from typing import Any

from federation.decisions.credential import KEY, Issued
from federation.decisions.patches import merge_patch
from federation.model.source import Reference, Source
from federation.model.times import format_time

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """How one of a Source's two matters stands: `reason` is a word, `message` a sentence for people."""

    is_good: bool
    reason: str
    message: str


BOUND = Finding(True, "Bound", "its roles are bound")
BY_USER = Finding(False, "NoServiceAccount", "a user's credential is issued where this cluster's users get theirs")
TURNED_OFF = Finding(False, "TurnedOff", "this agent issues none (ISTHMUS_AGENT_ISSUE_CREDENTIALS)")
FOREIGN_ACCOUNT = Finding(
    False,
    "ForeignServiceAccount",
    "the service account was not made for this Source and may have other rights; hand out a token of it yourself: "
    "isthmus source kubeconfig --duration",
)
NO_ADDRESS = Finding(
    False,
    "NoAddress",
    "how other clusters reach this one's API server is not known: set ISTHMUS_AGENT_API_SERVER_URL",
)
ISSUED = Finding(True, "Issued", "isthmus source kubeconfig prints it; it is renewed here and by its user")
NOT_YET = Finding(False, "RightsMissing", "not before its roles are bound")


def bound_in(count: int, wanted: int, agent_namespace: str) -> Finding:
    """A ClusterSource is bound in so many of the namespaces that it covers."""
    but = f"in none that begins with kube-, nor in {agent_namespace}"
    if count < wanted:
        return Finding(False, "Binding", f"its roles are bound in {count} of {wanted} namespaces so far; {but}")
    return Finding(True, "Bound", f"its roles are bound in {count} namespaces; {but}")


def no_policies(complaints: tuple[str, ...]) -> Finding:
    """The policies without which nobody is let in (rule T3) are missing or not in force."""
    return Finding(
        False,
        "NoPolicies",
        f"{'; '.join(complaints)}: kubectl apply -f deploy/policies/. Until then nobody new is let in and no "
        "credential is issued; what was given before stays. Where the API server has no such policies and every source "
        "may do all that its role says: ISTHMUS_AGENT_ALLOW_SOURCES_WITHOUT_POLICIES",
    )


def taken(references: tuple[Reference, ...]) -> Finding:
    """Names that this Source needs belong to others."""
    listed = ", ".join(str(reference) for reference in references)
    return Finding(False, "NameTaken", f"not made for this Source, so left alone: {listed}; rename it or the Source")


def refused(message: str) -> Finding:
    """The API server does not let us."""
    return Finding(False, "Refused", message)


def status_patch(source: Source, rights: Finding, credential: Finding, issued: Issued | None, now: str) -> Manifest:
    """Return the merge patch of a Source's status; empty where it says so already. `now` is RFC 3339."""
    is_failed = not credential.is_good and credential not in (BY_USER, TURNED_OFF, FOREIGN_ACCOUNT)
    ready = credential if rights.is_good and is_failed else rights
    conditions = [_condition(source, "Ready", ready, now), _condition(source, "CredentialIssued", credential, now)]
    wanted: Manifest = {"observedGeneration": source.generation, "conditions": conditions}
    if source.account_name:
        wanted["serviceAccount"] = {"namespace": source.account_namespace, "name": source.account_name}
    if issued is not None:
        wanted["credential"] = {
            "secretNamespace": issued.secret.namespace,
            "secretName": issued.secret.name,
            "key": KEY,
            "issuedAt": format_time(issued.term.since)[:19] + "Z",
            "expiresAt": format_time(issued.term.until)[:19] + "Z",
            "server": issued.endpoint.url,
            "certificateAuthorityData": issued.endpoint.authority_data,
        }
    return merge_patch(source.status, wanted)


def _condition(source: Source, kind: str, finding: Finding, now: str) -> Manifest:
    before: Manifest = next((c for c in source.status.get("conditions") or [] if c["type"] == kind), {})
    status = "True" if finding.is_good else "False"
    return {
        "type": kind,
        "status": status,
        "reason": finding.reason,
        "message": finding.message,
        "observedGeneration": source.generation,
        "lastTransitionTime": (before.get("lastTransitionTime") if before.get("status") == status else "") or now,
    }


def turned_bad(source: Source, patch: Manifest) -> list[tuple[str, str]]:
    """Return (reason, message) of conditions that a patch makes bad, or bad for another reason: worth an Event."""
    before = {c["type"]: c for c in source.status.get("conditions") or []}
    news = {
        (condition["reason"], condition["message"])
        for condition in patch.get("conditions") or []
        if condition["status"] == "False"
        and condition["reason"] not in (BY_USER.reason, TURNED_OFF.reason, NOT_YET.reason)
        and (before.get(condition["type"]) or {}).get("reason") != condition["reason"]
    }
    return sorted(news)
