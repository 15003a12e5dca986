"""Nodes that fall silent, go or are tainted, and what becomes of their pods: on the real controllers and on ours."""

import pytest

from federation.kube.errors import NotFound
from federation.kube.resources import NODES, PODS
from tests.lab.planes import Manifest, Plane, eventually

HOLD = "example.com/hold"  # a finalizer, so that what happened to a deleted pod can still be read


def condition(manifest: Manifest, kind: str) -> Manifest:
    found: Manifest = next((one for one in manifest["status"].get("conditions") or [] if one["type"] == kind), {})
    return found


def taints(node: Manifest) -> set[tuple[str, str]]:
    return {(one["key"], one["effect"]) for one in node["spec"].get("taints") or []}


async def add_bound_pod(plane: Plane, space: str, name: str, node: str, **spec: object) -> None:
    await plane.add_pod(space, name, nodeName=node, **spec)
    await plane.api.patch(PODS, name, {"metadata": {"finalizers": [HOLD]}}, space)
    await plane.set_phase(space, name, "Running")


async def ended(plane: Plane, space: str, name: str, seconds: float = 20) -> Manifest:
    """Wait until a pod is being deleted."""

    async def going() -> Manifest | None:
        pod = await plane.api.get(PODS, name, space)
        return pod if pod["metadata"].get("deletionTimestamp") else None

    pod: Manifest = await eventually(going, f"{name} going", seconds)
    await plane.api.patch(PODS, name, {"metadata": {"finalizers": None}}, space)
    return pod


async def test_cordon_is_a_taint_too(plane: Plane, space: str) -> None:
    await plane.add_node("n1")

    async def found(wanted: set[tuple[str, str]]) -> bool:
        return taints(await plane.api.get(NODES, "n1")) == wanted

    await plane.api.patch(NODES, "n1", {"spec": {"unschedulable": True}})
    await eventually(lambda: found({("node.kubernetes.io/unschedulable", "NoSchedule")}), "the taint")
    await plane.api.patch(NODES, "n1", {"spec": {"unschedulable": None}})
    await eventually(lambda: found(set()), "no taint")


async def test_a_taint_ends_pods_that_do_not_tolerate_it(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    key = {"key": "example.com/broken", "effect": "NoExecute"}
    await add_bound_pod(plane, space, "plain", "n1")
    for_ever = [{"operator": "Exists"}]
    await add_bound_pod(plane, space, "patient", "n1", tolerations=for_ever)
    for_a_while = [{**key, "operator": "Exists", "tolerationSeconds": 3}]
    await add_bound_pod(plane, space, "brief", "n1", tolerations=for_a_while)
    await plane.api.patch(NODES, "n1", {"spec": {"taints": [key]}})
    pod = await ended(plane, space, "plain")
    found = condition(pod, "DisruptionTarget")
    assert (found["reason"], found["status"]) == ("DeletionByTaintManager", "True")
    assert found["message"] == "Taint manager: deleting due to NoExecute taint"
    assert not (await plane.api.get(PODS, "brief", space))["metadata"].get("deletionTimestamp")
    await ended(plane, space, "brief")
    patient = await plane.api.get(PODS, "patient", space)
    assert not patient["metadata"].get("deletionTimestamp")
    await plane.api.patch(PODS, "patient", {"metadata": {"finalizers": None}}, space)


async def test_a_gated_pod_that_is_deleted_becomes_failed(plane: Plane, space: str) -> None:
    """C1: who waits for the pod's end can count it, though no node ever had it."""
    await plane.add_pod(space, "p", schedulingGates=[{"name": "example.com/wait"}])
    await plane.api.patch(PODS, "p", {"metadata": {"finalizers": [HOLD]}}, space)
    await plane.api.delete(PODS, "p", space)

    async def failed() -> bool:
        return bool((await plane.api.get(PODS, "p", space))["status"]["phase"] == "Failed")

    assert await eventually(failed, "phase Failed", seconds=40)
    await plane.api.patch(PODS, "p", {"metadata": {"finalizers": None}}, space)


@pytest.mark.timeout(240)
async def test_nodes_that_fall_silent_or_go(plane: Plane, space: str) -> None:
    for name in ("steady", "silent", "gone"):
        await plane.add_node(name)
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "operator": "Exists"}
    await add_bound_pod(plane, space, "staying", "silent")
    await add_bound_pod(plane, space, "leaving", "silent", tolerations=[{**unreachable, "tolerationSeconds": 1}])
    await add_bound_pod(plane, space, "lost", "gone")
    plane.nodes.discard("silent")  # no more heartbeats
    await plane.remove_node("gone")

    async def silent() -> Manifest | None:
        node = await plane.api.get(NODES, "silent")  # two loops of the controller write one taint each
        both = {("node.kubernetes.io/unreachable", effect) for effect in ("NoExecute", "NoSchedule")}
        return node if both <= taints(node) else None

    node = await eventually(silent, "the silent node tainted", seconds=90)
    ready = condition(node, "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert condition(node, "MemoryPressure")["reason"] == "NodeStatusNeverUpdated"
    pod = await ended(plane, space, "leaving")
    assert condition(pod, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    pod = await plane.api.get(PODS, "staying", space)
    assert (pod["status"]["phase"], condition(pod, "Ready")["status"]) == ("Running", "False")
    assert not pod["metadata"].get("deletionTimestamp")

    pod = await ended(plane, space, "lost", seconds=90)
    assert pod["status"]["phase"] == "Failed"
    found = condition(pod, "DisruptionTarget")
    assert (found["reason"], found["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    with pytest.raises(NotFound):
        await eventually_gone(plane, space, "lost")

    ready_again = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": None}
    await plane.api.patch(NODES, "silent", {"status": {"conditions": [ready_again]}}, subresource="status")
    plane.nodes.add("silent")
    await plane.beat("silent")

    async def untainted() -> bool:
        return not taints(await plane.api.get(NODES, "silent"))

    assert await eventually(untainted, "the node back without taints")
    await plane.api.patch(PODS, "staying", {"metadata": {"finalizers": None}}, space)


async def eventually_gone(plane: Plane, space: str, name: str) -> None:
    """Read a pod until that raises NotFound."""
    for _ in range(100):
        await plane.api.get(PODS, name, space)
