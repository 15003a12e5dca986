"""Finalizers go in one write, and no target keeps those of others (rules S3, F4)."""

from datetime import datetime, timedelta

from federation.controllers.farewells import WAIT_SECONDS, Farewells
from tests.decisions.pods import NOW

KEY = ("default", "pod")


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def farewells() -> tuple[Farewells, Clock]:
    clock = Clock()
    return Farewells(clock), clock


def test_S3_finalizers_go_together_once_all_have_confirmed() -> None:
    kept, _ = farewells()
    assert kept.expect(KEY, "uid", ["a", "b"], ["lost"]) == ["a", "b"]
    kept.say(KEY, "uid", "a")
    assert kept.take(KEY) == frozenset()
    assert kept.expect(KEY, "uid", ["a", "b"], ["lost"]) == ["b"]
    kept.say(KEY, "uid", "b")
    assert kept.take(KEY) == {"a", "b", "lost"}
    assert kept.take(KEY) == frozenset(), "once: whoever could not drop them asks again"
    assert kept.expect(KEY, "uid", ["a"], []) == ["a"]


def test_F4_a_target_that_does_not_answer_keeps_its_own_finalizer_only() -> None:
    kept, clock = farewells()
    kept.expect(KEY, "uid", ["a", "silent"], [])
    clock.now = NOW + timedelta(seconds=WAIT_SECONDS)
    assert kept.take(KEY) == frozenset(), "nobody has confirmed"
    kept.say(KEY, "uid", "a")
    assert kept.take(KEY) == {"a"}


def test_S3_what_another_pod_of_the_name_or_an_earlier_look_confirmed_holds_no_longer() -> None:
    kept, _ = farewells()
    kept.expect(KEY, "uid", ["a", "b"], [])
    kept.say(KEY, "uid", "a")
    assert kept.expect(KEY, "another", ["a", "b"], []) == ["a", "b"]
    kept.say(KEY, "uid", "a")
    assert not kept.has_begun(KEY)
    kept.say(KEY, "another", "a")
    kept.forget(KEY)
    assert kept.expect(KEY, "another", ["a", "b"], []) == ["a", "b"]
