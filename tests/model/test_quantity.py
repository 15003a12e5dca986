"""Quantities as Kubernetes writes them, and what a pod asks of a node."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.model.quantity import AMOUNT_MAX, amount, amounts, largest, pod_requests, quantities, quantity, total
from federation.model.reading import Unreadable


@pytest.mark.parametrize(
    ("resource", "text", "expected"),
    [
        ("cpu", "1", 1000),
        ("cpu", "1500m", 1500),
        ("cpu", "0.1", 100),
        ("cpu", 2, 2000),
        ("cpu", "1e1", 10_000),
        ("memory", "128974848", 128974848),
        ("memory", "129e6", 129_000_000),
        ("memory", "129M", 129_000_000),
        ("memory", "123Mi", 123 * 1024**2),
        ("memory", "1.5Gi", 3 * 1024**3 // 2),
        ("memory", "128974848000m", 128974848),
        ("memory", "1Ei", 1024**6),
        ("memory", "1E", 10**18),
        ("nvidia.com/gpu", "3", 3),
    ],
)
def test_quantities_are_read(resource: str, text: object, expected: int) -> None:
    assert amount(resource, text) == expected


@pytest.mark.parametrize("text", ["", "abc", "1 Gi", "1gi", "--1", "1e9999", "0x10", "1Gim"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        amount("memory", text)


def test_rounding_is_to_the_safe_side() -> None:
    assert amount("cpu", "1.5m") == 1
    assert amount("cpu", "1.5m", is_rounded_up=True) == 2
    assert amount("memory", "1m") == 0
    assert amount("memory", "1m", is_rounded_up=True) == 1


@given(st.sampled_from(["cpu", "memory", "pods", "hugepages-2Mi"]), st.integers(0, 2**62))
def test_what_is_written_reads_the_same(resource: str, value: int) -> None:
    assert amount(resource, quantity(resource, value)) == value


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", "pods"]), st.integers(0, 10**12))


@given(AMOUNTS, AMOUNTS)
def test_the_larger_covers_both_and_the_sum_covers_it(one: dict[str, int], other: dict[str, int]) -> None:
    larger, summed = largest(one, other), total((one, other))
    for name in {*one, *other}:
        assert larger[name] >= max(one.get(name, 0), other.get(name, 0))
        assert summed[name] == one.get(name, 0) + other.get(name, 0)
    assert amounts(quantities(summed)) == summed


def container(cpu: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("1"), container("500m"), {"name": "none"}]}, 1500),
        ({"containers": [container("1")], "initContainers": [container("3"), container("2")]}, 3000),
        ({"containers": [container("1")], "initContainers": [container("1", restartPolicy="Always")]}, 2000),
        (
            {
                "containers": [container("1")],
                "initContainers": [container("1", restartPolicy="Always"), container("2"), container("500m")],
            },
            3000,
        ),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}, 4000),
    ],
)
def test_a_pod_asks_for_what_the_scheduler_counts(spec: dict[str, Any], cpu: int) -> None:
    assert pod_requests(spec) == {"cpu": cpu, "pods": 1}


@pytest.mark.parametrize("value", ["²", "٣", "1" * 5000, "1e+" + "9" * 100, None, True, [], {}, "1e9999", float("inf")])
def test_what_is_no_quantity_is_refused_whatever_it_is(value: object) -> None:
    with pytest.raises(Unreadable):
        amount("memory", value)
    with pytest.raises(Unreadable):
        amount("m" * 1000, "1")


def test_amounts_end_where_they_can_still_be_written() -> None:
    assert amount("memory", "1E999") == amount("memory", "9" * 60) == AMOUNT_MAX
    assert amount("memory", "-1E999") == -AMOUNT_MAX
    assert amount("memory", "1e-999", is_rounded_up=True) == 1
    assert total([{"cpu": AMOUNT_MAX}, {"cpu": AMOUNT_MAX}]) == {"cpu": AMOUNT_MAX}
    assert amount("cpu", quantity("cpu", AMOUNT_MAX)) == AMOUNT_MAX
