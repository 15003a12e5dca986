"""Pure decisions of the other controllers: ownership, taints, rollouts, roles, time to live."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from federation.kube.resources import CONFIG_MAPS
from lab.controllers.cluster_roles import aggregated_rules
from lab.controllers.node_rules import evicted_in, next_taints, wanted_taints
from lab.controllers.objects import timestamp
from lab.controllers.ownership import Delete, DropOwners, Fate, Graph, Record, judge
from lab.controllers.pod_garbage import surplus
from lab.controllers.rollout import fenceposts, sizes
from lab.controllers.ttl import expires_in

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Manifest = dict[str, Any]


def record(uid: str, *owners: str, finalizers: tuple[str, ...] = (), blocks: bool = False) -> Record:
    references = tuple({"uid": owner, "blockOwnerDeletion": blocks} for owner in owners)
    return Record(CONFIG_MAPS, "ns", uid, uid, "1", False, finalizers, references)


PLAIN = record("child", "x")
WAITING = replace(record("child", "x", finalizers=("foregroundDeletion",)), is_terminating=True)


@pytest.mark.parametrize(
    ("fates", "dependents", "expected"),
    [
        ({"a": "solid", "b": "solid"}, [], None),
        ({"a": "solid", "b": "absent"}, [], DropOwners(("b",))),
        ({"a": "solid", "b": "waiting"}, [], DropOwners(("b",))),
        ({"a": "absent", "b": "absent"}, [PLAIN], Delete("Background")),
        ({"a": "absent", "b": "waiting"}, [], Delete("Background")),
        ({"a": "absent", "b": "waiting"}, [PLAIN], Delete("Foreground")),
        ({"a": "absent", "b": "waiting"}, [WAITING], Delete("Foreground", ("b",))),
        ({"a": "absent", "b": "unknown"}, [], None),
        ({"a": "solid", "b": "unknown"}, [], None),
    ],
)
def test_what_becomes_of_an_object_with_two_owners(
    fates: dict[str, Fate], dependents: list[Record], expected: Delete | DropOwners | None
) -> None:
    assert judge(record("x", "a", "b"), fates, dependents) == expected


def test_an_object_keeps_the_way_it_wants_to_be_deleted() -> None:
    assert judge(record("x", "a", finalizers=("orphan",)), {"a": "absent"}, [PLAIN]) == Delete("Orphan")
    waiting = record("x", "a", finalizers=("foregroundDeletion",))
    assert judge(waiting, {"a": "absent"}) == Delete("Foreground")


def test_only_blocking_dependents_hold_up_their_owner() -> None:
    graph = Graph()
    graph.put(record("free", "owner"))
    graph.put(record("blocking", "owner", blocks=True))
    assert [one.uid for one in graph.blockers("owner")] == ["blocking"]
    graph.put(record("blocking"))  # it lost its owner
    assert graph.blockers("owner") == []
    assert [one.uid for one in graph.dependents("owner")] == ["free"]


def node(ready: str = "", *, pressure: str = "False", taints: list[Manifest] | None = None) -> Manifest:
    conditions = [{"type": "MemoryPressure", "status": pressure}]
    conditions += [{"type": "Ready", "status": ready}] if ready else []
    return {"metadata": {"name": "n"}, "spec": {"taints": taints or []}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("one", "may_evict", "expected"),
    [
        (node("True"), True, set()),
        (node("False"), True, {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}),
        (node("Unknown"), True, {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}),
        (node("Unknown"), False, {("unreachable", "NoSchedule")}),
        (node(), True, {("not-ready", "NoSchedule")}),
        (node("True", pressure="True"), True, {("memory-pressure", "NoSchedule")}),
    ],
)
def test_taints_follow_conditions(one: Manifest, may_evict: bool, expected: set[tuple[str, str]]) -> None:
    wanted = {(f"node.kubernetes.io/{key}", effect) for key, effect in expected}
    assert wanted_taints(one, may_evict=may_evict) == wanted


def test_taints_of_others_are_left_alone() -> None:
    theirs = {"key": "example.com/mine", "effect": "NoExecute"}
    ours = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert next_taints(node("True", taints=[theirs, ours]), set(), NOW) == [theirs]
    assert next_taints(node("True", taints=[theirs]), set(), NOW) is None


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        ([], 0.0),
        ([{"operator": "Exists"}], None),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": 30}], 20.0),
        ([{"operator": "Exists"}, {"key": "k", "operator": "Exists", "tolerationSeconds": 5}], -5.0),
        ([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], 0.0),
    ],
)
def test_how_long_a_pod_may_stay(tolerations: list[Manifest], expected: float | None) -> None:
    taint = {"key": "k", "effect": "NoExecute", "timeAdded": timestamp(NOW - timedelta(seconds=10))}
    assert evicted_in({"spec": {"tolerations": tolerations}}, [taint], NOW, NOW) == expected


def replica_set(uid: str, replicas: int, available: int, created: str = "2026") -> Manifest:
    return {
        "metadata": {"uid": uid, "creationTimestamp": created},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": available},
    }


def deployment(replicas: int, surge: object = "25%", unavailable: object = "25%") -> Manifest:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"metadata": {"name": "d"}, "spec": {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (4, "25%", "25%", (1, 1)),
        (3, "25%", "25%", (1, 0)),
        (1, 0, "25%", (0, 1)),
        (10, 3, 2, (3, 2)),
        (2, 0, 5, (0, 2)),
    ],
)
def test_fenceposts(replicas: int, surge: object, unavailable: object, expected: tuple[int, int]) -> None:
    assert fenceposts(deployment(replicas, surge, unavailable)) == expected


def test_a_rollout_makes_room_then_fills_it_then_clears_up() -> None:
    web = deployment(4, 1, 1)
    old = replica_set("old", 4, 4)
    assert sizes(web, replica_set("new", 0, 0), [old]) == {"new": 1}
    assert sizes(web, replica_set("new", 1, 0), [old]) == {"old": 3}
    assert sizes(web, replica_set("new", 2, 0), [replica_set("old", 3, 3)]) == {}
    assert sizes(web, replica_set("new", 2, 2), [replica_set("old", 3, 3)]) == {"old": 1}
    assert sizes(web, replica_set("new", 4, 4), [replica_set("old", 0, 0)]) == {}


def test_broken_old_pods_go_first() -> None:
    web = deployment(2, 1, 0)
    broken, good = replica_set("broken", 1, 0, "2025"), replica_set("good", 2, 2)
    assert sizes(web, replica_set("new", 1, 1), [broken, good]) == {"broken": 0, "good": 1}


def test_aggregated_roles_have_each_rule_once() -> None:
    rule, other = {"verbs": ["get"], "resources": ["pods"]}, {"verbs": ["list"], "resources": ["pods"]}
    labels = {"aggregate": "yes"}
    roles = [
        {"metadata": {"name": "a", "labels": labels}, "rules": [rule]},
        {"metadata": {"name": "b", "labels": labels}, "rules": [rule, other]},
        {"metadata": {"name": "c"}, "rules": [{"verbs": ["delete"]}]},
    ]
    whole = {"metadata": {"name": "w"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]}}
    assert aggregated_rules(whole, [*roles, whole]) == [rule, other]


def test_time_to_live_starts_with_the_end() -> None:
    ended = {"type": "Complete", "status": "True", "lastTransitionTime": timestamp(NOW - timedelta(seconds=4))}
    one = {"metadata": {}, "spec": {"ttlSecondsAfterFinished": 10}, "status": {"conditions": [ended]}}
    assert expires_in(one, NOW) == 6.0
    assert expires_in(one | {"status": {}}, NOW) is None
    assert expires_in(one | {"spec": {}}, NOW) is None


def test_only_pods_that_ended_are_surplus_and_the_oldest_first() -> None:
    pods = [
        {"metadata": {"creationTimestamp": f"2026-01-0{day}"}, "status": {"phase": phase}}
        for day, phase in ((3, "Failed"), (1, "Running"), (2, "Succeeded"))
    ]
    assert surplus(pods, limit=1) == [pods[2]]
