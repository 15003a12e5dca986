"""Reads `rules`, `workflow:rules`, `needs`, `only` and `except`; `rules` decides with them."""

from __future__ import annotations

from lab.gitlab.ci.spec import Need, RefPolicy, Rule
from lab.gitlab.ci.values import one_of, strings
from lab.gitlab.ci.variables import parse_variables
from lab.gitlab.errors import CiConfigError

RULE_WHENS = ("on_success", "on_failure", "always", "manual", "never")
_RULE_KEYS = {"if", "changes", "when", "allow_failure", "variables", "needs"}


def parse_rules(where: str, value: object) -> tuple[Rule, ...]:
    """The rules in order; lists in the list (from `!reference`) are flattened."""
    if not isinstance(value, list):
        raise CiConfigError(f"{where} config should be an array of hashes")
    rules: list[Rule] = []
    for index, item in enumerate(value):
        if isinstance(item, list):
            rules.extend(parse_rules(where, item))
        else:
            rules.append(_rule(f"{where}:rule[{index}]", item))
    return tuple(rules)


def _rule(where: str, item: object) -> Rule:
    if not isinstance(item, dict):
        raise CiConfigError(f"{where} config should be a hash")
    unknown = sorted(str(key) for key in item if key not in _RULE_KEYS)
    if unknown:
        known = ", ".join(sorted(_RULE_KEYS))
        raise CiConfigError(f"{where} config contains unknown keys: {', '.join(unknown)} (the lab knows {known})")
    allow_failure = item.get("allow_failure")
    if allow_failure is not None and not isinstance(allow_failure, bool):
        raise CiConfigError(f"{where}:allow_failure config should be a boolean")
    if not isinstance(item.get("if", ""), str):
        raise CiConfigError(f"{where}:if config should be a string")
    return Rule(
        expression=item.get("if", ""),
        changes=_changes(f"{where}:changes", item["changes"]) if "changes" in item else None,
        when=one_of(f"{where}:when", item["when"], RULE_WHENS) if "when" in item else "",
        allow_failure=allow_failure,
        variables=parse_variables(f"{where}:variables", item.get("variables")),
        needs=parse_needs(f"{where}:needs", item["needs"]) if "needs" in item else None,
    )


def _changes(where: str, value: object) -> tuple[str, ...]:
    if isinstance(value, dict):
        if set(value) != {"paths"}:
            raise CiConfigError(f"{where} config may only hold paths in the lab's GitLab (no compare_to)")
        value = value["paths"]
    return strings(where, value)


def parse_needs(where: str, value: object) -> tuple[Need, ...]:
    """Jobs by name, or hashes of job, artifacts, optional."""
    items = value if isinstance(value, list) else [value]
    needs: list[Need] = []
    for item in items:
        if isinstance(item, list):
            needs.extend(parse_needs(where, item))
        else:
            needs.append(_need(where, item))
    return tuple(needs)


def _need(where: str, item: object) -> Need:
    if isinstance(item, str):
        return Need(item)
    if not isinstance(item, dict) or not isinstance(item.get("job"), str):
        raise CiConfigError(f"{where}:need config should be a job name or a hash with a job")
    unknown = sorted(str(key) for key in item if key not in {"job", "artifacts", "optional"})
    if unknown:
        raise CiConfigError(f"{where}:need config contains unknown keys: {', '.join(unknown)}")
    return Need(item["job"], artifacts=item.get("artifacts") is not False, optional=item.get("optional") is True)


def parse_ref_policy(where: str, value: object) -> RefPolicy:
    """`only:`/`except:` as a list of refs, or a hash of refs and variables."""
    if not isinstance(value, dict):
        return RefPolicy(refs=strings(where, value))
    unknown = sorted(str(key) for key in value if key not in {"refs", "variables"})
    if unknown:
        raise CiConfigError(
            f"{where} config contains {', '.join(unknown)}: the lab's GitLab knows refs and variables; use rules"
        )
    return RefPolicy(
        strings(f"{where}:refs", value.get("refs", [])), strings(f"{where}:variables", value.get("variables", []))
    )
