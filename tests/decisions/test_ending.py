"""How Targets end (rule M7), and what proxies do meanwhile."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from federation.decisions.bound import TARGET_GONE
from federation.decisions.ending import LOST_AFTER, Remains, Step, next_step
from federation.decisions.intents import Ask, Delete, Disrupt, End, ForgetTargets, Plan, Ungate, Withdraw
from federation.decisions.placement import decide
from federation.model.left_behind import LeftBehind, parse_left_behind
from tests.decisions.pods import NOW, chaperon, finalizers, proxy, target

BOTH = finalizers("a", "b")
DONE = Remains(NOW, None, 0, 0, has_node=False, is_recorded=False, was_met=True)
AWAY = replace(DONE, away_since=NOW - timedelta(hours=1))
NEVER_MET = replace(AWAY, was_met=False)


@pytest.mark.parametrize(
    ("remains", "after_seconds", "step"),
    [
        (replace(DONE, proxies=1, has_node=True), 0, Step.WAIT),
        (replace(DONE, chaperons=1, has_node=True), 0, Step.WAIT),
        (replace(DONE, has_node=True), 0, Step.REMOVE_NODE),
        (DONE, 0, Step.RELEASE),
        (replace(DONE, proxies=1), 9999, Step.WAIT),
        (replace(AWAY, proxies=1, has_node=True), 119, Step.WAIT),
        (replace(AWAY, proxies=1, has_node=True), 120, Step.RECORD),
        (replace(AWAY, proxies=1, has_node=True, is_recorded=True), 120, Step.WAIT),
        (replace(AWAY, chaperons=3, has_node=True, is_recorded=True), 120, Step.REMOVE_NODE),
        (replace(AWAY, chaperons=3, is_recorded=True), 120, Step.RELEASE),
        (replace(AWAY, away_since=NOW + timedelta(seconds=60)), 120, Step.WAIT),
        (AWAY, 0, Step.WAIT),
        (replace(NEVER_MET, has_node=True), 0, Step.REMOVE_NODE),
        (NEVER_MET, 0, Step.RELEASE),
        (replace(NEVER_MET, proxies=1), 0, Step.WAIT),
        (replace(NEVER_MET, chaperons=1), 0, Step.WAIT),
    ],
)
def test_M7_one_step_at_a_time(remains: Remains, after_seconds: float, step: Step) -> None:
    assert next_step(remains, NOW + timedelta(seconds=after_seconds), LOST_AFTER) is step


def going(name: str, *chaperons: Any, **more: Any) -> Any:
    return target(name, *chaperons, is_going=True, **more)


def test_M7_a_bound_proxy_is_told_withdrawn_ended_and_forgotten() -> None:
    held = chaperon(allowed=True)
    running = proxy(node="a", started=True, finalizers=finalizers("a"), phase="Running")
    assert decide(running, (going("a", held), target("b")), NOW).actions == (
        Disrupt(TARGET_GONE, "the Target of a was deleted"),
    )
    told = proxy(node="a", started=True, finalizers=finalizers("a"), phase="Running", disruption=TARGET_GONE)
    assert decide(told, (going("a", held),), NOW).actions == (Withdraw("a", held),)
    leaving = chaperon(allowed=True, terminating=True)
    assert decide(told, (going("a", leaving),), NOW) == Plan()
    assert isinstance(decide(told, (going("a"),), NOW).actions[0], End)
    ended = proxy(node="a", finalizers=finalizers("a"), phase="Failed", reason=TARGET_GONE)
    assert decide(ended, (going("a"),), NOW).actions == (ForgetTargets(finalizers("a")),)
    owned = proxy(node="a", finalizers=finalizers("a"), phase="Failed", reason=TARGET_GONE, owned=True)
    assert decide(owned, (going("a"),), NOW).actions == (Delete(),)


def test_M7_a_finished_proxy_only_loses_its_chaperon() -> None:
    held = chaperon(allowed=True)
    done = proxy(node="a", finalizers=finalizers("a"), phase="Succeeded", owned=True)
    assert decide(done, (going("a", held),), NOW).actions == (Withdraw("a", held),)
    assert decide(done, (going("a"),), NOW).actions == (ForgetTargets(finalizers("a")),)


def test_M7_an_unbound_proxy_goes_elsewhere() -> None:
    held = chaperon(reserved=True)
    assert decide(proxy(finalizers=BOTH), (going("a", held), target("b")), NOW).actions == (Withdraw("a", held),)
    assert decide(proxy(finalizers=BOTH), (going("a"), target("b")), NOW).actions == (ForgetTargets(finalizers("a")),)
    assert decide(proxy(finalizers=finalizers("b")), (going("a"), target("b")), NOW).actions == (Ask("b"),)
    leaving = chaperon(reserved=True, terminating=True)
    actions = decide(proxy(finalizers=BOTH), (going("a", leaving), target("b")), NOW).actions
    assert actions == (Ask("b"),)
    assert not any(isinstance(action, Ungate) for action in actions)


def test_M7_late_and_only_pinned_to_it_a_proxy_is_asked_for_elsewhere() -> None:
    late = proxy(gated=False, ungated_at="2026-11-23T11:59:50Z", pinned=("a",), finalizers=finalizers("b"))
    assert decide(late, (going("a", chaperon(reserved=True, terminating=True)), target("b")), NOW).actions == (
        Ask("b"),
    )


def test_M7_one_that_is_away_is_waited_for_until_it_is_lost() -> None:
    running = proxy(node="a", started=True, finalizers=finalizers("a"), phase="Running")
    held = chaperon(allowed=True)
    assert decide(running, (going("a", held, trouble="unreachable"),), NOW).actions == ()
    lost = going("a", held, trouble="unreachable", is_lost=True)
    assert isinstance(decide(running, (lost,), NOW).actions[0], Disrupt)
    told = proxy(node="a", started=True, finalizers=finalizers("a"), phase="Running", disruption=TARGET_GONE)
    assert isinstance(decide(told, (lost,), NOW).actions[0], End), "nothing is waited for there"
    deleted = proxy(node="a", finalizers=finalizers("a"), phase="Failed", terminating=True)
    assert decide(deleted, (lost,), NOW).actions == (ForgetTargets(finalizers("a")),)
    assert decide(deleted, (going("a", held, trouble="unreachable"),), NOW).actions == ()


def test_M7_what_an_ended_proxy_left_in_a_target_that_is_back_is_withdrawn() -> None:
    held = chaperon(allowed=True)
    ended = proxy(node="a", finalizers=finalizers("a"), phase="Failed", reason=TARGET_GONE)
    assert decide(ended, (target("a", held),), NOW).actions == (Withdraw("a", held),)


def test_M7_a_targets_finalizer_stays_while_it_has_no_connection() -> None:
    """Its kubeconfig is broken: what it holds is there all the same."""
    done = proxy(node="b", finalizers=BOTH)
    targets = (target("a", trouble="Secret ci/a does not exist"), target("b", chaperon(allowed=True)))
    assert decide(done, targets, NOW).actions == ()


def test_the_record_of_a_lost_target_can_be_read_back() -> None:
    entry = LeftBehind("ci", "arm", "ci-arm", "some-id", "2026-11-23T12:00:00Z", 2, ("ci/a", "ci/b"))
    data = {entry.key: entry.text(), "broken": "{", "strange": '{"pods": []}'}
    assert parse_left_behind({"data": data}) == [entry]
    assert parse_left_behind({}) == []
