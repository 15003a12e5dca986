"""What a chaperon does for its pod."""

from dataclasses import replace
from typing import Any

import pytest

from federation import names
from federation.decisions.mirroring import (
    EndPod,
    MakePod,
    MarkMissing,
    RemovePod,
    Replaceable,
    ShowStatus,
    decide,
    remade_patch,
)
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from tests.decisions.pods import NOW

RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}
REJECTED = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected"}
FIRST = "1 2026-11-23T12:00:00.000000Z"
LONG_AGO = "1 2026-11-23T11:00:00Z"
PENDING = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}


def chaperon(
    status: dict[str, Any] | None = None,
    restart: str = "Always",
    scheduler: str = "default-scheduler",
    **annotations: str,
) -> Chaperon:
    keys = {
        "remade": names.REMADE,
        "missing": names.POD_MISSING_SINCE,
        "waits": names.WAITS_TO_BE_ALLOWED,
        "allowed": names.IS_ALLOWED,
        "reserved": names.IS_RESERVED,
        "pod": names.POD_UID,
        "replaceable": names.REPLACEABLE,
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
        metadata["finalizers"] = [annotations["deleting"] or "foregroundDeletion"]
    spec = {"restartPolicy": restart, "schedulerName": scheduler}
    return parse_whole_chaperon({"metadata": metadata, "spec": spec, "status": status or {}})


def candidate(status: dict[str, Any] | None = None, restart: str = "Never", **annotations: str) -> Chaperon:
    """A chaperon whose pod only our extender binds."""
    return chaperon(status, restart, names.CANDIDATE_SCHEDULER, **annotations)


def pod(status: dict[str, Any], owner: str = "c", terminating: bool = False, node: str = "n") -> TargetPod:
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
    parsed = parse_target_pod({"metadata": metadata, "spec": {"nodeName": node}, "status": status})
    assert parsed is not None
    return parsed


def test_a_new_chaperon_gets_its_pod() -> None:
    assert decide(candidate(), None, None, NOW).actions == (MakePod(),)


def test_S2_without_reservation_the_pod_waits_until_it_is_allowed() -> None:
    assert decide(chaperon(waits="true"), None, None, NOW).actions == ()
    assert decide(chaperon(waits="true", allowed="true"), None, None, NOW).actions == (MakePod(FIRST),)


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
    on_record = (Replaceable("p", is_once_gone=False), RemovePod(rejected, "OutOfcpu"))
    assert decide(chaperon(PENDING), rejected, None, NOW).actions == on_record
    assert decide(chaperon(PENDING, replaceable="p"), rejected, None, NOW).actions == on_record[1:]
    leaving = pod(REJECTED, terminating=True)
    assert decide(chaperon(PENDING), leaving, None, NOW).actions == on_record[:1], "whoever deletes it"


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
    first = decide(candidate(PENDING), None, None, NOW).actions
    assert first == (MakePod(remade=FIRST),)
    soon = decide(candidate(PENDING, remade="3 2026-11-23T11:59:58Z"), None, None, NOW)
    assert soon.actions == ()
    assert soon.look_again_seconds == pytest.approx(2.0)
    late = decide(candidate(PENDING, remade="3 2026-11-23T11:59:50Z"), None, None, NOW)
    assert late.actions == (MakePod(remade="4 2026-11-23T12:00:00.000000Z"),)


def test_a_pod_that_ran_and_vanished_is_marked_missing() -> None:
    assert decide(chaperon(RUNNING), None, None, NOW).actions == (MarkMissing("2026-11-23T12:00:00.000000Z"),)


@pytest.mark.parametrize(
    ("restart", "expected"), [("Always", (Replaceable("none"),)), ("Never", ()), ("OnFailure", ())]
)
def test_alone_for_a_minute_only_pods_that_always_run_come_back(restart: str, expected: tuple[object, ...]) -> None:
    long_ago = chaperon(RUNNING, restart, missing="2026-11-23T11:58:00Z")
    assert decide(long_ago, None, None, NOW).actions == expected
    again = chaperon(RUNNING, restart, missing="2026-11-23T11:58:00Z", replaceable="none")
    assert decide(again, None, None, NOW).actions == (MakePod(FIRST),), "once that is on record"


def test_a_pod_that_came_back_is_not_missing() -> None:
    assert (
        MarkMissing(None) in decide(chaperon(RUNNING, missing="2026-11-23T11:58:00Z"), pod(RUNNING), None, NOW).actions
    )


def test_S3_a_chaperon_being_deleted_makes_nothing_and_shows_the_end() -> None:
    assert decide(chaperon(PENDING, deleting=""), None, None, NOW).actions == ()
    shown = decide(chaperon(RUNNING, deleting=""), pod({"phase": "Succeeded"}, terminating=True), None, NOW).actions
    assert isinstance(shown[0], ShowStatus)


def test_S3_a_chaperon_that_somebody_keeps_from_going_ends_its_pod() -> None:
    """A source's finalizer would let its pod run on after the owner deleted the chaperon."""
    running, ending = pod(RUNNING), pod(RUNNING, terminating=True)
    held_up = chaperon(RUNNING, deleting="thiefs.example/never")
    assert decide(held_up, running, None, NOW).actions == (EndPod(running),)
    assert EndPod(running) not in decide(held_up, ending, None, NOW).actions
    assert decide(chaperon(RUNNING, deleting="foregroundDeletion"), running, None, NOW).actions == ()


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
    (action,) = decide(candidate(), None, pod({"phase": "Pending"}, node=""), NOW).actions
    assert isinstance(action, MakePod)
    assert action.remade.startswith("1 ")


# -- rule S7: allowed and gone may have run -------------------------------------------------------------------------

MISSING = MarkMissing("2026-11-23T12:00:00.000000Z")
ALLOWED: dict[str, Any] = {"allowed": "true", "reserved": "true"}


def gone(status: dict[str, Any], node: str = "", uid: str = "p", owner: str = "c") -> TargetPod:
    """A pod as the API server removed it."""
    return replace(pod(status, owner, node=node), uid=uid, is_final=True)


def test_S7_allowed_and_gone_may_have_run() -> None:
    """An agent that starts knows nothing of the pod; what it would have known was in its predecessor's memory."""
    assert decide(candidate(**ALLOWED, pod="p"), None, None, NOW).actions == (MISSING,)
    assert decide(candidate(PENDING, **ALLOWED, pod="p"), None, None, NOW).actions == (MISSING,)
    assert decide(chaperon(remade=LONG_AGO), None, None, NOW).actions == (MISSING,), (
        "it was to be made, and is not there"
    )


@pytest.mark.parametrize(
    ("last", "is_proof"),
    [
        (gone({"phase": "Pending"}), True),
        (gone(REJECTED, node="n"), True),
        (gone({"phase": "Pending"}, node="n"), False),
        (gone({"phase": "Pending"}, uid="another"), False),
        (gone({"phase": "Pending"}, owner="another"), False),
        (replace(gone({"phase": "Pending"}), is_final=False), False),
    ],
    ids=["no node", "rejected", "on a node", "another pod", "another's pod", "missing from a list"],
)
def test_S7_what_proves_that_a_pod_never_ran_is_put_on_record(last: TargetPod, is_proof: bool) -> None:
    expected = Replaceable("p") if is_proof else MISSING
    assert decide(candidate(**ALLOWED, pod="p"), None, last, NOW).actions == (expected,)


def test_S7_on_record_as_replaceable_it_is_made_again() -> None:
    assert decide(candidate(**ALLOWED, pod="p", replaceable="p"), None, None, NOW).actions == (MakePod(FIRST),)
    assert decide(candidate(**ALLOWED, pod="q", replaceable="p"), None, None, NOW).actions == (MISSING,)


def test_S7_allowed_without_a_pod_on_record_nothing_was_ever_bound() -> None:
    assert decide(candidate(allowed="true"), None, None, NOW).actions == (MakePod(),)
    assert decide(candidate(allowed="true", remade=LONG_AGO), None, None, NOW).actions == (
        MakePod("2 2026-11-23T12:00:00.000000Z"),
    )
    by_an_old_extender = candidate(**ALLOWED)
    assert decide(by_an_old_extender, None, None, NOW).actions == (MISSING,)


def test_S7_not_allowed_it_cannot_have_started() -> None:
    lost = candidate(reserved="true", pod="p")
    assert decide(lost, None, None, NOW).actions == (MakePod(FIRST),)
    patch = remade_patch(lost, FIRST)["metadata"]
    assert patch["resourceVersion"] == "1"
    assert patch["annotations"][names.POD_UID] is None
    assert patch["annotations"][names.IS_RESERVED] is None, "there is no pod that a node is held for"
    allowed = remade_patch(candidate(**ALLOWED, pod="p", replaceable="p"), FIRST)["metadata"]
    assert allowed["annotations"] == {names.REMADE: FIRST}


def test_S7_where_nothing_else_stands_before_the_start_the_record_does() -> None:
    assert decide(chaperon(), None, None, NOW).actions == (MakePod(FIRST),)
    assert remade_patch(chaperon(), FIRST)["metadata"]["annotations"] == {names.REMADE: FIRST, names.REPLACEABLE: None}
    refused = chaperon(remade=LONG_AGO, replaceable="none")
    assert decide(refused, None, None, NOW).actions == (MakePod("2 2026-11-23T12:00:00.000000Z"),)


def test_S7_a_pod_that_is_just_being_made_is_not_missing_yet() -> None:
    plan = decide(chaperon(remade="1 2026-11-23T11:59:58Z"), None, None, NOW)
    assert plan.actions == ()
    assert plan.look_again_seconds == pytest.approx(3.0)


# -- rule C5: the end of a delegate is told -------------------------------------------------------------------------

ENDED = {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 7}}}]}


