"""What a chaperon does for its pod."""

from typing import Any

import pytest

from federation import names
from federation.decisions.mirroring import MakePod, MarkMissing, RemovePod, ShowStatus, decide
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from tests.decisions.pods import NOW

RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}
REJECTED = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected"}
PENDING = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}


def chaperon(status: dict[str, Any] | None = None, restart: str = "Always", **annotations: str) -> Chaperon:
    keys = {
        "remade": names.REMADE,
        "missing": names.POD_MISSING_SINCE,
        "waits": names.WAITS_TO_BE_ALLOWED,
        "allowed": names.IS_ALLOWED,
        "deleting": "",
    }
    metadata = {
        "name": "job-x",
        "namespace": "ci",
        "uid": "c",
        "resourceVersion": "1",
        "annotations": {keys[key]: value for key, value in annotations.items() if keys[key]},
    }
    if "deleting" in annotations:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    return parse_whole_chaperon({"metadata": metadata, "spec": {"restartPolicy": restart}, "status": status or {}})


def pod(status: dict[str, Any], owner: str = "c", terminating: bool = False) -> TargetPod:
    metadata: dict[str, Any] = {
        "name": "job-x",
        "namespace": "ci",
        "uid": "p",
        "resourceVersion": "1",
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.CHAPERON_KIND,
                "uid": owner,
                "name": "x",
                "controller": True,
            }
        ],
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    parsed = parse_target_pod({"metadata": metadata, "spec": {"nodeName": "n"}, "status": status})
    assert parsed is not None
    return parsed


def test_a_new_chaperon_gets_its_pod() -> None:
    assert decide(chaperon(), None, None, NOW).actions == (MakePod(),)


def test_S2_without_reservation_the_pod_waits_until_it_is_allowed() -> None:
    assert decide(chaperon(waits="true"), None, None, NOW).actions == ()
    assert decide(chaperon(waits="true", allowed="true"), None, None, NOW).actions == (MakePod(),)


def test_C1_nulls_that_an_api_server_drops_are_no_difference() -> None:
    """A real one has `lastProbeTime: null` in a pod's conditions, and none of it on the chaperon after our patch."""
    ready = {"type": "Ready", "status": "True"}
    as_shown = chaperon(RUNNING | {"conditions": [ready]}, restart="Never")
    running = pod(RUNNING | {"conditions": [ready | {"lastProbeTime": None}]})
    assert decide(as_shown, running, None, NOW).actions == ()
    (action,) = decide(as_shown, None, running, NOW).actions
    assert isinstance(action, MarkMissing), "or it would repeat its last words for ever"


def test_S1_a_rejected_pod_is_removed_and_not_shown() -> None:
    rejected = pod(REJECTED)
    assert decide(chaperon(PENDING), rejected, None, NOW).actions == (RemovePod(rejected, "OutOfcpu"),)


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed", "containerStatuses": [{"name": "m", "state": {"terminated": {"exitCode": 1}}}]},
        {"phase": "Failed", "reason": "DeadlineExceeded"},
    ],
)
def test_S1_a_genuine_end_is_shown(status: dict[str, Any]) -> None:
    actions = decide(chaperon(PENDING), pod(status), None, NOW).actions
    assert isinstance(actions[0], ShowStatus)


def test_S1_a_pod_that_never_ran_is_made_again_with_back_off() -> None:
    first = decide(chaperon(PENDING), None, None, NOW).actions
    assert first == (MakePod(remade="1 2026-11-23T12:00:00.000000Z"),)
    soon = decide(chaperon(PENDING, remade="3 2026-11-23T11:59:58Z"), None, None, NOW)
    assert soon.actions == ()
    assert soon.look_again_seconds == pytest.approx(2.0)
    late = decide(chaperon(PENDING, remade="3 2026-11-23T11:59:50Z"), None, None, NOW)
    assert late.actions == (MakePod(remade="4 2026-11-23T12:00:00.000000Z"),)


def test_a_pod_that_ran_and_vanished_is_marked_missing() -> None:
    assert decide(chaperon(RUNNING), None, None, NOW).actions == (MarkMissing("2026-11-23T12:00:00.000000Z"),)


@pytest.mark.parametrize(("restart", "expected"), [("Always", (MakePod(),)), ("Never", ()), ("OnFailure", ())])
def test_alone_for_a_minute_only_pods_that_always_run_come_back(restart: str, expected: tuple[object, ...]) -> None:
    long_ago = chaperon(RUNNING, restart, missing="2026-11-23T11:58:00Z")
    assert decide(long_ago, None, None, NOW).actions == expected


def test_a_pod_that_came_back_is_not_missing() -> None:
    assert (
        MarkMissing(None) in decide(chaperon(RUNNING, missing="2026-11-23T11:58:00Z"), pod(RUNNING), None, NOW).actions
    )


def test_S3_a_chaperon_being_deleted_makes_nothing_and_shows_the_end() -> None:
    assert decide(chaperon(PENDING, deleting=""), None, None, NOW).actions == ()
    shown = decide(chaperon(RUNNING, deleting=""), pod({"phase": "Succeeded"}, terminating=True), None, NOW).actions
    assert isinstance(shown[0], ShowStatus)


def test_C1_the_last_words_of_a_pod_are_shown_although_it_is_gone() -> None:
    end = {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 7}}}]}
    shown = decide(chaperon(RUNNING), None, pod(end), NOW).actions
    assert isinstance(shown[0], ShowStatus)
    assert decide(chaperon(end), None, pod(end), NOW).actions == (MarkMissing("2026-11-23T12:00:00.000000Z"),)
    assert decide(chaperon(RUNNING), None, pod(end, owner="another"), NOW).actions[0] == MarkMissing(
        "2026-11-23T12:00:00.000000Z"
    )


def test_C4_another_pod_of_that_name_is_left_alone() -> None:
    assert not any(
        isinstance(action, RemovePod)
        for action in decide(chaperon(), pod(REJECTED, owner="another"), None, NOW).actions
    )


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Pending", "qosClass": "Burstable"},
        {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
    ],
)
def test_that_a_pod_was_made_and_scheduled_is_not_worth_a_write(status: dict[str, Any]) -> None:
    assert decide(chaperon(), pod(status), None, NOW).actions == ()
    refused = chaperon(PENDING)
    assert isinstance(decide(refused, pod(status), None, NOW).actions[0], ShowStatus), "but it ends a refusal"


@pytest.mark.parametrize("status", [PENDING, RUNNING, {"phase": "Pending", "startTime": "2026-11-23T12:00:00Z"}])
def test_all_else_is(status: dict[str, Any]) -> None:
    assert decide(chaperon(), pod(status), None, NOW).actions == (ShowStatus(status),)


def test_nulls_make_no_difference() -> None:
    """Pods have `lastProbeTime: null`; custom resources lose it. Compared as they are, every look would write."""
    there = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "lastProbeTime": None}]}
    assert decide(chaperon(PENDING), pod(there), None, NOW).actions == ()


def test_S1_a_pod_that_went_before_anything_was_told_is_made_again_with_the_attempt_on_record() -> None:
    (action,) = decide(chaperon(), None, pod({"phase": "Pending"}), NOW).actions
    assert isinstance(action, MakePod)
    assert action.remade.startswith("1 ")
