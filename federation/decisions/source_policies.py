"""Whether the policies that bound what sources may do are in force (rule T3), by what the API server has of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from federation import names

Manifest = dict[str, Any]


def unguarded(policies: Mapping[str, Manifest | None], bindings: Mapping[str, Manifest | None]) -> tuple[str, ...]:
    """Return, in words, what is wrong with the policies and bindings found by name (None: there is none); empty: none.

    A policy counts only if it fails closed, and only with a binding that denies, and does so everywhere.
    """
    return tuple(
        complaint
        for name in names.SOURCE_POLICIES
        if (complaint := _of_policy(name, policies.get(name)) or _of_binding(name, bindings.get(name)))
    )


def _of_policy(name: str, policy: Manifest | None) -> str:
    if policy is None:
        return f"ValidatingAdmissionPolicy {name} is not there"
    if policy["spec"].get("failurePolicy", "Fail") != "Fail":
        return f"ValidatingAdmissionPolicy {name} has spec.failurePolicy {policy['spec']['failurePolicy']}, not Fail"
    return ""


def _of_binding(name: str, binding: Manifest | None) -> str:
    what = f"ValidatingAdmissionPolicyBinding {name}"
    if binding is None:
        return f"{what} is not there"
    spec = binding["spec"]
    if spec.get("policyName") != name:
        return f"{what} has spec.policyName {spec.get('policyName')}"
    if "Deny" not in (spec.get("validationActions") or []):
        return f"{what} has no Deny in spec.validationActions"
    if _limits(spec.get("matchResources") or {}):
        return f"{what} leaves some out by spec.matchResources"
    return ""


def _limits(match: Manifest) -> Sequence[str]:
    """Return the fields that narrow what a binding is for; the API server writes the empty ones in as defaults."""
    fields = ("namespaceSelector", "objectSelector", "resourceRules", "excludeResourceRules")
    return [field for field in fields if match.get(field)]
