"""What a target says of itself, and what its virtual node shows."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from federation.decisions.capacity import committed, shown, summarise
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.summary import (
    Occupant,
    Summary,
    parse_cluster_node,
    parse_occupant,
    parse_summary,
)
from federation.names import API_VERSION, ELECT, SOURCE_POD_MANIFEST


def node(name: str, cpu: str = "4", *, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    status = {
        "capacity": {"cpu": cpu, "memory": "8Gi", "pods": "110"},
        "allocatable": {"cpu": cpu, "memory": "7Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": more.get("ready", "True")}],
        "nodeInfo": {"kubeletVersion": more.get("version", "v1.37.2")},
    }
    spec = {"unschedulable": True} if more.get("cordoned") else {}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": status}


def pod(node_name: str, cpu: str, owner: dict[str, Any] | None = None, phase: str = "Running") -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "default", "ownerReferences": [owner] if owner else []}
    spec = {"nodeName": node_name, "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


CHAPERON = {"apiVersion": API_VERSION, "kind": "PodChaperon", "name": "p", "uid": "u", "controller": True}


def summary_of(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> Summary:
    occupants = [occupant for manifest in pods if (occupant := parse_occupant(manifest))]
    return summarise("id", [parse_cluster_node(manifest) for manifest in nodes], occupants)


def test_m5_room_is_the_total_less_what_nobody_federated() -> None:
    nodes = [node("a"), node("b", "2")]
    pods = [pod("a", "1"), pod("b", "500m", CHAPERON), pod("a", "3", phase="Succeeded"), pod("", "3")]
    summary = summary_of(nodes, pods)
    assert summary.capacity == {"cpu": 6000, "memory": 16 * 1024**3, "pods": 220}
    assert summary.allocatable == {"cpu": 5000, "memory": 14 * 1024**3, "pods": 219}


def test_a_pod_that_merely_says_it_is_a_chaperons_is_not() -> None:
    pretended = [CHAPERON | {"controller": False}, CHAPERON | {"apiVersion": "v1"}, CHAPERON | {"kind": "Job"}]
    assert summary_of([node("a")], [pod("a", "1", owner) for owner in pretended]).allocatable["cpu"] == 1000


def test_nodes_that_take_no_pods_have_capacity_but_no_room() -> None:
    nodes = [node("a"), node("b", cordoned=True), node("c", ready="Unknown")]
    summary = summary_of(nodes, [pod("b", "1"), pod("c", "1")])
    assert (summary.capacity["cpu"], summary.allocatable["cpu"]) == (12000, 4000)


def test_virtual_nodes_and_proxies_on_them_do_not_count() -> None:
    virtual = node("admiralty-x", "100", labels={"virtual-kubelet.io/provider": "admiralty", "own": "label"})
    summary = summary_of([node("a"), virtual], [pod("admiralty-x", "1")])
    assert (summary.capacity["cpu"], summary.allocatable["cpu"], summary.labels) == (4000, 4000, {})


def test_labels_with_one_value_wherever_they_are() -> None:
    nodes = [
        node("a", labels={"kubernetes.io/arch": "arm64", "kubernetes.io/hostname": "a", "gpu": "yes"}),
        node("b", labels={"kubernetes.io/arch": "arm64", "kubernetes.io/hostname": "b"}),
    ]
    assert summary_of(nodes, []).labels == {"gpu": "yes", "kubernetes.io/arch": "arm64"}
    assert summary_of(nodes[:1], []).labels["kubernetes.io/hostname"] == "a"


def test_the_oldest_kubelet_speaks_for_the_cluster() -> None:
    nodes = [node("a", version="v1.37.2"), node("b", version="v1.9.11"), node("c", version="v1.37.0-rc.1")]
    assert summary_of(nodes, []).kubelet_version == "v1.9.11"
    assert summary_of([], []).kubelet_version == ""


def test_a_summary_survives_the_wire_and_other_clusters_mistakes() -> None:
    summary = summary_of([node("a", labels={"x": "y"})], [])
    assert parse_summary(summary.manifest()) == summary
    strange = {"metadata": {"name": "singleton"}, "capacity": {"cpu": "many", "pods": 5, "memory": "-1"}}
    assert parse_summary(strange) == Summary(capacity={"pods": 5, "memory": 0})
    assert parse_summary({"metadata": {"name": "other"}}) is None


RESOURCES = st.dictionaries(st.sampled_from(["cpu", "memory", "pods"]), st.integers(0, 1000))


@given(RESOURCES, RESOURCES, RESOURCES)
def test_m5_what_is_reserved_is_shown_at_once(
    capacity: dict[str, int], allocatable: dict[str, int], wanted: dict[str, int]
) -> None:
    shown_capacity, shown_allocatable = shown(Summary(capacity=capacity, allocatable=allocatable), wanted)
    for name, value in wanted.items():
        assert shown_allocatable[name] >= value
    for name, value in shown_allocatable.items():
        assert value == max(allocatable.get(name, 0), wanted.get(name, 0))
        assert shown_capacity[name] >= value
    assert shown(None, wanted) == (wanted, wanted)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=20), st.integers(0, 8000))
def test_federated_pods_never_change_the_room(pods: list[tuple[bool, int]], cpu: int) -> None:
    nodes = [parse_cluster_node(node("a", f"{cpu}m"))]
    occupants = [Occupant("a", is_federated, {"cpu": value}) for is_federated, value in pods]
    own = sum(value for is_federated, value in pods if not is_federated)
    assert summarise("", nodes, occupants).allocatable["cpu"] == max(cpu - own, 0)


def proxy(uid: str, node_name: str, phase: str = "Running") -> ProxyPod:
    manifest = pod(node_name, "1", phase=phase)
    manifest["metadata"] |= {"uid": uid, "resourceVersion": "1", "annotations": {ELECT: "", SOURCE_POD_MANIFEST: "{}"}}
    parsed = parse_proxy(manifest)
    assert parsed
    return parsed


def test_committed_is_what_is_bound_or_held() -> None:
    proxies = [
        proxy("bound", "x"),
        proxy("finished", "x", "Succeeded"),
        proxy("elsewhere", "y"),
        proxy("held", ""),
        proxy("waiting", ""),
    ]
    assert committed("x", proxies, {"held", "elsewhere", "bound"}) == {"cpu": 2000, "pods": 2}
    assert committed("x", [], {"held"}) == {}
