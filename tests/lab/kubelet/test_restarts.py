"""What to start when: restart policies, back-off, the order of init containers and sidecars."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.kubelet.records import Record, Running, State, Terminated, first_records
from lab.kubelet.restarts import BackOff, decide, is_over, next_back_off

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
BACK_OFF = BackOff(10, 300)


def pod(policy: str = "Always", init: tuple[str, ...] = ()) -> dict[str, Any]:
    """A pod with one main container; an init container's name that starts with `side` makes it a sidecar."""
    initial = [{"name": name, **({"restartPolicy": "Always"} if name.startswith("side") else {})} for name in init]
    spec = {"restartPolicy": policy, "containers": [{"name": "main"}], "initContainers": initial}
    return {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec}


def ended(code: int, ago: float = 0, ran: float = 1) -> Terminated:
    """A run that ended `ago` seconds ago."""
    finished = NOW - timedelta(seconds=ago)
    return Terminated(code, "", finished, finished - timedelta(seconds=ran))


def records(manifest: dict[str, Any], **states: State) -> dict[str, Record]:
    """Records with these states, the others fresh."""
    return {
        name: replace(record, state=states[name]) if name in states else record
        for name, record in first_records(manifest, NOW).items()
    }


@pytest.mark.parametrize(
    ("policy", "code", "starts"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy(policy: str, code: int, starts: bool) -> None:
    manifest = pod(policy)
    known = records(manifest, main=ended(code))
    plan = decide(manifest, known, NOW, BACK_OFF)
    assert (plan.start == ("main",), plan.is_over) == (starts, not starts)


def test_the_first_failure_restarts_at_once_and_later_ones_wait_longer_and_longer() -> None:
    manifest = pod()
    record = records(manifest, main=ended(1))["main"]
    waits = []
    for _ in range(7):
        assert isinstance(record.state, Terminated)
        record = replace(record, back_off_seconds=next_back_off(record, record.state, BACK_OFF))
        waits.append(record.back_off_seconds)
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_a_waiting_container_says_for_how_long() -> None:
    manifest = pod()
    record = replace(records(manifest, main=ended(1, ago=4))["main"], back_off_seconds=80)
    plan = decide(manifest, {"main": record}, NOW, BACK_OFF)
    assert plan.start == ()
    assert plan.look_again_at == NOW + timedelta(seconds=76)
    assert plan.waiting["main"].reason == "CrashLoopBackOff"
    assert plan.waiting["main"].message == "back-off 1m20s restarting failed container=main pod=p_n(u)"
    assert decide(manifest, {"main": record}, NOW + timedelta(seconds=76), BACK_OFF).start == ("main",)


def test_a_long_run_is_forgiven() -> None:
    manifest = pod()
    state = ended(1, ran=601)
    record = replace(records(manifest, main=state)["main"], back_off_seconds=300)
    assert decide(manifest, {"main": record}, NOW, BACK_OFF).start == ("main",)
    assert next_back_off(record, state, BACK_OFF) == 10


def test_init_containers_run_one_after_the_other() -> None:
    manifest = pod(init=("one", "two"))
    assert decide(manifest, records(manifest), NOW, BACK_OFF).start == ("one",)
    assert decide(manifest, records(manifest, one=Running(NOW)), NOW, BACK_OFF).start == ()
    assert decide(manifest, records(manifest, one=ended(0)), NOW, BACK_OFF).start == ("two",)
    assert decide(manifest, records(manifest, one=ended(0), two=ended(0)), NOW, BACK_OFF).start == ("main",)


def test_a_failed_init_container_is_the_end_where_nothing_restarts() -> None:
    never, always = pod("Never", init=("one",)), pod("Always", init=("one",))
    assert is_over(never, records(never, one=ended(1)))
    assert decide(always, records(always, one=ended(1)), NOW, BACK_OFF).start == ("one",)


def test_a_started_sidecar_lets_the_others_start_and_is_always_restarted() -> None:
    manifest = pod("Never", init=("side",))
    assert decide(manifest, records(manifest), NOW, BACK_OFF).start == ("side",)
    known = records(manifest, side=Running(NOW))
    assert decide(manifest, known, NOW, BACK_OFF).start == ()
    known["side"] = replace(known["side"], is_started=True)
    assert decide(manifest, known, NOW, BACK_OFF).start == ("main",)
    assert decide(manifest, records(manifest, side=ended(0), main=Running(NOW)), NOW, BACK_OFF).start == ("side",)
    assert is_over(manifest, records(manifest, side=Running(NOW), main=ended(0)))
