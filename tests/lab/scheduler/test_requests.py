"""Quantities and what a pod asks for in all."""

from typing import Any

import pytest

from lab.scheduler.configuration import parse_duration
from lab.scheduler.quantities import millis, whole
from lab.scheduler.requests import requests_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("1e3", 1000),
        ("100m", 1),
        ("2E", 2 * 10**18),
    ],
)
def test_whole(text: str, expected: int) -> None:
    assert whole(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("1", 1000), ("250m", 250), ("0.1", 100), ("1n", 1), (2, 2000)])
def test_millis(text: str | int, expected: int) -> None:
    assert millis(text) == expected


@pytest.mark.parametrize("text", ["", "one", "1Xi", "m"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        whole(text)


@pytest.mark.parametrize(("text", "expected"), [("5s", 5.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), (7, 7.0)])
def test_durations(text: object, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["5", "s", "5 s", "1d", ""])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def container(cpu: str, **fields: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **fields}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [container("1"), container("500m")]}, 1500),
        ({"containers": [container("1")], "initContainers": [container("3")]}, 3000),
        ({"containers": [container("2")], "initContainers": [container("1"), container("1")]}, 2000),
        # A sidecar runs beside the containers, and beside the init containers after it.
        ({"containers": [container("1")], "initContainers": [container("1", restartPolicy="Always")]}, 2000),
        (
            {
                "containers": [container("1")],
                "initContainers": [container("1", restartPolicy="Always"), container("2")],
            },
            3000,
        ),
        (
            {
                "containers": [container("1")],
                "initContainers": [container("2"), container("1", restartPolicy="Always")],
            },
            2000,
        ),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "3"}}}, 3000),
    ],
)
def test_what_a_pod_asks_for(spec: dict[str, Any], expected: int) -> None:
    assert requests_of(spec)["cpu"] == expected
