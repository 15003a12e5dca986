"""Filters, preemption, cache and scores on small clusters."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.scheduler.cache import Cache, clashes
from lab.scheduler.filters import Filter, Verdict, histogram
from lab.scheduler.model import Node, Pod
from lab.scheduler.preemption import preempt, victims_on
from lab.scheduler.refusal import Refusal
from lab.scheduler.scores import best, score
from tests.lab.scheduler.objects import place, pod


def refusal(wanted: Pod, *places: Any) -> tuple[str, ...]:
    found = Filter(wanted, places, {}).refuse(places[0])
    return found.reasons if found else ()


def test_the_first_filter_that_refuses_speaks() -> None:
    tainted = place("n", taints=[{"key": "k", "effect": "NoSchedule"}], cpu="0")
    assert refusal(pod("p", cpu="1"), tainted) == ("node(s) had untolerated taint(s)",)


def test_all_that_is_missing_is_named() -> None:
    small = place("n", cpu="1", memory="1Gi", pods="0")
    wanted = {"cpu": "2", "memory": "2Gi", "example.com/gpu": "1"}
    container = {"name": "main", "resources": {"requests": wanted}}
    assert refusal(pod("p", containers=[container]), small) == (
        "Too many pods",
        "Insufficient cpu",
        "Insufficient memory",
        "Insufficient example.com/gpu",
    )


def test_reasons_are_counted_and_sorted_as_text() -> None:
    reasons = [Refusal("", ("Insufficient cpu",)), Refusal("", ("Insufficient cpu", "Too many pods"))]
    assert histogram(reasons) == "1 Too many pods, 2 Insufficient cpu"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("0.0.0.0", "TCP", 80), ("127.0.0.1", "TCP", 80), True),
        (("127.0.0.1", "TCP", 80), ("127.0.0.2", "TCP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "UDP", 80), False),
        (("0.0.0.0", "TCP", 80), ("0.0.0.0", "TCP", 81), False),
    ],
)
def test_host_ports(one: tuple[str, str, int], other: tuple[str, str, int], expected: bool) -> None:
    assert clashes([one], [other]) is expected


def test_victims_are_as_few_and_as_unimportant_as_can_be() -> None:
    small, large = pod("small", cpu="1", priority=1), pod("large", cpu="3", priority=2)
    full = place("n", small, large)
    wanted = pod("p", cpu="1", priority=10)
    assert victims_on(wanted, full, Filter(wanted, [full], {})) == (small,)
    greedy = pod("q", cpu="4", priority=10)
    assert victims_on(greedy, full, Filter(greedy, [full], {})) == (large, small)
    equal = pod("r", cpu="1", priority=1)
    assert victims_on(equal, full, Filter(equal, [full], {})) is None


def test_preemption_prefers_the_node_whose_victims_matter_least() -> None:
    places = {
        "a": place("a", pod("more", cpu="4", priority=5)),
        "b": place("b", pod("less", cpu="4", priority=1)),
    }
    wanted = pod("p", cpu="1", priority=10)
    filters = Filter(wanted, places.values(), {})
    verdict = Verdict(refusals={name: one for name in places if (one := filters.refuse(places[name]))})
    assert preempt(wanted, verdict, places, filters).node == "b"


def test_the_cache_holds_the_room_of_an_assumed_pod_until_it_is_forgotten_or_seen() -> None:
    cache = Cache()
    cache.set_node("n", Node({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1", "pods": "1"}}}))
    wanted = pod("p", cpu="1")
    cache.assume(wanted, "n")
    cache.remove_pod(wanted.uid)  # deleted while its bind is held: the bind reports back itself
    assert cache.places["n"].requested["cpu"] == 1000
    cache.forget(wanted.uid)
    assert cache.places["n"].requested["cpu"] == 0
    cache.assume(wanted, "n")
    cache.set_pod(pod("p", cpu="1", nodeName="n"))
    cache.forget(wanted.uid)  # the answer was lost, but the bind had happened
    assert cache.places["n"].requested["cpu"] == 1000


@given(st.lists(st.tuples(st.sampled_from(["assume", "bind", "forget", "remove", "end"]), st.integers(0, 3))))
def test_what_a_node_counts_is_the_sum_of_its_pods(steps: list[tuple[str, int]]) -> None:
    cache = Cache()
    cache.set_node("n", Node({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "100"}}}))
    for step, number in steps:
        one = pod(f"p{number}", cpu=str(number + 1))
        match step:
            case "assume":
                cache.assume(one, "n")
            case "bind":
                cache.set_pod(pod(f"p{number}", cpu=str(number + 1), nodeName="n"))
            case "forget":
                cache.forget(one.uid)
            case "remove":
                cache.remove_pod(one.uid)
            case _:
                cache.set_pod(Pod(one.manifest | {"status": {"phase": "Failed"}}))
    node = cache.places["n"]
    assert node.requested.get("cpu", 0) == sum(each.requests["cpu"] for each in node.pods.values())


def test_the_emptier_node_scores_higher_and_ties_rotate() -> None:
    empty, busy = place("empty"), place("busy", pod("other", cpu="3"))
    assert best(pod("p", cpu="1"), score(pod("p", cpu="1"), [empty, busy])) == "empty"
    twins = [place("a"), place("b")]
    chosen = {best(pod(f"p{number}"), score(pod(f"p{number}"), twins)) for number in range(20)}
    assert chosen == {"a", "b"}
