"""Whom to ask for room: rules F1-F3."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.decisions.asking import (
    PROBES,
    WINDOW_MAX,
    WINDOW_MIN,
    Choice,
    Odds,
    Refusal,
    Window,
    patience_seconds,
    questions,
    room,
    shape,
    wanted_asking,
)
from federation.model.chaperon import Chaperon
from federation.model.pod import Asking
from tests.decisions.pods import NOW, chaperon, submitted

LONG_AGO = NOW - timedelta(minutes=1)
REFUSED = chaperon(refusal="0/1 nodes are available: 1 Insufficient cpu.")


def choice(name: str, held: Chaperon | None = None, **odds: object) -> Choice:
    return Choice(name, Odds(**odds), held)  # type: ignore[arg-type]  # by name


def asks(*choices: Choice, asking: Asking = Asking.LIKELIEST) -> tuple[str, ...]:
    return questions(asking, "uid", choices, NOW).ask


def test_the_likeliest_is_asked_first_and_alone() -> None:
    assert asks(choice("a", room=0.1), choice("b", room=0.8), choice("c", room=0.5)) == ("b",)


def test_a_weight_multiplies_the_room() -> None:
    assert asks(choice("a", room=0.3, weight=3), choice("b", room=0.8)) == ("a",)


def test_where_it_does_not_fit_or_was_refused_comes_last() -> None:
    assert asks(choice("a", room=-0.1, weight=100), choice("b", room=0.0)) == ("b",)
    assert asks(choice("a", room=0.9, is_refused=True), choice("b", room=0.1)) == ("b",)
    assert asks(choice("a", room=0.9, is_refused=True)) == ("a",), "a probe"


def test_equal_targets_take_turns() -> None:
    equal = (choice("a", room=0.5), choice("b", room=0.5))
    first = [questions(Asking.LIKELIEST, f"uid-{number}", equal, NOW).ask[0] for number in range(100)]
    assert 30 < first.count("a") < 70


def test_F1_nobody_else_is_asked_while_an_answer_may_come() -> None:
    waiting = choice("a", chaperon(), asked_at=NOW - timedelta(seconds=0.4), patience_seconds=1.0)
    found = questions(Asking.LIKELIEST, "uid", (waiting, choice("b")), NOW)
    assert found.ask == ()
    assert found.look_again_seconds == pytest.approx(0.6)


def test_F1_a_refusal_or_silence_widens_to_twice_as_many() -> None:
    others = [choice(name, room=0.5) for name in "bcdefgh"]
    assert len(asks(choice("a", REFUSED), *others)) == 1
    assert len(asks(choice("a", chaperon(), asked_at=LONG_AGO), *others)) == 1
    two = [choice("a", REFUSED), choice("b", chaperon(), asked_at=LONG_AGO)]
    assert len(asks(*two, *others[1:])) == 2
    four = [*two, choice("c", REFUSED), choice("d", REFUSED)]
    assert len(asks(*four, *others[3:])) == 4


def test_F1_a_slow_target_is_given_three_times_its_p90() -> None:
    assert patience_seconds([]) == 1.0
    assert patience_seconds([0.1] * 50) == 1.0
    assert patience_seconds([0.5] * 45 + [2.0] * 5) == 6.0
    asked_at = NOW - timedelta(seconds=5)
    busy = choice("a", chaperon(), asked_at=asked_at, heard_at=NOW - timedelta(seconds=1.5), patience_seconds=6.0)
    assert asks(busy, choice("b")) == ()
    found = questions(Asking.LIKELIEST, "uid", (busy, choice("b")), NOW)
    assert found.look_again_seconds == pytest.approx(0.5), "it may fall silent"


@pytest.mark.parametrize("heard_seconds_ago", [None, 30, 2])
def test_F4_a_target_that_says_nothing_to_anybody_is_given_two_seconds(heard_seconds_ago: float | None) -> None:
    heard_at = None if heard_seconds_ago is None else NOW - timedelta(seconds=heard_seconds_ago)
    for seconds, expected in ((1.9, ()), (2.0, ("b",))):
        asked_at = NOW - timedelta(seconds=seconds)
        silent = choice("a", chaperon(), asked_at=asked_at, heard_at=heard_at, patience_seconds=15.0)
        assert asks(silent, choice("b")) == expected


def on_its_way(seconds: float, **odds: object) -> Choice:
    """A question that was put some seconds ago and has not been taken yet."""
    return choice("a", None, asked_at=NOW - timedelta(seconds=seconds), is_on_its_way=True, **odds)


def test_F4_a_question_on_its_way_is_not_put_again_and_its_silence_is_evidence() -> None:
    others = [choice("b", room=0.9), choice("c", room=0.8), choice("d", room=0.1)]
    waiting = questions(Asking.LIKELIEST, "uid", (on_its_way(0.4), *others), NOW)
    assert waiting.ask == ("a",), "it is wanted still, and nobody else is asked"
    assert waiting.look_again_seconds == pytest.approx(0.6)
    assert asks(on_its_way(1.0), *others) == ("a", "b")
    assert asks(on_its_way(1.0), choice("b", chaperon(), asked_at=LONG_AGO), *others[1:]) == ("a", "c", "d")
    assert asks(on_its_way(0.1), *others, asking=Asking.ALL) == ("a", "b", "c", "d")


def test_F4_an_api_server_that_answers_others_slowly_is_given_two_seconds_too() -> None:
    slow = on_its_way(2.0, heard_at=NOW, patience_seconds=15.0)
    assert asks(slow, choice("b")) == ("a", "b")


def test_F4_a_question_that_could_not_be_put_is_evidence_at_once() -> None:
    failing = choice("a", asked_at=NOW, is_failing=True)
    assert asks(failing, choice("b")) == ("a", "b")


def test_F4_whoever_is_asked_is_looked_at_again_when_silence_is_evidence() -> None:
    found = questions(Asking.LIKELIEST, "uid", (choice("a", patience_seconds=1.5),), NOW)
    assert (found.ask, found.look_again_seconds) == (("a",), 1.5)
    found = questions(Asking.LIKELIEST, "uid", (choice("a", patience_seconds=20.0),), NOW)
    assert found.look_again_seconds == 2.0


def test_F3_nobody_else_is_asked_while_it_is_not_known_what_became_of_the_question() -> None:
    found = questions(Asking.ONE, "uid", (on_its_way(10), choice("b")), NOW)
    assert (found.ask, found.withdraw) == (("a",), ())
    failing = choice("a", asked_at=NOW, is_failing=True)
    assert asks(failing, choice("b"), asking=Asking.ONE) == ("b",)
    assert asks(failing, choice("b", is_open=False), asking=Asking.ONE) == ("a",)


def test_F1_a_full_window_is_passed_by() -> None:
    assert asks(choice("a", room=0.9, is_open=False), choice("b", room=0.1)) == ("b",)
    assert asks(choice("a", is_open=False)) == ()


def test_F1_a_window_grows_by_each_reservation_and_halves_once_for_a_batch_of_refusals() -> None:
    window = Window(32)
    assert window.grown().size == 33
    halved = window.halved(NOW).halved(NOW).halved(NOW + timedelta(seconds=0.5))
    assert halved.size == 16
    assert halved.halved(NOW + timedelta(seconds=1)).size == 8


@given(st.lists(st.booleans(), max_size=3000))
def test_F1_a_window_stays_within_its_bounds(history: list[bool]) -> None:
    window, now = Window(), NOW
    for is_reserved in history:
        now += timedelta(seconds=1)
        window = window.grown() if is_reserved else window.halved(now)
        assert WINDOW_MIN <= window.size <= WINDOW_MAX


def test_F2_a_refused_shape_is_not_asked_beyond_its_probes() -> None:
    assert asks(choice("a", is_refused=True, is_probed=True)) == ()
    found = questions(Asking.LIKELIEST, "uid", (choice("a", REFUSED, is_surplus=True),), NOW)
    assert found.withdraw == ("a",)


def test_F2_a_refusal_is_believed_longer_each_time() -> None:
    refusal, now, waits = None, NOW, []
    for _ in range(6):
        refusal = Refusal.after(refusal, "no", now)
        assert Refusal.after(refusal, "still no", now).until == refusal.until, "the same news"
        waits.append((refusal.until - now).total_seconds())
        now = refusal.until
    assert waits == [5, 10, 20, 40, 60, 60]


def test_F3_a_pod_with_claims_is_asked_one_target_at_a_time() -> None:
    asked = choice("a", chaperon(), asked_at=NOW)
    assert questions(Asking.ONE, "uid", (asked, choice("b")), NOW).ask == ()
    refused = questions(Asking.ONE, "uid", (choice("a", REFUSED, is_refused=True), choice("b")), NOW)
    assert (refused.ask, refused.withdraw) == ((), ("a",))
    going = choice("a", replace(REFUSED, is_terminating=True), is_refused=True)
    assert questions(Asking.ONE, "uid", (going, choice("b")), NOW).ask == ()
    assert asks(choice("a", is_refused=True), choice("b"), asking=Asking.ONE) == ("b",)
    nowhere_else = questions(Asking.ONE, "uid", (choice("a", REFUSED), choice("b", is_refused=True)), NOW)
    assert (nowhere_else.ask, nowhere_else.withdraw) == ((), ()), "no use in going round in circles"


def test_C2_a_pod_to_be_compared_is_asked_everywhere_at_once() -> None:
    assert set(asks(choice("a"), choice("b"), choice("c", is_open=False), asking=Asking.ALL)) == {"a", "b"}


@given(
    st.lists(
        st.builds(
            choice,
            st.uuids().map(str),
            st.sampled_from([None, chaperon(), REFUSED, chaperon(terminating=True)]),
            room=st.floats(-1, 1) | st.none(),
            is_open=st.booleans(),
            is_refused=st.booleans(),
            is_probed=st.booleans(),
            is_surplus=st.booleans(),
            asked_at=st.sampled_from([None, NOW, LONG_AGO]),
        ),
        max_size=8,
    ),
    st.sampled_from(list(Asking)),
)
def test_what_holds_of_all_questions(choices: list[Choice], asking: Asking) -> None:
    found = questions(asking, "uid", choices, NOW)
    by_node = {one.node_name: one for one in choices}
    present = [one for one in choices if one.chaperon is not None]
    for node in found.ask:
        assert by_node[node].chaperon is None, "never asked twice"
        assert by_node[node].odds.is_open
    for node in found.withdraw:
        assert by_node[node].chaperon is not None
    if asking is Asking.ONE:
        assert len(found.ask) + len(present) <= max(1, len(present))
    if asking is Asking.LIKELIEST:
        assert len(found.ask) <= max(1, len(present))


def test_the_scarcest_resource_decides_how_much_room_is_left() -> None:
    there = {"cpu": 4000, "memory": 1000, "pods": 10}
    assert room(there, {"cpu": 1000}, {"cpu": 1000, "pods": 1}) == 0.5
    assert room(there, {"memory": 900}, {"memory": 200}) == pytest.approx(-0.1)
    assert room(there, {}, {"nvidia.com/gpu": 1}) == -1.0
    assert room({}, {}, {"cpu": 1}) is None


def test_pods_of_one_template_have_one_shape() -> None:
    pod = submitted()["spec"]
    token = {"name": "kube-api-access-x7x2q", "projected": {"sources": []}}
    assert shape("ci", pod) == shape("ci", pod | {"volumes": [token]})
    assert shape("ci", pod) != shape("other", pod), "quotas differ"
    assert shape("ci", pod) != shape("ci", pod | {"nodeSelector": {"kubernetes.io/arch": "arm64"}})
    assert shape("ci", pod) != shape("ci", pod | {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]})
    assert PROBES < WINDOW_MIN + 1, "probes of one shape never fill a window"


@pytest.mark.parametrize(
    ("submitted_spec", "constraints", "expected"),
    [
        ({}, {}, Asking.LIKELIEST),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, {}, Asking.LIKELIEST),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, {}, Asking.ONE),
        ({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}]}, {}, Asking.ONE),
        ({"resourceClaims": [{"name": "gpu"}]}, {"topologySpreadConstraints": [{}]}, Asking.ONE),
        ({}, {"topologySpreadConstraints": [{}]}, Asking.ALL),
        ({}, {"affinity": {"podAntiAffinity": {"x": []}}}, Asking.ALL),
        ({}, {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}}}, Asking.ALL),
        ({}, {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}}, Asking.LIKELIEST),
    ],
)
def test_how_a_pod_is_asked_follows_from_its_spec(
    submitted_spec: dict[str, object], constraints: dict[str, object], expected: Asking
) -> None:
    assert wanted_asking(submitted_spec, constraints) is expected
