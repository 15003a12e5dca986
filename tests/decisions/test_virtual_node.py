"""The Node of a target: what it shows, and that it leaves alone what is not ours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.decisions.node_policy import node_policy
from federation.decisions.virtual_node import (
    GRACE,
    TAINT,
    base_labels,
    new_node,
    next_look,
    object_patch,
    status_patch,
    wanted_labels,
)
from federation.model.summary import Summary
from federation.model.target import Target, parse_target
from federation.model.virtual_node import (
    OWNED_LABELS,
    Health,
    KubeletAddress,
    VirtualNode,
    VirtualNodeView,
    parse_virtual_node,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = {"kubeconfigSecret": {"name": "s"}}
TARGET = parse_target({"metadata": {"namespace": "default", "name": "c1", "uid": "t"}, "spec": SPEC})
CLUSTER_TARGET = parse_target({"metadata": {"name": "c1", "uid": "t"}, "spec": SPEC})
UP = Health(True, NOW)


def everything(_: str) -> bool:
    return False


def view(**changes: Any) -> VirtualNodeView:
    values: dict[str, Any] = {
        "target": TARGET,
        "health": UP,
        "summary": Summary(capacity={"cpu": 4000}, allocatable={"cpu": 3000}, labels={"kubernetes.io/arch": "arm64"}),
        "committed": {},
        "kubelet": KubeletAddress("10.0.0.1", 12345),
        "kubelet_version": "v1.37.2",
    }
    return VirtualNodeView(**(values | changes))


def merged(current: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def node_of(manifest: dict[str, Any]) -> VirtualNode:
    manifest = merged(manifest, {"metadata": {"uid": "u", "resourceVersion": "1"}})
    node = parse_virtual_node(manifest)
    assert node
    return node


@pytest.mark.parametrize(
    ("target", "identity"),
    [
        (
            TARGET,
            {"multicluster.admiralty.io/target-namespace": "default", "multicluster.admiralty.io/target-name": "c1"},
        ),
        (CLUSTER_TARGET, {"multicluster.admiralty.io/cluster-target-name": "c1"}),
    ],
)
def test_every_virtual_node_carries_admiraltys_labels_and_its_own_host_name(
    target: Target, identity: dict[str, str]
) -> None:
    assert wanted_labels(target, None, everything) == {
        "kubernetes.io/hostname": target.node_name,
        "type": "virtual-kubelet",
        "virtual-kubelet.io/provider": "admiralty",
        "kubernetes.io/role": "cluster",
        "alpha.service-controller.kubernetes.io/exclude-balancer": "true",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        **identity,
    }


def test_the_targets_labels_lie_under_ours() -> None:
    summary = Summary(
        labels={
            "kubernetes.io/hostname": "the-only-node",
            "type": "other",
            "kubernetes.io/arch": "arm64",
            "multicluster.admiralty.io/cluster-target-name": "somebody-else",
            "team": "blue",
        }
    )
    labels = wanted_labels(TARGET, summary, lambda label: label == "team=blue")
    assert labels == wanted_labels(TARGET, None, everything) | {"kubernetes.io/arch": "arm64"}


def test_a_new_node_needs_no_patch() -> None:
    labels = wanted_labels(TARGET, view().summary, everything)
    manifest = new_node(TARGET, labels)
    assert manifest["spec"]["taints"] == [
        {"key": "virtual-kubelet.io/provider", "value": "admiralty", "effect": "NoSchedule"}
    ]
    assert object_patch(node_of(manifest), labels, base_labels(TARGET)) == {}


LABELS = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "kubernetes.io/role"]), st.sampled_from(["1", "2"]))


@given(LABELS, LABELS, LABELS)
def test_others_labels_stay_and_ours_follow_the_target(
    before: dict[str, str], foreign: dict[str, str], after: dict[str, str]
) -> None:
    base = base_labels(TARGET)
    manifest = new_node(TARGET, before | base)
    foreign = {key: value for key, value in foreign.items() if key not in before | base}
    manifest["metadata"]["labels"] |= foreign
    wanted = after | base
    manifest = merged(manifest, object_patch(node_of(manifest), wanted, base))
    assert manifest["metadata"]["labels"] == after | foreign | base
    assert object_patch(node_of(manifest), wanted, base) == {}
    gone = merged(manifest, object_patch(node_of(manifest), base, base))
    assert gone["metadata"]["labels"] == foreign | base
    assert set(gone["metadata"]["annotations"][OWNED_LABELS].split(",")) == set(base)


def test_our_taint_is_put_back_beside_those_of_others() -> None:
    labels = wanted_labels(TARGET, None, everything)
    manifest = new_node(TARGET, labels)
    unready = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    manifest["spec"] = {"taints": [unready], "unschedulable": True}
    assert object_patch(node_of(manifest), labels, base_labels(TARGET)) == {"spec": {"taints": [unready, TAINT]}}
    manifest["spec"] = {"taints": [unready, TAINT]}
    assert object_patch(node_of(manifest), labels, base_labels(TARGET)) == {}


def test_the_status_of_a_healthy_target() -> None:
    status = merged({}, status_patch({}, view(committed={"cpu": 3500, "pods": 2}), NOW))
    assert status["capacity"] == {"cpu": "4", "pods": "2"}
    assert status["allocatable"] == {"cpu": "3500m", "pods": "2"}
    assert status["addresses"] == [{"type": "InternalIP", "address": "10.0.0.1"}]
    assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 12345}}
    assert status["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]
    assert status["nodeInfo"]["kubeletVersion"] == "v1.37.2"
    assert status["nodeInfo"]["architecture"] == "arm64"
    ready = {c["type"]: c["status"] for c in status["conditions"]}
    assert ready.pop("Ready") == "True"
    assert set(ready.values()) == {"False"}
    assert status_patch(status, view(committed={"cpu": 3500, "pods": 2}), NOW + timedelta(hours=1)) == {}


def test_resources_that_are_no_more_go_and_equal_amounts_are_no_change() -> None:
    status = merged({}, status_patch({}, view(), NOW))
    status["capacity"] = {"cpu": "4000m", "example.com/gpu": "1"}
    assert status_patch(status, view(), NOW) == {"capacity": {"example.com/gpu": None}}


def test_a_target_that_is_silent_for_long_makes_its_node_not_ready_and_back() -> None:
    status = merged({}, status_patch({}, view(), NOW))
    foreign = {"type": "KernelDeadlock", "status": "False"}
    status["conditions"].insert(0, foreign)
    down = Health(False, NOW, "connection refused")
    soon, later = NOW + GRACE / 2, NOW + GRACE
    assert status_patch(status, view(health=down), soon) == {}
    assert next_look(down, soon) == GRACE.total_seconds() / 2
    assert next_look(down, later) is None
    status = merged(status, status_patch(status, view(health=down), later))
    assert status["conditions"][0] == foreign
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "TargetUnreachable")
    assert ready["message"] == "unreachable since 2026-01-02T03:04:05Z: connection refused"
    assert ready["lastTransitionTime"] == "2026-01-02T03:04:25Z"
    assert status_patch(status, view(health=down), later + GRACE) == {}
    status = merged(status, status_patch(status, view(health=Health(True, later)), later + GRACE))
    assert next(c for c in status["conditions"] if c["type"] == "Ready")["status"] == "True"


def test_a_node_of_a_target_that_never_answered_is_not_ready_at_once() -> None:
    status = merged({}, status_patch({}, view(health=Health(False, NOW, "no route"), summary=None), NOW))
    assert next(c for c in status["conditions"] if c["type"] == "Ready")["status"] == "False"


POLICY = node_policy("kubernetes.io/arch, kubernetes.io/os,team/*", {"cpu": 100, "memory": 2**40, "*": 1000})
CLAIMED = Summary(
    capacity={"cpu": 10**9, "memory": 10**15, "pods": 10**6, "nvidia.com/gpu": 8},
    allocatable={"cpu": 10**9},
    labels={
        "kubernetes.io/arch": "arm64",
        "team/colour": "blue",
        "topology.kubernetes.io/zone": "z1",
        "node-restriction.kubernetes.io/secure": "true",
        "node-role.kubernetes.io/control-plane": "",
        "kubernetes.io/hostname": "a-real-node",
        "spread.isthmus.dev/0123456789abcdef": "x",
    },
)


def test_T1_a_namespaces_target_says_of_its_node_what_the_settings_list() -> None:
    believed = POLICY.believed(TARGET, CLAIMED)
    assert believed is not None
    assert believed.labels == {"kubernetes.io/arch": "arm64", "team/colour": "blue"}
    assert believed.capacity == {"cpu": 100_000, "memory": 2**40, "pods": 1000, "nvidia.com/gpu": 8}
    assert believed.allocatable == {"cpu": 100_000}


def test_T1_no_target_takes_a_label_that_kubernetes_keeps_for_its_own_nodes() -> None:
    believed = POLICY.believed(CLUSTER_TARGET, CLAIMED)
    assert believed is not None
    assert believed.labels.keys() == {"kubernetes.io/arch", "team/colour", "topology.kubernetes.io/zone"}
    assert believed.capacity == CLAIMED.capacity
    assert POLICY.believed(TARGET, None) is None
