"""Counting and showing figures."""

import json
from pathlib import Path

import pytest

from benchmarks.api_writes import WRITES, count, events, per_pod, without_events
from benchmarks.rows import Row, percentile, shown, write_json

METRICS = """# TYPE apiserver_request_total counter
apiserver_request_total{code="201",resource="pods",subresource="",verb="POST",version="v1"} 12
apiserver_request_total{code="201",resource="pods",subresource="binding",verb="POST",version="v1"} 10
apiserver_request_total{code="409",resource="pods",subresource="binding",verb="POST",version="v1"} 1
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT",version="v1"} 99
apiserver_request_total{code="200",resource="pods",subresource="",verb="LIST",version="v1"} 7
apiserver_request_total{code="201",resource="events",subresource="",verb="POST",version="v1"} 2e+01
apiserver_request_total{code="201",resource="tokenreviews",subresource="",verb="POST",version="v1"} 5
other_total{verb="POST"} 3
"""


def test_writes_are_counted_by_kind_and_heartbeats_are_not() -> None:
    counts = count(METRICS, WRITES)
    assert counts == {"POST pods": 12, "POST pods/binding": 10, "POST pods/binding 409": 1, "POST events": 20}
    figures = per_pod(counts, {"POST pods": 2}, 10)
    assert figures == {"POST events": 2.0, "POST pods": 1.0, "POST pods/binding": 1.0, "POST pods/binding 409": 0.1}
    assert without_events(figures) == pytest.approx(2.1)
    assert events(figures) == 2.0


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([3.0], 0.99)) == (51.0, 99.0, 3.0)


def test_figures_have_three_digits() -> None:
    assert [shown(value) for value in (None, 3, 0.12345, 12.345, 1234.5)] == ["-", "3", "0.123", "12.3", "1234"]


def test_rows_have_the_same_fields_in_every_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    write_json(path, "example", [Row("one", 1, 10, pods_per_second=2.0, details={"more": 1})], {"engine": "none"})
    content = json.loads(path.read_text())
    assert content["benchmark"] == "example"
    assert content["rows"] == [
        {
            "name": "one",
            "targets": 1,
            "pods": 10,
            "pods_per_second": 2.0,
            "ratio_to_plain": None,
            "writes_per_pod": None,
            "p50_seconds": None,
            "p99_seconds": None,
            "more": 1,
        }
    ]
