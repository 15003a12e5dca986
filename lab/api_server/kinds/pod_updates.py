"""What of a pod may change after it was made.

Almost nothing: images, a deadline, more tolerations; while scheduling gates hold it, also narrower placement. This is
what the federation protocol leans on (a gate can only be removed, a placement only be tightened), so it is checked
field by field as upstream does it.
"""

from typing import Any

import orjson

from lab.api_server.core.manifest import Manifest, at, clone
from lab.api_server.core.status import FieldError, forbidden_field, wrong

IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
TERMS_FIELD = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms"


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Check a write of the main resource."""
    spec, before = new["spec"], old["spec"]
    errors = _counted_containers(spec, before) + _deadline(spec, before) + _gates(spec, before)
    errors += _tolerations(spec, before)
    if len(spec.get("containers") or []) != len(before["containers"]) or spec == before:
        return errors
    munged = _with_mutable_fields_of(clone(spec), before)
    if before.get("schedulingGates"):
        errors += _node_selector(spec, before) + _node_affinity(spec, before)
        _allow_placement(munged, before)
    if munged != before:
        errors.append(forbidden_field("spec", f"{IMMUTABLE}\n{_difference(before, munged)}"))
    return errors


def _counted_containers(spec: Manifest, before: Manifest) -> list[FieldError]:
    return [
        forbidden_field(f"spec.{name}", "pod updates may not add or remove containers")
        for name in ("containers", "initContainers")
        if len(spec.get(name) or []) != len(before.get(name) or [])
    ]


def _deadline(spec: Manifest, before: Manifest) -> list[FieldError]:
    new, old, field = (
        spec.get("activeDeadlineSeconds"),
        before.get("activeDeadlineSeconds"),
        "spec.activeDeadlineSeconds",
    )
    if new is None and old is not None:
        return [wrong(field, None, "must not update from a positive integer to nil value")]
    if new is not None and old is not None and old < new:
        return [wrong(field, new, "must be less than or equal to previous value")]
    return []


def _gates(spec: Manifest, before: Manifest) -> list[FieldError]:
    known = {gate.get("name") for gate in before.get("schedulingGates") or []}
    return [
        forbidden_field(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(spec.get("schedulingGates") or [])
        if gate.get("name") not in known
    ]


def _tolerations(spec: Manifest, before: Manifest) -> list[FieldError]:
    """Every old toleration must still be there; a changed tolerationSeconds is all right."""
    now = [_without_seconds(one) for one in spec.get("tolerations") or []]
    if all(_without_seconds(one) in now for one in before.get("tolerations") or []):
        return []
    return [forbidden_field("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _without_seconds(toleration: Manifest) -> Manifest:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _with_mutable_fields_of(spec: Manifest, before: Manifest) -> Manifest:
    """Put back what may change, so that only forbidden changes remain."""
    for name in ("containers", "initContainers"):
        for container, was in zip(spec.get(name) or [], before.get(name) or [], strict=True):
            container["image"] = was["image"]
    for member in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _put_back(spec, before, member)
    if before.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        spec["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return spec


def _put_back(spec: Manifest, before: Manifest, member: str) -> None:
    if member in before:
        spec[member] = before[member]
    else:
        spec.pop(member, None)


def _allow_placement(spec: Manifest, before: Manifest) -> None:
    _put_back(spec, before, "nodeSelector")
    new_affinity, old_affinity = spec.get("affinity") or {}, before.get("affinity") or {}
    if (new_affinity.get("nodeAffinity") or {}) != (old_affinity.get("nodeAffinity") or {}):
        merged = {key: value for key, value in new_affinity.items() if key != "nodeAffinity"}
        if "nodeAffinity" in old_affinity:
            merged["nodeAffinity"] = old_affinity["nodeAffinity"]
        spec["affinity"] = merged
        if not merged and not old_affinity:
            _put_back(spec, before, "affinity")


def _node_selector(spec: Manifest, before: Manifest) -> list[FieldError]:
    new, old = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if all(new.get(key) == value for key, value in old.items()):
        return []
    detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    return [wrong("spec.nodeSelector", orjson.dumps(new).decode(), detail)]


def _node_affinity(spec: Manifest, before: Manifest) -> list[FieldError]:
    old = at(before, "affinity", "nodeAffinity", REQUIRED)
    new = at(spec, "affinity", "nodeAffinity", REQUIRED)
    if not (old or {}).get("nodeSelectorTerms"):
        return []
    old_terms, new_terms = old["nodeSelectorTerms"], (new or {}).get("nodeSelectorTerms") or []
    if len(old_terms) != len(new_terms):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [wrong(TERMS_FIELD, orjson.dumps(new_terms).decode(), detail)]
    return [
        wrong(f"{TERMS_FIELD}[{index}]", _go_term(term), "only additions are allowed (no mutations or deletions)")
        for index, (term, was) in enumerate(zip(new_terms, old_terms, strict=True))
        if not _is_tightened(term, was)
    ]


def _is_tightened(term: Manifest, was: Manifest) -> bool:
    """Return whether `term` begins with everything that `was` asks for; an empty term may not gain anything."""
    if not was.get("matchExpressions") and not was.get("matchFields"):
        return not term.get("matchExpressions") and not term.get("matchFields")
    return all(
        (term.get(member) or [])[: len(was.get(member) or [])] == (was.get(member) or [])
        for member in ("matchExpressions", "matchFields")
    )


def _go_term(term: Manifest) -> str:
    """Return a node selector term as Go prints its internal type."""
    shown: dict[str, Any] = {}
    for member, name in (("matchExpressions", "MatchExpressions"), ("matchFields", "MatchFields")):
        rules = term.get(member)
        shown[name] = rules and [
            {"Key": rule.get("key"), "Operator": rule.get("operator"), "Values": rule.get("values")} for rule in rules
        ]
    return orjson.dumps(shown).decode()


def _difference(before: Manifest, after: Manifest) -> str:
    """Name the members that differ; upstream prints a diff of its internal type here."""
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return "\n".join(f"- {key}: {before.get(key)!r}\n+ {key}: {after.get(key)!r}" for key in changed)
