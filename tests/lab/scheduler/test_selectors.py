"""Selectors, node selector terms and tolerations."""

from typing import Any

import pytest

from lab.scheduler.selectors import matches_expression, matches_labels, matches_node, named_nodes, tolerates

LABELS = {"zone": "a", "cores": "8", "empty": ""}


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("In", "zone", ["a", "b"], True),
        ("In", "zone", ["b"], False),
        ("In", "absent", ["a"], False),
        ("NotIn", "zone", ["b"], True),
        ("NotIn", "zone", ["a"], False),
        ("NotIn", "absent", ["a"], True),
        ("Exists", "empty", [], True),
        ("Exists", "absent", [], False),
        ("DoesNotExist", "absent", [], True),
        ("DoesNotExist", "zone", [], False),
        ("Gt", "cores", ["4"], True),
        ("Gt", "cores", ["8"], False),
        ("Lt", "cores", ["9"], True),
        ("Lt", "zone", ["9"], False),
        ("Gt", "absent", ["1"], False),
        ("Gt", "cores", ["four"], False),
        ("Unknown", "zone", ["a"], False),
    ],
)
def test_expressions(operator: str, key: str, values: list[str], expected: bool) -> None:
    assert matches_expression({"operator": operator, "key": key, "values": values}, LABELS) is expected


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not matches_labels(None, LABELS)
    assert matches_labels({}, LABELS)
    assert matches_labels({"matchLabels": {"zone": "a"}}, LABELS)
    assert not matches_labels({"matchLabels": {"zone": "b"}}, LABELS)


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    }


def named(*names: str) -> dict[str, Any]:
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": list(names)}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "a", "disk": "ssd"}}, False),
        (required({}), False),
        (required(named("n1")), True),
        (required(named("n2")), False),
        (required(named("n2"), {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), True),
        (required(named("n1") | {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}), False),
        ({"nodeSelector": {"disk": "ssd"}, **required(named("n1"))}, False),
    ],
)
def test_nodes(spec: dict[str, Any], expected: bool) -> None:
    assert matches_node(spec, "n1", LABELS) is expected


def test_the_names_that_affinity_allows() -> None:
    assert named_nodes({}) is None
    assert named_nodes(required(named("n1"), named("n2"))) == {"n1", "n2"}
    assert named_nodes(required(named("n1"), {"matchExpressions": []})) is None


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Equal", "value": "v"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], expected: bool) -> None:
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is expected
