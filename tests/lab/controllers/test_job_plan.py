"""The job controller's decisions: counting once, ending in two steps, pausing after failures."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.controllers.job_plan import Plan, is_finished, plan
from lab.controllers.job_rules import (
    TRACKING,
    Failures,
    format_indexes,
    match_failure,
    next_failures,
    parse_indexes,
)
from lab.controllers.objects import timestamp

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Manifest = dict[str, Any]


def job(status: Manifest | None = None, **spec: Any) -> Manifest:
    metadata = {"name": "j", "namespace": "ns", "uid": "job"}
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}}
    return {"metadata": metadata, "spec": {"template": template, **spec}, "status": status or {}}


def pod(name: str, phase: str = "Pending", *, is_tracked: bool = True, is_going: bool = False) -> Manifest:
    metadata: Manifest = {"name": name, "namespace": "ns", "uid": name}
    if is_tracked:
        metadata["finalizers"] = [TRACKING]
    if is_going:
        metadata["deletionTimestamp"] = timestamp(NOW)
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase}}


def decide(one: Manifest, *pods: Manifest, before: Failures | None = None) -> Plan:
    return plan(one, pods, before or Failures(), NOW)


def test_a_new_job_gets_its_pods_and_its_start_time() -> None:
    decided = decide(job(completions=5, parallelism=2))
    assert decided.create == [None, None]
    assert decided.status["startTime"] == timestamp(NOW)
    assert decided.status["active"] == 2


def test_a_finished_pod_is_put_on_record_before_it_is_released_and_counted_after() -> None:
    one = job(completions=2)
    first = decide(one, pod("p", "Succeeded"))
    assert first.status["uncountedTerminatedPods"] == {"succeeded": ["p"]}
    assert "succeeded" not in first.status
    assert [each["metadata"]["uid"] for each in first.release] == ["p"]
    second = decide(job(first.status, completions=2), pod("p", "Succeeded", is_tracked=False))
    assert second.status["uncountedTerminatedPods"] == {}
    assert second.status["succeeded"] == 1


def test_a_pod_on_record_that_vanished_is_counted() -> None:
    recorded = {"uncountedTerminatedPods": {"failed": ["p"]}, "startTime": timestamp(NOW)}
    assert decide(job(recorded)).status["failed"] == 1


def test_the_last_condition_waits_for_the_first_to_be_on_record_and_for_all_pods() -> None:
    first = decide(job({"uncountedTerminatedPods": {"succeeded": ["p"]}}), pod("p", "Succeeded", is_tracked=False))
    assert [one["type"] for one in first.status["conditions"]] == ["SuccessCriteriaMet"]
    assert not first.finished
    second = decide(job(first.status), pod("q", "Running", is_tracked=False, is_going=True))
    assert not second.finished
    third = decide(job(second.status))
    assert third.finished == "Complete"
    assert third.status["completionTime"] == timestamp(NOW)
    assert is_finished(job(third.status))


def test_when_a_job_fails_its_running_pods_end_and_count_as_failed() -> None:
    one = job({"failed": 1, "startTime": timestamp(NOW)}, backoffLimit=0, parallelism=2, completions=2)
    running = pod("p", "Running")
    decided = decide(one, running)
    assert decided.end == [running]
    assert decided.release == [running]
    assert decided.status["uncountedTerminatedPods"] == {"failed": ["p"]}
    assert decided.status["conditions"][0]["type"] == "FailureTarget"


def test_after_a_failure_there_is_a_pause() -> None:
    before = Failures(2, NOW - timedelta(seconds=5))
    decided = decide(job({"failed": 2}), before=before)
    assert decided.create == []
    assert decided.again == 15.0
    assert decide(job({"failed": 2}), before=Failures(2, NOW - timedelta(seconds=20))).create == [None]


def test_a_success_ends_the_run_of_failures() -> None:
    assert next_failures(Failures(3, NOW), [pod("p", "Succeeded")], [], NOW) == Failures(0, None)


@pytest.mark.parametrize(("policy", "expected"), [("TerminatingOrFailed", 1), ("Failed", 0)])
def test_replacement_of_a_pod_that_is_going(policy: str, expected: int) -> None:
    going = pod("p", "Running", is_going=True)
    decided = decide(job(podReplacementPolicy=policy, backoffLimit=5), going, before=Failures())
    failed = decided.status["uncountedTerminatedPods"].get("failed", [])
    assert len(failed) == expected
    assert decided.status["terminating"] == 1


def test_a_suspended_job_withdraws_its_pods_without_counting_them() -> None:
    running = pod("p", "Running")
    decided = decide(job({"startTime": timestamp(NOW)}, suspend=True), running)
    assert (decided.withdraw, decided.release, decided.create) == ([running], [], [])
    assert "startTime" not in decided.status


def test_a_work_queue_ends_with_its_first_success_and_starts_no_more() -> None:
    status = {"succeeded": 1, "startTime": timestamp(NOW)}
    running = pod("p", "Running")
    decided = decide(job(status, parallelism=3), running)
    assert decided.create == []
    assert not decided.status.get("conditions")
    done = decide(job(status, parallelism=3))
    assert done.status["conditions"][0]["type"] == "SuccessCriteriaMet"


def test_the_first_rule_that_matches_decides() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [1]}},
    ]
    one = job(podFailurePolicy={"rules": rules})
    failed = pod("p", "Failed")
    failed["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": 3}}}]
    assert match_failure(one, failed).message == (
        "Container main for pod ns/p failed with exit code 3 matching FailJob rule at index 1"
    )
    failed["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    assert not match_failure(one, failed).counts
    assert match_failure(job(), failed).counts


@pytest.mark.parametrize(("indexes", "text"), [([], ""), ([0], "0"), ([0, 1], "0,1"), ([0, 2, 3, 4, 7], "0,2-4,7")])
def test_indexes_are_written_as_upstream_does(indexes: list[int], text: str) -> None:
    assert format_indexes(indexes) == text


@given(st.sets(st.integers(0, 60)))
def test_indexes_survive_being_written(indexes: set[int]) -> None:
    assert parse_indexes(format_indexes(indexes)) == indexes


@given(st.lists(st.sampled_from(["Succeeded", "Failed"]), min_size=1, max_size=8), st.data())
def test_every_pod_is_counted_exactly_once_whatever_is_lost_in_between(phases: list[str], data: st.DataObject) -> None:
    """Status writes and finalizer releases happen or do not; in the end the counters are right."""
    spec = {"completions": 100, "parallelism": 1, "backoffLimit": 100}
    status: Manifest = {}
    pods = {f"p{number}": pod(f"p{number}", phase) for number, phase in enumerate(phases)}
    for _ in range(40):
        decided = decide(job(status, **spec), *pods.values())
        if not data.draw(st.booleans()):
            continue  # crashed before the status was written
        status = decided.status
        for released in decided.release:
            if data.draw(st.booleans()):
                del pods[released["metadata"]["uid"]]
    while pods:
        status = decide(job(status, **spec), *pods.values()).status
        pods.popitem()
    for _ in range(2):
        status = decide(job(status, **spec), *pods.values()).status
    assert status.get("succeeded", 0) == phases.count("Succeeded")
    assert status.get("failed", 0) == phases.count("Failed")
