"""What is written about an object that follows its pods, case by case, and what holds in every case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.decisions.copying import Action, CopyView, Forget, Mark, Put, Remove, decide, forgotten
from federation.model.copied import Copy, Original

Manifest = dict[str, Any]

F, G = names.PREFIX + "f", names.PREFIX + "g"
CHANGE = {"spec": {"selector": {"x": "y"}}}


def original(*finalizers: str, terminating: bool = False, others: tuple[str, ...] = ()) -> Original:
    labels = {names.HAS_FINALIZER: "true"} if finalizers else {}
    manifest = {"metadata": {"labels": labels}, "spec": {}}
    return Original("ns", "s", "u", "7", terminating, finalizers, others, manifest)


def copy(terminating: bool = False) -> Copy:
    return Copy("ns", "s", "v", "9", "u", "home", terminating, {})


def plan(
    it: Original | None, *views: CopyView, followed: bool = True, change: Manifest | None = None
) -> tuple[Action, ...]:
    return decide(it, is_followed=followed, change=change or {}, views=views)


def test_the_original_is_marked_before_anything_is_copied() -> None:
    (mark,) = plan(original(others=("their.io/x",)), CopyView("f", F), CopyView("g", G), change=CHANGE)
    assert isinstance(mark, Mark)
    assert mark.patch["metadata"] == {"finalizers": ["their.io/x", F, G], "labels": {names.HAS_FINALIZER: "true"}}
    assert mark.patch["spec"] == CHANGE["spec"]
    assert plan(original(F, G), CopyView("f", F), CopyView("g", G)) == (Put(F), Put(G))


def test_a_target_in_trouble_is_neither_recorded_nor_written() -> None:
    assert plan(original(F), CopyView("f", F), CopyView("g", G, trouble="away")) == (Put(F),)


def test_a_leaving_target_gives_back_what_it_has() -> None:
    held = copy()
    views = (CopyView("f", F, is_leaving=True, copy=held), CopyView("g", G))
    assert plan(original(F, G), *views) == (Put(G), Remove(F, held))
    assert plan(original(F, G), CopyView("f", F, is_leaving=True), CopyView("g", G)) == (Put(G), Forget((F,)))


def test_a_target_that_is_no_more_is_forgotten() -> None:
    assert plan(original(F, G), CopyView("f", F)) == (Put(F), Forget((G,)))
    assert plan(original(F), CopyView("g", G), followed=False) == (Forget((F,)),)


@pytest.mark.parametrize("terminating", [False, True])
def test_the_end_removes_copies_then_forgets(terminating: bool) -> None:
    it, held = original(F, G, terminating=terminating), copy()
    followed = terminating  # deletion counts also while it is followed
    assert plan(it, CopyView("f", F, copy=held), CopyView("g", G), followed=followed) == (Remove(F, held), Forget((G,)))
    assert plan(it, CopyView("f", F, copy=copy(True)), CopyView("g", G, trouble="away"), followed=followed) == ()


def test_undoing_comes_first_but_not_for_what_is_going() -> None:
    assert plan(original(F), CopyView("f", F, copy=copy()), followed=False, change=CHANGE) == (Mark(CHANGE),)
    going = plan(original(F, terminating=True), CopyView("f", F, copy=copy()), followed=False, change=CHANGE)
    assert going == (Remove(F, copy()),)


def test_what_is_gone_leaves_no_copy() -> None:
    assert plan(None, CopyView("f", F, copy=copy()), CopyView("g", G)) == (Remove(F, copy()),)


def test_the_label_goes_with_the_last_finalizer() -> None:
    it = original(F, G, others=("their.io/x",))
    assert forgotten(it, (F,)) == {"metadata": {"finalizers": ["their.io/x", G]}}
    assert forgotten(it, (F, G))["metadata"] == {"finalizers": ["their.io/x"], "labels": {names.HAS_FINALIZER: None}}


VIEWS = st.lists(
    st.builds(
        CopyView,
        st.just("t"),
        st.sampled_from([F, G, names.PREFIX + "h"]),
        st.sampled_from(["", "away"]),
        st.booleans(),
        st.sampled_from([None, copy(), copy(True)]),
    ),
    unique_by=lambda view: view.finalizer,
).map(tuple)


@given(VIEWS, st.sets(st.sampled_from([F, G])), st.booleans(), st.booleans(), st.sampled_from([{}, CHANGE]))
def test_what_holds_in_every_world(
    views: tuple[CopyView, ...], finalizers: set[str], terminating: bool, followed: bool, change: Manifest
) -> None:
    it = original(*sorted(finalizers), terminating=terminating)
    by_finalizer = {view.finalizer: view for view in views}
    for action in plan(it, *views, followed=followed, change=change):
        match action:
            case Put(finalizer):
                assert finalizer in finalizers, "on record before it is written"
                assert followed
                assert not terminating
                assert not by_finalizer[finalizer].trouble
            case Remove(finalizer, _):
                assert not by_finalizer[finalizer].trouble
            case Forget(gone):
                for finalizer in gone:
                    view = by_finalizer.get(finalizer)
                    assert view is None or (view.copy is None and not view.trouble)
            case Mark():
                assert not terminating
