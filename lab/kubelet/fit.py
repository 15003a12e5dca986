"""Whether a node takes a pod that was bound to it: kubelets check again, since a binding is only somebody's opinion.

Pure. Reasons and messages are upstream's: `OutOfcpu` and its like, `NodeAffinity`, `TaintToleration` (NoExecute only,
as upstream), `PodOSNotSupported`. A refused pod is Failed and has no container statuses, and whoever bound it can tell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from lab.kubelet.quantities import parse
from lab.kubelet.records import Kind, Manifest, containers

Amounts = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, in the words of a pod's status."""

    reason: str
    message: str


def refusal(pod: Manifest, node: Manifest, others: Iterable[Manifest]) -> Refusal | None:
    """Why `node`, which has `others` to run, does not take `pod`; None if it does."""
    return _wrong_system(pod, node) or _wrong_node(pod, node) or _tainted(pod, node) or _too_large(pod, node, others)


def requests(pod: Manifest) -> Amounts:
    """What the pod asks of a node at any one time, base units."""
    running: Amounts = {}
    peak: Amounts = {}
    for kind, container in containers(pod):
        asked = _amounts(container.get("resources", {}).get("requests", {}))
        if kind is Kind.INIT:
            peak = _largest(peak, _sum(running, asked))
        else:
            running = _sum(running, asked)
    total = _largest(peak, running)
    total |= _amounts(pod["spec"].get("resources", {}).get("requests", {}))
    return _sum(total, _amounts(pod["spec"].get("overhead", {})))


def is_active(pod: Manifest) -> bool:
    """Whether the pod still takes room on its node."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def selects(term: Manifest, labels: dict[str, str], name: str) -> bool:
    """Whether a nodeSelectorTerm selects the node with these labels and this name."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return all(_holds(expression, labels) for expression in expressions) and all(
        _holds(expression, {"metadata.name": name}) for expression in fields
    )


def _wrong_system(pod: Manifest, node: Manifest) -> Refusal | None:
    wanted = pod["spec"].get("os", {}).get("name")
    actual = node["status"]["nodeInfo"]["operatingSystem"]
    if wanted in (None, actual):
        return None
    return Refusal("PodOSNotSupported", "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS")


def _wrong_node(pod: Manifest, node: Manifest) -> Refusal | None:
    labels, name = node["metadata"].get("labels", {}), node["metadata"]["name"]
    selector = pod["spec"].get("nodeSelector") or {}
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = required["nodeSelectorTerms"] if required else None
    if selector.items() <= labels.items() and (terms is None or any(selects(term, labels, name) for term in terms)):
        return None
    message = "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    return Refusal("NodeAffinity", message)


def _tainted(pod: Manifest, node: Manifest) -> Refusal | None:
    tolerations = pod["spec"].get("tolerations") or []
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] == "NoExecute" and not any(_tolerates(toleration, taint) for toleration in tolerations):
            message = (
                "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
            )
            return Refusal("TaintToleration", message)
    return None


def _tolerates(toleration: Manifest, taint: Manifest) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


def _too_large(pod: Manifest, node: Manifest, others: Iterable[Manifest]) -> Refusal | None:
    allocatable = _amounts(node["status"]["allocatable"])
    used: Amounts = {}
    count = 0
    for other in others:
        used = _sum(used, requests(other))
        count += 1
    if count + 1 > allocatable["pods"]:
        return _out_of("pods", Decimal(1), Decimal(count), allocatable["pods"])
    for resource, asked in requests(pod).items():
        there = allocatable.get(resource, Decimal(0))
        taken = used.get(resource, Decimal(0))
        if asked > 0 and taken + asked > there:
            return _out_of(resource, asked, taken, there)
    return None


def _out_of(resource: str, asked: Decimal, used: Decimal, capacity: Decimal) -> Refusal:
    scale = 1000 if resource == "cpu" else 1  # upstream counts processors in thousandths
    figures = f"requested: {int(asked * scale)}, used: {int(used * scale)}, capacity: {int(capacity * scale)}"
    return Refusal(f"OutOf{resource}", f"Pod was rejected: Node didn't have enough resource: {resource}, {figures}")


def _holds(expression: Manifest, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    match operator:
        case "In" | "NotIn":
            return bool((value in values) == (operator == "In"))
        case "Exists" | "DoesNotExist":
            return bool((value is not None) == (operator == "Exists"))
        case "Gt":
            return _is_number(value) and int(str(value)) > int(values[0])
        case "Lt":
            return _is_number(value) and int(str(value)) < int(values[0])
    return False


def _is_number(value: str | None) -> bool:
    return value is not None and value.lstrip("-").isdigit()


def _amounts(quantities: Manifest) -> Amounts:
    return {resource: parse(quantity) for resource, quantity in quantities.items()}


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {key: one.get(key, Decimal(0)) + other.get(key, Decimal(0)) for key in one.keys() | other.keys()}


def _largest(one: Amounts, other: Amounts) -> Amounts:
    return {key: max(one.get(key, Decimal(0)), other.get(key, Decimal(0))) for key in one.keys() | other.keys()}
