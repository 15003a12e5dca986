"""The one rule, case by case, and what holds in every case."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.decisions.bound import DELEGATE_GONE
from federation.decisions.intents import (
    Allow,
    Ask,
    Bind,
    Delete,
    Disrupt,
    End,
    Explain,
    ForgetTargets,
    RecordReservations,
    RecordTargets,
    TargetView,
    Ungate,
    Withdraw,
)
from federation.decisions.placement import decide
from federation.model.pod import ProxyPod
from tests.decisions.pods import NOW, UID, chaperon, finalizers, proxy, target

BOTH = finalizers("a", "b")
LATE = "2026-11-23T11:59:50Z"


def held(*nodes: str) -> tuple[tuple[str, str], ...]:
    """The records of the proxy's chaperons on these virtual nodes."""
    return tuple((node, f"chaperon-of-{UID}") for node in nodes)


def test_a_gated_proxy_is_asked_of_the_likeliest_target_first() -> None:
    plan = decide(proxy(finalizers=BOTH), (target("a", room=0.2), target("b", room=0.5)), NOW)
    assert plan.actions == (Ask("b"),)


def test_a_target_is_on_record_before_it_is_asked() -> None:
    plan = decide(proxy(finalizers=finalizers("a")), (target("a", room=0.2), target("b", room=0.5)), NOW)
    assert plan.actions == (RecordTargets(finalizers("b")),)


def test_obstacles_and_trouble_spare_a_target_the_question() -> None:
    targets = (target("a", obstacle="cordoned"), target("b", trouble="unreachable since 11:00"), target("c"))
    assert decide(proxy(finalizers=finalizers("a", "b", "c")), targets, NOW).actions == (Ask("c"),)


def test_M6_candidates_wait_for_the_gates_of_others() -> None:
    gated = proxy(gates=("kueue.x-k8s.io/admission", "multicluster.admiralty.io/candidates"), finalizers=BOTH)
    assert decide(gated, (target("a"),), NOW).actions == ()


def test_a_reservation_ungates_towards_all_that_reserved() -> None:
    targets = (target("a", chaperon(reserved=True)), target("b", chaperon(reserved=True)), target("c", chaperon()))
    assert decide(proxy(finalizers=BOTH), targets, NOW).actions == (Ungate(("a", "b"), (), held("a", "b")),)


def test_S3_the_ungating_forgets_only_targets_that_were_surely_never_asked() -> None:
    targets = (target("a", chaperon(reserved=True)), target("b", was_asked=False), target("c"))
    pod = proxy(finalizers=finalizers("a", "b", "c"))
    assert decide(pod, targets, NOW).actions == (Ungate(("a",), finalizers("b"), held("a")),)


def test_F2_candidates_elsewhere_are_withdrawn_once_ungated() -> None:
    asked, reserved = chaperon(), chaperon(reserved=True)
    ungated = proxy(gated=False, ungated_at="2026-11-23T11:59:58Z", pinned=("a",), finalizers=BOTH, recorded=("a",))
    assert decide(ungated, (target("a", reserved), target("b", asked)), NOW).actions == (Withdraw("b", asked),)


def test_C2_a_proxy_to_be_spread_waits_until_its_nodes_are_counted_and_all_have_answered() -> None:
    pod = proxy(finalizers=BOTH, asking="all")
    reserved, asked = chaperon(reserved=True), chaperon()
    early, late = NOW - timedelta(seconds=1), NOW - timedelta(seconds=2)
    uncounted = (target("a", reserved), target("b", reserved, counted=False))
    assert decide(pod, uncounted, NOW).actions == ()
    waiting = decide(pod, (target("a", reserved, asked_at=early), target("b", asked, asked_at=early)), NOW)
    assert waiting.actions == ()
    assert waiting.look_again_seconds == pytest.approx(1.0)
    over = decide(pod, (target("a", reserved), target("b", asked, asked_at=late)), NOW)
    assert over.actions == (Ungate(("a",), (), held("a")),)
    refused = chaperon(refusal="0/3 nodes are available")
    assert decide(pod, (target("a", reserved), target("b", refused, asked_at=early)), NOW).actions == (
        Ungate(("a",), (), held("a")),
    )


