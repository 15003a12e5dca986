"""Bound proxies: one that lost its room (rule M2), vanished delegates (S4), and who moves first (S5)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from federation.decisions.bound import DELEGATE_GONE, NO_ROOM, NO_ROOM_AFTER
from federation.decisions.feedback import status_patch
from federation.decisions.intents import Allow, Ask, Disrupt, End, Explain, RecordReservations, Withdraw
from federation.decisions.placement import decide
from federation.model.pod import parse_reservations, reservations_text
from federation.names import RESERVED_CONDITION
from tests.decisions.pods import NOW, chaperon, finalizers, proxy, target

ONE = finalizers("a")
LONG_AGO, JUST_NOW = "2026-11-23T11:50:00Z", "2026-11-23T11:59:30Z"
REFUSED = chaperon(allowed=True, refusal="0/3 nodes are available", refused_at=LONG_AGO)


def test_M2_a_pod_with_an_owner_ends_after_a_long_wait() -> None:
    owned = proxy(node="a", finalizers=ONE, owned=True, bound_at=LONG_AGO)
    (told,) = decide(owned, (target("a", REFUSED),), NOW).actions
    assert isinstance(told, Disrupt)
    assert told.reason == NO_ROOM
    assert "0/3 nodes" in told.message
    marked = proxy(node="a", finalizers=ONE, owned=True, bound_at=LONG_AGO, disruption=NO_ROOM)
    assert decide(marked, (target("a", REFUSED),), NOW).actions == (Withdraw("a", REFUSED),)
    assert decide(marked, (target("a", chaperon(terminating=True, allowed=True)),), NOW).actions == ()
    (end,) = decide(marked, (target("a"),), NOW).actions
    assert isinstance(end, End), "once its deletion is confirmed; asked again it is not"
    assert end.reason == NO_ROOM


def test_M2_the_wait_begins_with_the_binding() -> None:
    """A candidate that had been refused for long, then reserved, then lost its room."""
    fresh = proxy(node="a", finalizers=ONE, owned=True, bound_at=JUST_NOW)
    plan = decide(fresh, (target("a", REFUSED),), NOW)
    assert not any(isinstance(action, Disrupt) for action in plan.actions)
    assert plan.look_again_seconds == pytest.approx(NO_ROOM_AFTER.total_seconds() - 30)
    assert any(isinstance(a, Disrupt) for a in decide(fresh, (target("a", REFUSED),), NOW, timedelta(0)).actions)


def test_M2_a_bare_pod_waits_and_says_why() -> None:
    bare = proxy(node="a", finalizers=ONE, bound_at=LONG_AGO)
    (said,) = decide(bare, (target("a", REFUSED),), NOW).actions
    assert said == Explain("bound to a, which has no room for it now: 0/3 nodes are available")


def test_M2_why_it_waits_is_said_as_soon_as_it_is_no_longer_the_ordinary_case() -> None:
    """The refusal is there at once, and no event follows."""
    bare = proxy(node="a", finalizers=ONE, bound_at="2026-11-23T11:59:59Z")
    plan = decide(bare, (target("a", REFUSED),), NOW)
    assert plan.actions == ()
    assert plan.look_again_seconds == pytest.approx(1.0)
    said = decide(proxy(node="a", finalizers=ONE, bound_at=LONG_AGO), (target("a", REFUSED),), NOW)
    assert said.look_again_seconds is None, "for a bare pod nothing more comes by itself"


def test_M2_an_unreachable_target_is_waited_for() -> None:
    owned = proxy(node="a", finalizers=ONE, owned=True, bound_at=LONG_AGO)
    assert decide(owned, (target("a", REFUSED, trouble="unreachable"),), NOW).actions == ()


def test_M2_what_has_started_is_left_alone() -> None:
    status = {"containerStatuses": [{"name": "main", "state": {"running": {}}}], **REFUSED.status}
    started = chaperon(allowed=True, status=status)
    owned = proxy(node="a", finalizers=ONE, owned=True, bound_at=LONG_AGO)
    assert decide(owned, (target("a", started),), NOW).actions == ()


def test_S4_a_vanished_delegate_waits_for_others_that_may_vanish_with_it() -> None:
    running = proxy(node="a", started=True, finalizers=ONE)
    plan = decide(running, (target("a", settle_seconds=0.7),), NOW)
    assert plan.actions == ()
    assert plan.look_again_seconds == pytest.approx(0.7)


def test_S5_nobody_is_asked_or_moved_while_a_target_is_unread() -> None:
    unread = target("b", trouble="its PodChaperons have not been listed yet", is_unread=True)
    gated = proxy(finalizers=finalizers("a", "b"))
    assert decide(gated, (target("a"), unread), NOW).actions == ()
    assert decide(gated, (target("a", chaperon(reserved=True)), unread), NOW).actions == ()
    late = proxy(gated=False, ungated_at=LONG_AGO, pinned=("c",), finalizers=finalizers("a", "b"))
    assert decide(late, (target("a", chaperon(reserved=True)), unread), NOW).actions == ()
    away = target("b", trouble="unreachable since 11:00")
    assert decide(gated, (target("a"), away), NOW).actions == (Ask("a"),), "one that is away holds up nobody"


def test_S5_an_earlier_pods_allowed_chaperon_goes_before_anybody_is_asked() -> None:
    gated = proxy(finalizers=finalizers("a", "b"))
    old = chaperon(uid="another", allowed=True)
    assert decide(gated, (target("a", old), target("b")), NOW).actions == (Withdraw("a", old),)
    leaving = chaperon(uid="another", allowed=True, terminating=True)
    assert decide(gated, (target("a", leaving), target("b")), NOW).actions == ()
    candidate = chaperon(uid="another")
    actions = decide(gated, (target("a", candidate), target("b")), NOW).actions
    assert any(isinstance(action, Ask) for action in actions), "one that was never let go holds up nobody"


def test_C3_feedback_leaves_the_sources_conditions_alone() -> None:
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": LONG_AGO}
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "x", "lastTransitionTime": JUST_NOW}
    live = {"phase": "Pending", "conditions": [scheduled, disrupted]}
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    assert status_patch(live, {"phase": "Pending", "conditions": [refused]}, frozenset()) == {}


def test_C3_why_a_proxy_waits_is_over_once_its_delegate_runs() -> None:
    waiting = {"type": RESERVED_CONDITION, "status": "False", "reason": "NoReservation", "message": "m"}
    live = {"phase": "Pending", "conditions": [waiting | {"lastTransitionTime": LONG_AGO}]}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": JUST_NOW}
    containers = [{"name": "main", "state": {"running": {}}}]
    delegate = {"phase": "Running", "conditions": [scheduled], "containerStatuses": containers}
    (told,) = status_patch(live, delegate, frozenset({"main"}))["conditions"]
    assert (told["status"], told["lastTransitionTime"]) == ("True", JUST_NOW)


def test_C3_what_the_source_changed_is_put_right_although_the_delegate_did_not_change() -> None:
    delegate = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    shown = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    assert status_patch(shown, delegate, frozenset()) == {}
    flipped = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
    assert status_patch(flipped, delegate, frozenset())["conditions"] == [{"type": "Ready", "status": "True"}]


def test_S7_only_the_chaperon_on_record_is_allowed() -> None:
    waiting = chaperon(reserved=True)
    recorded = proxy(node="a", finalizers=ONE, recorded=("a",))
    assert decide(recorded, (target("a", waiting),), NOW).actions == (Allow("a", waiting),)
    unknown = proxy(node="a", finalizers=ONE)
    assert decide(unknown, (target("a", waiting),), NOW).actions == (RecordReservations((("a", waiting.uid),)),)


def test_S7_after_another_chaperon_that_may_have_been_allowed_the_proxy_ends() -> None:
    recorded = proxy(node="a", finalizers=ONE, recorded=("a",))
    another = replace(chaperon(reserved=True), uid="another")
    (told,) = decide(recorded, (target("a", another),), NOW).actions
    assert isinstance(told, Disrupt)
    assert told.reason == DELEGATE_GONE
    assert decide(recorded, (target("a", another, settle_seconds=1.0),), NOW).actions == ()
    seen_to_go = target("a", another, was_never_allowed=True)
    assert decide(recorded, (seen_to_go,), NOW).actions == (RecordReservations((("a", "another"),)),)


def test_S7_a_chaperon_on_record_that_is_gone_may_have_been_allowed() -> None:
    """A source that starts has seen nothing: neither that the pod was let go ahead, nor that it ran."""
    recorded = proxy(node="a", finalizers=ONE, recorded=("a",))
    (end,) = decide(recorded, (target("a"),), NOW).actions
    assert isinstance(end, End)
    assert end.reason == DELEGATE_GONE
    assert decide(recorded, (target("a", settle_seconds=0.5),), NOW).actions == ()
    assert decide(recorded, (target("a", was_never_allowed=True),), NOW).actions == (Ask("a"),)
    assert decide(proxy(node="a", finalizers=ONE), (target("a"),), NOW).actions == (Ask("a"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1,b.c-d=2", {"a": "1", "b.c-d": "2"}),
        ("", {}),
        ("a,=,a=,=1,a=b=c,../x=1,a=é,a=" + "1" * 300, {}),
        ("a=1,,junk", {"a": "1"}),
    ],
)
def test_T1_entries_that_cannot_be_a_record_are_none(text: str, expected: dict[str, str]) -> None:
    assert dict(parse_reservations(text)) == expected
    assert dict(parse_reservations(reservations_text(expected))) == expected
