"""Does it match? Label selectors, node selector terms, taints and tolerations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]
Selector = Mapping[str, Any]


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _compares(operator: str, value: int | None, bound: int | None) -> bool:
    if value is None or bound is None:
        return False
    return value > bound if operator == "Gt" else value < bound


def matches_expression(expression: Mapping[str, Any], values: Labels) -> bool:
    """Whether one matchExpressions entry holds; Gt and Lt exist for nodes only. An unknown operator matches nothing."""
    key, wanted = expression["key"], expression.get("values") or []
    value = values.get(key)
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return key in values
        case "DoesNotExist":
            return key not in values
        case "Gt" | "Lt" as operator:
            return _compares(operator, _integer(value), _integer(wanted[0] if len(wanted) == 1 else None))
    return False


def matches_labels(selector: Selector | None, labels: Labels) -> bool:
    """Whether a LabelSelector selects these labels: none selects nothing, an empty one everything."""
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        matches_expression(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def matches_term(term: Selector, name: str, labels: Labels) -> bool:
    """Whether a node selector term matches a node; an empty term matches none."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(matches_expression(expression, labels) for expression in expressions) and all(
        matches_expression(field, {"metadata.name": name}) for field in fields
    )


def required_terms(spec: Mapping[str, Any]) -> Sequence[Selector] | None:
    """Return the required node affinity terms, or None where the pod states none."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or []


def matches_node(spec: Mapping[str, Any], name: str, labels: Labels) -> bool:
    """Whether a pod's nodeSelector and required node affinity allow a node."""
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    terms = required_terms(spec)
    return terms is None or any(matches_term(term, name, labels) for term in terms)


def named_nodes(spec: Mapping[str, Any]) -> set[str] | None:
    """Return the only node names that required affinity can match, where every term names one; else None."""
    names: set[str] = set()
    terms = required_terms(spec)
    for term in terms or []:
        sets = [set(field["values"]) for field in term.get("matchFields") or [] if field["operator"] == "In"]
        if not sets:
            return None
        names |= set.intersection(*sets)
    return names if terms else None


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
    return False


def untolerated(
    taints: Iterable[Mapping[str, Any]], tolerations: Sequence[Mapping[str, Any]], effects: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Return the taints with one of these effects that no toleration covers."""
    wanted = set(effects)
    return [
        taint
        for taint in taints
        if taint["effect"] in wanted and not any(tolerates(toleration, taint) for toleration in tolerations)
    ]