def deleted(status: dict[str, Any]) -> TargetPod:
    """A pod whose deletion was asked for at noon."""
    return replace(pod(status, terminating=True), deleted_at=NOW)


def ended_at(moment: str) -> dict[str, Any]:
    return {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 7, "finishedAt": moment}}}]}


@pytest.mark.parametrize(
    ("status", "is_told"),
    [
        (RUNNING, True),
        (ended_at("2026-11-23T12:00:00Z"), True),
        (ended_at("2026-11-23T12:00:04Z"), True),
        (ended_at("2026-11-23T11:59:59Z"), False),
        ({"phase": "Pending", "startTime": "2026-11-23T11:59:59Z"}, False),
    ],
    ids=["running", "ended at once", "ended after a while", "had ended", "had not started"],
)
def test_C5_a_pod_that_was_deleted_in_the_target_says_so(status: dict[str, Any], is_told: bool) -> None:
    (shown,) = decide(candidate(PENDING, **ALLOWED), deleted(status), None, NOW).actions
    assert isinstance(shown, ShowStatus)
    reasons = [c.get("reason") for c in shown.patch.get("conditions") or [] if c["type"] == "DisruptionTarget"]
    assert reasons == (["DeletedInTarget"] if is_told else [])
    assert shown.is_fenced == is_told, "only as long as the source has not withdrawn it"


def test_C5_what_was_told_stays_told() -> None:
    (shown,) = decide(candidate(RUNNING, **ALLOWED), deleted(RUNNING), None, NOW).actions
    assert isinstance(shown, ShowStatus)
    told = candidate(RUNNING | shown.patch, **ALLOWED)
    assert decide(told, deleted(RUNNING), None, NOW).actions == ()
    withdrawn = candidate(RUNNING | shown.patch, deleting="", **ALLOWED)
    assert decide(withdrawn, deleted(RUNNING), None, NOW).actions == ()
    (again,) = decide(told, pod(RUNNING), None, NOW).actions
    assert isinstance(again, ShowStatus)
    assert again.patch == {"conditions": None}, "of that pod, not of the next"


def test_C5_other_ends_keep_their_words() -> None:
    evicted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    (shown,) = decide(candidate(PENDING), deleted(RUNNING | {"conditions": [evicted]}), None, NOW).actions
    assert isinstance(shown, ShowStatus)
    assert shown.patch["conditions"] == [evicted]
    (by_the_source,) = decide(candidate(PENDING, deleting=""), deleted(RUNNING), None, NOW).actions
    assert isinstance(by_the_source, ShowStatus)
    assert by_the_source.patch["conditions"] is None