def test_C2_a_proxy_to_be_spread_may_go_where_no_answer_came_in_time() -> None:
    spread = (("spread.isthmus.dev/0123456789abcdef", "kubernetes.io/hostname"),)
    long_ago = NOW - timedelta(seconds=3)
    refused = target("c", chaperon(refusal="0/3 nodes are available"), asked_at=long_ago)
    targets = (target("a", chaperon(reserved=True)), target("b", chaperon(), asked_at=long_ago), refused)
    pod = proxy(finalizers=finalizers("a", "b", "c"), asking="all", spread=spread)
    assert decide(pod, targets, NOW).actions == (Ungate(("a", "b"), (), held("a")),)


def test_C2_the_way_out_breaks_a_spread_only_after_a_long_wait() -> None:
    reserved = chaperon(reserved=True, after_ungate=True)
    spread = (("spread.isthmus.dev/0123456789abcdef", "kubernetes.io/hostname"),)
    late = proxy(gated=False, ungated_at=LATE, pinned=("a",), finalizers=BOTH, spread=spread, recorded=("b",))
    assert not any(isinstance(x, Bind) for x in decide(late, (target("a"), target("b", reserved)), NOW).actions)
    later = NOW + timedelta(seconds=60)
    assert decide(late, (target("a"), target("b", reserved)), later).actions == (Bind("b"),)


def test_a_chaperon_being_deleted_holds_no_reservation() -> None:
    targets = (target("a", chaperon(reserved=True, terminating=True)),)
    assert decide(proxy(finalizers=BOTH), targets, NOW).actions == ()


def test_bound_allows_the_chosen_and_withdraws_the_others() -> None:
    winner, loser = chaperon(reserved=True), chaperon(reserved=True)
    pod = proxy(node="a", finalizers=BOTH, recorded=("a",))
    plan = decide(pod, (target("a", winner), target("b", loser)), NOW)
    assert plan.actions == (Allow("a", winner), Withdraw("b", loser))


def test_bound_without_a_chaperon_asks_the_chosen_only() -> None:
    assert decide(proxy(node="a", finalizers=BOTH), (target("a"), target("b")), NOW).actions == (Ask("a"),)


def test_a_settled_proxy_forgets_the_targets_it_did_not_choose() -> None:
    targets = (target("a", chaperon(allowed=True)), target("b"), target("c", trouble="unreachable"))
    plan = decide(proxy(node="a", finalizers=finalizers("a", "b", "c")), targets, NOW)
    assert plan.actions == (ForgetTargets(finalizers("b")),)


def test_S4_a_delegate_that_ran_and_vanished_ends_the_proxy() -> None:
    ended = decide(proxy(node="a", started=True, finalizers=finalizers("a")), (target("a"),), NOW)
    assert isinstance(ended.actions[0], End)
    assert ended.actions[0].is_disruption


def test_S1_a_delegate_that_never_ran_is_asked_for_again() -> None:
    assert decide(proxy(node="a", finalizers=finalizers("a")), (target("a"),), NOW).actions == (Ask("a"),)


@pytest.mark.parametrize(("owned", "expected"), [(True, (Delete(),)), (False, ())])
def test_C1_an_ended_proxy_is_deleted_for_its_owner_and_left_where_it_has_none(owned: bool, expected: object) -> None:
    ended = proxy(node="a", phase="Failed", reason=DELEGATE_GONE, started=True, owned=owned, finalizers=finalizers("a"))
    assert decide(ended, (target("a"),), NOW).actions == expected


def test_a_missing_pod_takes_its_chaperon_with_it() -> None:
    missing = chaperon(allowed=True, missing=True)
    plan = decide(proxy(node="a", started=True, finalizers=finalizers("a")), (target("a", missing),), NOW)
    assert plan.actions == (Disrupt(DELEGATE_GONE, "its delegate on a is gone"),)
    told = proxy(node="a", started=True, finalizers=finalizers("a"), disruption=DELEGATE_GONE)
    assert decide(told, (target("a", missing),), NOW).actions == (Withdraw("a", missing),)
    ended = proxy(node="a", started=True, finalizers=finalizers("a"), phase="Failed")
    assert decide(ended, (target("a", missing),), NOW).actions == (Withdraw("a", missing),)
    exited = chaperon(allowed=True, missing=True, status={"phase": "Failed"})
    running = proxy(node="a", started=True, finalizers=finalizers("a"))
    assert decide(running, (target("a", exited),), NOW).actions == (), "how it ended reaches the proxy first"


