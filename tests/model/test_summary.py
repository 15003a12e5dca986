"""What another cluster says of itself is kept as far as an API server here would take it, and within bounds."""

from typing import Any

from federation.model.quantity import AMOUNT_MAX
from federation.model.summary import Summary, parse_summary


def summary(*, labels: dict[str, Any] | None = None, **fields: Any) -> Summary:
    read = parse_summary({"metadata": {"name": "singleton", "labels": labels or {}}, **fields})
    assert read is not None
    return read


def test_labels_that_no_node_can_carry_are_left_out() -> None:
    read = summary(
        labels={
            "arch": "arm64",
            "example.com/gpu": "",
            "../x": "a",
            "a/b/c": "a",
            "a" * 64: "a",
            "b": "b" * 64,
            "c": "ends-with-",
            "d": "two words",
            "UPPER.example/x": "a",
        }
    )
    assert read.labels == {"arch": "arm64", "example.com/gpu": ""}


def test_labels_resources_and_words_have_bounds() -> None:
    many = {f"example.com/r{number}": "1" for number in range(10_000)}
    read = summary(labels=many, capacity=many, clusterID="i" * 1000, clusterName="n" * 1000, kubeletVersion="1" * 9999)
    assert (len(read.labels), len(read.capacity)) == (256, 128)
    assert (len(read.cluster_id), len(read.cluster_name), len(read.kubelet_version)) == (63, 63, 128)


def test_amounts_that_cannot_be_are_left_out_or_cut() -> None:
    said: dict[str, Any] = {"cpu": "1E999", "memory": "²", "pods": "-5", "a": [], "b": "1" * 5000, "c d": "1", "e": 7}
    assert summary(allocatable=said).allocatable == {"cpu": AMOUNT_MAX, "pods": 0, "e": 7}


def test_fields_of_another_shape_are_as_good_as_absent() -> None:
    assert summary(clusterID=7, clusterName=None, kubeletVersion=["v1"], capacity="all", allocatable=[1]) == Summary()
