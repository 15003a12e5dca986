"""A PodChaperon is what its source, its target and others wrote: bad parts are as good as absent, and never hide it."""

from typing import Any

import pytest

from federation import names
from federation.model.chaperon import parse_chaperon, parse_whole_chaperon
from federation.model.reading import Unreadable

METADATA = {"name": "job-1", "namespace": "ci", "uid": "u", "resourceVersion": "3"}


def manifest(*, status: object = None, spec: object = None, **metadata: Any) -> dict[str, Any]:
    """A chaperon with these parts."""
    found: dict[str, Any] = {"metadata": METADATA | metadata, "spec": spec}
    return found | ({} if status is None else {"status": status})


@pytest.mark.parametrize("count", ["²", "٣", "1" * 5000, "-1", "", "x"])
def test_a_number_that_is_none_ends_nothing(count: str) -> None:
    allowed = {names.IS_ALLOWED: "true", names.REMADE: f"{count} 2026-11-28T12:00:00Z"}
    read = parse_chaperon(manifest(annotations=allowed))
    assert (read.remade_count, read.is_allowed) == (0, True)


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "²", "x" * 10_000])
def test_a_time_that_is_none_ends_nothing(moment: str) -> None:
    marks = {names.REMADE: f"3 {moment}", names.POD_MISSING_SINCE: moment}
    read = parse_chaperon(manifest(annotations=marks))
    assert (read.remade_count, read.remade_at, read.pod_missing_since) == (3, None, None)


@pytest.mark.parametrize(
    "status",
    [
        "x",
        ["x"],
        7,
        {"conditions": {"type": "PodScheduled"}},
        {"conditions": ["PodScheduled", None, 7]},
        {"conditions": [{"type": "PodScheduled"}, {"status": "False"}]},
        {"containerStatuses": [{"name": "c", "state": ["running"]}]},
        {"containerStatuses": [{"state": {"running": True}}, "running"]},
        {"phase": ["Failed"]},
    ],
)
def test_a_status_that_does_not_fit_says_nothing(status: object) -> None:
    read = parse_whole_chaperon(manifest(status=status, annotations={names.IS_ALLOWED: ""}, spec={"containers": []}))
    assert (read.is_allowed, read.has_started, read.has_ended, read.refusal) == (True, False, False, "")


def test_what_fits_of_a_status_is_kept_and_messages_are_cut() -> None:
    refused = {"type": "PodScheduled", "status": "False", "message": "m" * 10_000}
    read = parse_chaperon(manifest(status={"phase": "Pending", "conditions": [7, refused], "podIPs": "all"}))
    assert read.refusal == "m" * 4096
    assert read.status == {"phase": "Pending", "conditions": [refused | {"message": "m" * 4096}]}


@pytest.mark.parametrize("spec", [None, "x", [], {"restartPolicy": 7}, {"restartPolicy": None}])
def test_a_spec_that_does_not_fit_says_nothing(spec: object) -> None:
    assert parse_chaperon(manifest(spec=spec)).restart_policy == "Always"


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"name": None}, r"metadata\.name is missing"),
        ({"uid": 7}, r"metadata\.uid must be a string"),
        ({"resourceVersion": None}, r"metadata\.resourceVersion is missing"),
        ({"annotations": [names.IS_ALLOWED]}, r"metadata\.annotations must be an object"),
        ({"annotations": {names.REMADE: 3}}, r"metadata\.annotations\[isthmus\.dev/remade\] must be a string"),
        ({"labels": {"a": {}}}, r"metadata\.labels\[a\] must be a string"),
    ],
)
def test_one_that_says_not_who_it_is_is_refused_by_name(metadata: dict[str, Any], field: str) -> None:
    with pytest.raises(Unreadable, match=rf"^PodChaperon ci.*: {field}"):
        parse_chaperon(manifest(**metadata))
