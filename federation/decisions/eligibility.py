"""Which virtual nodes a proxy may go to, but for room: selector, affinity, taints, cordon.

Only spares targets a question that their answer could not make use of; the source's own scheduler still decides.
Semantics: k8s.io/component-helpers/scheduling/corev1/nodeaffinity and tolerations, as documented for PodSpec.
"""

from collections.abc import Mapping
from typing import Any

from federation.model.scheduling import SchedulingNode, Taint

Manifest = Mapping[str, Any]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def obstacle(spec: Manifest, node: SchedulingNode) -> str:
    """Return why a pod with this spec cannot go to the node, or an empty string where it can."""
    if node.is_unschedulable and not _tolerates(spec, Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")):
        return "its virtual node is cordoned"
    if found := mismatch(spec, node):
        return found
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not _tolerates(spec, taint):
            return f"its virtual node has the taint {taint.key}={taint.value}:{taint.effect}"
    return ""


def mismatch(spec: Manifest, node: SchedulingNode) -> str:
    """Return why a spec's node selector and affinity rule the node out, or an empty string where they do not."""
    for key, value in (spec.get("nodeSelector") or {}).items():
        if node.labels.get(key) != value:
            return f"its virtual node has no label {key}={value}"
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is not None and not any(_fits(term, node) for term in required.get("nodeSelectorTerms") or []):
        return "its virtual node does not match the node affinity"
    return ""


def _fits(term: Manifest, node: SchedulingNode) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False  # an empty term matches nothing
    by_field = {"metadata.name": node.name}
    return all(_matches(e, node.labels) for e in expressions) and all(_matches(f, by_field) for f in fields)


def _matches(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value, wanted = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, value, wanted)
    return False


def _compares(operator: str, value: str | None, wanted: list[str]) -> bool:
    try:
        left, right = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right


def _tolerates(spec: Manifest, taint: Taint) -> bool:
    return any(_covers(toleration, taint) for toleration in spec.get("tolerations") or [])


def _covers(toleration: Manifest, taint: Taint) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    key = toleration.get("key")
    if key and key != taint.key:
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == taint.value