def test_terminating_withdraws_first_then_ends_then_forgets() -> None:
    allowed = chaperon(allowed=True)
    running = proxy(node="a", phase="Running", terminating=True, finalizers=finalizers("a"))
    assert decide(running, (target("a", allowed),), NOW).actions == (Withdraw("a", allowed),)
    going = chaperon(allowed=True, terminating=True)
    assert decide(running, (target("a", going),), NOW).actions == ()
    assert isinstance(decide(running, (target("a"),), NOW).actions[0], End)
    ended = proxy(node="a", phase="Failed", terminating=True, finalizers=finalizers("a"))
    assert decide(ended, (target("a"),), NOW).actions == (ForgetTargets(finalizers("a")),)


def test_S3_a_terminal_phase_never_skips_clean_up() -> None:
    """podgc sets a terminating gated proxy Failed by itself; the candidate must go all the same."""
    candidate = chaperon()
    failed = proxy(phase="Failed", terminating=True, finalizers=finalizers("a"))
    assert decide(failed, (target("a", candidate),), NOW).actions == (Withdraw("a", candidate),)


def test_S3_a_finalizer_waits_for_an_unreachable_target() -> None:
    ended = proxy(node="a", phase="Failed", terminating=True, finalizers=BOTH)
    plan = decide(ended, (target("a"), target("b", trouble="unreachable")), NOW)
    assert plan.actions == (ForgetTargets(finalizers("a")),)


def test_chaperons_of_a_pod_that_is_gone_or_replaced_are_withdrawn() -> None:
    old = chaperon(uid="another")
    assert decide(None, (target("a", old),), NOW).actions == (Withdraw("a", old),)
    assert decide(proxy(finalizers=finalizers("a")), (target("a", old),), NOW).actions[0] == Withdraw("a", old)


def test_M1_a_late_proxy_without_a_reservation_is_asked_everywhere_and_bound_by_us() -> None:
    late = proxy(gated=False, ungated_at=LATE, pinned=("a",), finalizers=BOTH)
    assert Ask("a") in decide(late, (target("a"), target("b")), NOW).actions
    assert Ask("b") in decide(late, (target("a"), target("b")), NOW).actions
    reserved = chaperon(reserved=True, after_ungate=True)
    assert decide(late, (target("a"), target("b", reserved)), NOW).actions == (RecordReservations(held("b")),)
    recorded = proxy(gated=False, ungated_at=LATE, pinned=("a",), finalizers=BOTH, recorded=("b",))
    assert decide(recorded, (target("a"), target("b", reserved)), NOW).actions == (Bind("b"),)


def test_M1_a_candidate_from_before_the_ungate_that_reserves_late_is_bound_by_us() -> None:
    late = proxy(gated=False, ungated_at=LATE, pinned=("a",), finalizers=BOTH, recorded=("b",))
    assert decide(late, (target("a"), target("b", chaperon(reserved=True))), NOW).actions == (Bind("b"),)


def test_M1_a_held_proxy_is_left_to_the_scheduler() -> None:
    early = proxy(gated=False, ungated_at="2026-11-23T11:59:58Z", pinned=("a",), finalizers=BOTH)
    assert not any(isinstance(a, Ask | Bind) for a in decide(early, (target("a"), target("b")), NOW).actions)
    held = (target("a", chaperon(reserved=True)), target("b"))
    for recorded in ((), ("a",)):
        late = proxy(gated=False, ungated_at=LATE, pinned=("a",), finalizers=BOTH, recorded=recorded)
        assert not any(isinstance(action, Ask | Bind) for action in decide(late, held, NOW).actions)


def test_M1_looks_again_when_the_wait_is_over() -> None:
    early = proxy(gated=False, ungated_at="2026-11-23T11:59:58Z", pinned=("a",), finalizers=BOTH)
    assert decide(early, (target("a"),), NOW).look_again_seconds == pytest.approx(3.0)


def test_S5_an_allowed_chaperon_of_an_unbound_proxy_is_sticky() -> None:
    targets = (target("a", chaperon(reserved=True)), target("b", chaperon(allowed=True)))
    assert decide(proxy(finalizers=BOTH), targets, NOW).actions == (Ungate(("b",), (), held("b")),)
    ungated = proxy(gated=False, ungated_at=LATE, finalizers=BOTH)
    assert decide(ungated, targets, NOW).actions == (RecordReservations(held("b")),)
    recorded = proxy(gated=False, ungated_at=LATE, finalizers=BOTH, recorded=("b",))
    assert decide(recorded, targets, NOW).actions == (Bind("b"),)


