"""Phases and conditions, by upstream's rules."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.kubelet.records import Record, Running, State, Terminated, Waiting, first_records
from lab.kubelet.status import Ending, Progress, says, status

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
RUNNING = Running(NOW)
GOOD, BAD = Terminated(0, "Completed", NOW, NOW), Terminated(1, "Error", NOW, NOW)


def pod(policy: str, containers: int = 1, init: bool = False) -> dict[str, Any]:
    """A pod with containers c0, c1, ... and perhaps an init container."""
    spec: dict[str, Any] = {
        "restartPolicy": policy,
        "containers": [{"name": f"c{number}"} for number in range(containers)],
    }
    if init:
        spec["initContainers"] = [{"name": "init"}]
    return {"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1}, "spec": spec}


def records(manifest: dict[str, Any], *states: State, init: State | None = None) -> dict[str, Record]:
    """Records with these states."""
    known = first_records(manifest, NOW)
    for number, state in enumerate(states):
        ready = isinstance(state, Running)
        known[f"c{number}"] = replace(known[f"c{number}"], state=state, is_ready=ready, is_started=ready)
    if init is not None:
        known["init"] = replace(known["init"], state=init)
    return known


def phase(manifest: dict[str, Any], known: dict[str, Record], **progress: Any) -> str:
    """The phase that comes out."""
    return str(status(manifest, known, Progress(NOW, NOW, **progress))["phase"])


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        ("Always", [Waiting()], "Pending"),
        ("Always", [RUNNING], "Running"),
        ("Always", [RUNNING, Waiting()], "Pending"),
        ("Always", [BAD], "Running"),
        ("OnFailure", [BAD], "Running"),
        ("OnFailure", [GOOD], "Succeeded"),
        ("OnFailure", [GOOD, BAD], "Running"),
        ("Never", [GOOD], "Succeeded"),
        ("Never", [GOOD, BAD], "Failed"),
        ("Never", [BAD, RUNNING], "Running"),
    ],
)
def test_phase(policy: str, states: list[State], expected: str) -> None:
    manifest = pod(policy, len(states))
    assert phase(manifest, records(manifest, *states)) == expected


def test_phase_while_initialising() -> None:
    manifest = pod("Never", init=True)
    assert phase(manifest, records(manifest, init=RUNNING)) == "Pending"
    assert phase(manifest, records(manifest, init=BAD)) == "Failed"
    manifest = pod("Always", init=True)
    assert phase(manifest, records(manifest, init=BAD)) == "Pending"


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [("Always", [GOOD], "Succeeded"), ("Always", [GOOD, BAD], "Failed"), ("Never", [Waiting()], "Failed")],
)
def test_a_pod_that_was_ended_is_always_terminal(policy: str, states: list[State], expected: str) -> None:
    manifest = pod(policy, len(states))
    assert phase(manifest, records(manifest, *states), is_terminal=True) == expected


def test_nothing_is_left_waiting_in_a_terminal_pod() -> None:
    manifest = pod("Always", 2)
    known = records(manifest, Waiting(), Waiting("CrashLoopBackOff"))
    known["c1"] = replace(known["c1"], last=BAD)
    found = status(manifest, known, Progress(NOW, NOW, is_terminal=True))
    first, second = (entry["state"]["terminated"] for entry in found["containerStatuses"])
    assert (first["exitCode"], first["reason"]) == (137, "ContainerStatusUnknown")
    assert second["exitCode"] == 1


def test_an_ending_may_name_phase_and_reason() -> None:
    manifest = pod("Always")
    ending = Ending("DeadlineExceeded", "too long", "Failed")
    found = status(manifest, records(manifest, GOOD), Progress(NOW, NOW, ending=ending, is_terminal=True))
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")


def test_conditions_of_a_pod_that_is_not_ready() -> None:
    manifest = pod("Always", 2)
    known = records(manifest, RUNNING, RUNNING)
    known["c1"] = replace(known["c1"], is_ready=False)
    found = status(manifest, known, Progress(NOW, NOW, has_view=True))
    conditions = {entry["type"]: entry for entry in found["conditions"]}
    assert conditions["ContainersReady"]["message"] == "containers with unready status: [c1]"
    assert conditions["Ready"]["reason"] == "ContainersNotReady"
    assert conditions["Initialized"]["status"] == "True"
    assert conditions["PodReadyToStartContainers"]["status"] == "True"


def test_a_readiness_gate_keeps_a_pod_unready() -> None:
    manifest = pod("Always")
    manifest["spec"]["readinessGates"] = [{"conditionType": "example.com/load-balanced"}]
    found = status(manifest, records(manifest, RUNNING), Progress(NOW, NOW))
    conditions = {entry["type"]: entry for entry in found["conditions"]}
    assert (conditions["ContainersReady"]["status"], conditions["Ready"]["status"]) == ("True", "False")
    assert conditions["Ready"]["reason"] == "ReadinessGatesNotReady"


def test_conditions_keep_the_time_of_their_last_change() -> None:
    manifest = pod("Always")
    before = status(manifest, records(manifest, RUNNING), Progress(NOW, NOW))
    later = datetime(2026, 11, 23, 13, tzinfo=UTC)
    after = status({**manifest, "status": before}, records(manifest, RUNNING), Progress(later, NOW))
    assert after["conditions"] == before["conditions"]
    changed = status({**manifest, "status": before}, records(manifest, BAD), Progress(later, NOW))
    assert says(changed) != says(before)
    times = {entry["type"]: entry["lastTransitionTime"] for entry in changed["conditions"]}
    assert times["Ready"] == "2026-11-23T13:00:00Z"
    assert times["PodScheduled"] == "2026-11-23T12:00:00Z"
