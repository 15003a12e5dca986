"""The scheduling queue: order, back-off, waking."""

import pytest

from lab.scheduler.model import Pod
from lab.scheduler.queue import SchedulingQueue, backoff_seconds
from tests.lab.scheduler.objects import pod


def popped(queue: SchedulingQueue, now: float) -> str:
    waiting = queue.pop(now)
    return waiting.pod.key[1] if waiting else ""


def test_priority_comes_before_age() -> None:
    queue = SchedulingQueue()
    queue.add(pod("old"), 0)
    queue.add(pod("young"), 1)
    queue.add(pod("urgent", priority=10), 2)
    assert [popped(queue, 3) for _ in range(4)] == ["urgent", "old", "young", ""]


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (50, 10)])
def test_backoff_doubles_up_to_ten_seconds(attempts: int, expected: float) -> None:
    assert backoff_seconds(attempts) == expected


def test_an_error_serves_its_back_off() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    waiting = queue.pop(0)
    assert waiting
    queue.retry(waiting, 0)
    assert popped(queue, 0.9) == ""
    assert queue.next_at() == 1.0
    assert popped(queue, 1.0) == "p"


def test_a_refused_pod_sleeps_until_an_event_for_those_who_refused_it() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    waiting = queue.pop(0)
    assert waiting
    queue.sleep(waiting, {"NodeResourcesFit"}, 0)
    queue.move(5, {"VolumeBinding"})
    assert popped(queue, 5) == ""
    queue.move(5, {"NodeResourcesFit", "NodePorts"})
    assert popped(queue, 5) == "p"


def test_a_pod_that_an_extender_refused_wakes_at_everything() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    waiting = queue.pop(0)
    assert waiting
    queue.sleep(waiting, {"Extender"}, 0)
    queue.move(5, {"VolumeBinding"})
    assert popped(queue, 5) == "p"


def test_an_event_while_in_flight_is_not_slept_through() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    waiting = queue.pop(0)
    assert waiting
    queue.move(0, {"NodeResourcesFit"})
    queue.sleep(waiting, {"NodeResourcesFit"}, 0)
    assert popped(queue, 1) == "p"


def test_hopeless_pods_are_looked_at_again_after_five_minutes() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    waiting = queue.pop(0)
    assert waiting
    queue.sleep(waiting, {"NodeAffinity"}, 0)
    assert popped(queue, 299) == ""
    assert popped(queue, 300) == "p"


def test_a_change_of_the_pod_wakes_it_but_its_status_does_not() -> None:
    queue = SchedulingQueue()
    before = pod("p")
    queue.add(before, 0)
    waiting = queue.pop(0)
    assert waiting
    queue.sleep(waiting, {"NodeAffinity"}, 0)
    queue.add(Pod(before.manifest | {"status": {"conditions": []}}), 2)
    assert popped(queue, 2) == ""
    queue.add(pod("p", labels={"new": "label"}), 2)
    assert popped(queue, 2) == "p"


def test_a_removed_pod_is_not_popped() -> None:
    queue = SchedulingQueue()
    queue.add(pod("p"), 0)
    queue.remove("uid-p")
    assert popped(queue, 0) == ""
    assert len(queue) == 0