def test_S5_a_target_that_the_pod_rules_out_cannot_say_that_it_was_allowed_there() -> None:
    """Whoever owns a target can write an allowed chaperon of any pod whose UID they know."""
    targets = (target("a", chaperon(reserved=True)), target("b", chaperon(allowed=True), obstacle="no label x=y"))
    assert decide(proxy(finalizers=BOTH), targets, NOW).actions == ()
    (said,) = decide(proxy(finalizers=BOTH), targets, NOW + timedelta(minutes=2)).actions
    assert isinstance(said, Explain)
    assert "b: no label x=y" in said.message
    ungated = proxy(gated=False, ungated_at=LATE, finalizers=BOTH, recorded=("b",))
    assert not any(isinstance(action, Bind) for action in decide(ungated, targets, NOW).actions)


def test_why_a_proxy_waits_is_said_target_by_target() -> None:
    targets = (
        target("a", chaperon(refusal="0/3 nodes are available: 3 Insufficient memory.")),
        target("b", trouble="unreachable since 14:02"),
    )
    message = "a: 0/3 nodes are available: 3 Insufficient memory.; b: unreachable (unreachable since 14:02)"
    waiting = proxy(finalizers=BOTH)
    later = NOW + timedelta(seconds=5)
    assert Explain(message) in decide(waiting, targets, later).actions
    assert not any(isinstance(a, Explain) for a in decide(waiting, targets, NOW).actions)


def test_no_reservation_waits_for_its_binding() -> None:
    assert decide(proxy(reservation=False, finalizers=BOTH), (target("a"),), NOW).actions == ()
    assert decide(proxy(reservation=False, node="a", finalizers=BOTH), (target("a"),), NOW).actions == (Ask("a"),)


chaperons = st.builds(
    chaperon,
    reserved=st.booleans(),
    allowed=st.booleans(),
    terminating=st.booleans(),
    missing=st.booleans(),
    after_ungate=st.booleans(),
    uid=st.sampled_from(["11111111-2222-3333-4444-555555555555", "another"]),
)
views = st.builds(
    lambda held, obstacle, trouble: (held, obstacle, trouble),
    st.lists(chaperons, max_size=2),
    st.sampled_from(["", "cordoned"]),
    st.sampled_from(["", "unreachable"]),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ProxyPod, tuple[TargetView, ...]]:
    targets = []
    for name in ("a", "b", "c")[: draw(st.integers(0, 3))]:
        held, obstacle, trouble = draw(views)
        own = {c.parent_uid: c for c in held}  # at most one for each uid: names are deterministic
        targets.append(target(name, *own.values(), obstacle=obstacle, trouble=trouble))
    pod = proxy(
        node=draw(st.sampled_from(["", "a", "b", "a-real-node"])),
        gated=draw(st.booleans()),
        phase=draw(st.sampled_from(["Pending", "Running", "Succeeded", "Failed"])),
        terminating=draw(st.booleans()),
        started=draw(st.booleans()),
        owned=draw(st.booleans()),
        ungated_at=draw(st.sampled_from(["", LATE])),
        finalizers=finalizers(*draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))),
        reservation=draw(st.booleans()),
    )
    return pod, tuple(targets)


@given(worlds())
def test_what_holds_in_every_world(world: tuple[ProxyPod, tuple[TargetView, ...]]) -> None:
    pod, targets = world
    plan = decide(pod, targets, NOW)
    reachable = {t.node_name for t in targets if not t.trouble}
    allows = [action for action in plan.actions if isinstance(action, Allow)]
    assert len(allows) <= 1
    for allow in allows:
        assert allow.node_name == pod.node_name, "only the cluster that the Binding names may be allowed"
        assert not pod.is_terminating
    for action in plan.actions:
        if isinstance(action, Allow | Withdraw | Ask):
            assert action.node_name in reachable, "nothing is written where nothing can be believed"
        if isinstance(action, Withdraw) and action.chaperon.parent_uid == pod.uid and action.chaperon.is_allowed:
            is_elsewhere = bool(pod.node_name) and pod.node_name != action.node_name
            assert (
                pod.is_terminating
                or is_elsewhere
                or action.chaperon.pod_missing_since
                or pod.needs_reservation is False
            ), "an allowed chaperon goes only with its proxy, or when another cluster was chosen"
        if isinstance(action, Ask) and pod.node_name:
            assert action.node_name == pod.node_name
        if isinstance(action, Bind | Ungate):
            assert not pod.node_name
    forgotten = [f for action in plan.actions if isinstance(action, ForgetTargets) for f in action.finalizers]
    for view in targets:
        mine = [c for c in view.chaperons if c.parent_uid == pod.uid]
        if mine or view.trouble:
            assert view.finalizer not in forgotten, "a finalizer goes only when nothing is left there"
