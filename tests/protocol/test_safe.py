"""The rules S1-S3 and S6 of the protocol: what must never happen."""

import asyncio

import pytest

from federation import names
from federation.clock import wall_clock
from federation.controllers.commitment import Commitment
from federation.controllers.connection import Connection
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.errors import Conflict, Invalid
from federation.kube.resources import NODES, PODS
from federation.model.chaperon import parse_chaperon
from federation.model.pod import parse_proxy
from federation.model.target import parse_target
from tests.protocol.federation import FOREVER, Federation, condition, is_gone, is_marked, phase, pod


async def test_S1_a_delegate_that_the_kubelet_rejects_is_made_again(
    federation: Federation,
) -> None:
    """Another pod fills the node behind the candidate scheduler's back; kubelet says OutOfcpu."""
    arm = federation.lab.api("arm-lab")
    node = federation.real_nodes["arm-lab"][0]
    cpu = (await arm.get(NODES, node))["status"]["allocatable"]["cpu"]
    whole = {"resources": {"requests": {"cpu": cpu}}}
    await federation.ask("arm-lab", "asked", container=whole)
    await federation.chaperon("arm-lab", "asked", lambda c: is_marked(c, names.IS_RESERVED))
    first = await arm.get(PODS, "asked", federation.namespace)
    filler = await federation.create(pod(FOREVER, nodeName=node, container=whole), "arm-lab")
    await federation.until_pod(filler, lambda p: p and phase(p) == "Running", "arm-lab")
    await federation.allow("arm-lab", "asked")
    await federation.until_pod("asked", lambda p: p and p["metadata"]["uid"] != first["metadata"]["uid"], "arm-lab")
    chaperon = await arm.get(POD_CHAPERONS, "asked", federation.namespace)
    assert phase(chaperon) != "Failed", "a rejection is no end"
    await arm.delete(PODS, filler, federation.namespace)
    await federation.chaperon("arm-lab", "asked", lambda c: c and phase(c) == "Running", seconds=40)


async def test_S1_a_candidate_that_vanished_before_it_was_bound_is_made_again(federation: Federation) -> None:
    await federation.ask("arm-lab", "waiting", nodeSelector={"no-such": "hardware"})
    first = await federation.until_pod("waiting", lambda p: p and condition(p, "PodScheduled"), "arm-lab")
    arm = federation.lab.api("arm-lab")
    await arm.delete(PODS, "waiting", federation.namespace, grace_period_seconds=0)
    again = await federation.until_pod(
        "waiting", lambda p: p and p["metadata"]["uid"] != first["metadata"]["uid"], "arm-lab"
    )
    assert "deletionTimestamp" not in again["metadata"]


async def test_S2_without_reservation_the_target_makes_the_pod_only_once_allowed(federation: Federation) -> None:
    annotations = {names.WAITS_TO_BE_ALLOWED: "true"}
    await federation.ask("arm-lab", "unreserved", annotations=annotations, schedulerName="default-scheduler")
    await asyncio.sleep(2)
    assert not await federation.exists(PODS, "arm-lab", "unreserved")
    await federation.allow("arm-lab", "unreserved")
    await federation.until_pod("unreserved", lambda p: p and phase(p) == "Running", "arm-lab")


async def test_S2_a_stale_leader_cannot_allow(federation: Federation) -> None:
    """A leader that was frozen with an old view wakes up: the pod of that name is another one, or bound elsewhere."""
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    await federation.ask("windows-lab", "stale")
    chaperon = parse_chaperon(await federation.lab.api("windows-lab").get(POD_CHAPERONS, "stale", federation.namespace))
    live = await federation.home.get(PODS, name, federation.namespace)
    target = parse_target(await federation.home.get(TARGETS, "windows-lab", federation.namespace))
    connection = Connection(target, federation.lab.api("windows-lab"), "a-test", wall_clock)
    for change in ({"uid": "another"}, {}):
        proxy = parse_proxy({**live, "metadata": live["metadata"] | change})
        assert proxy is not None
        with pytest.raises(Conflict):
            await Commitment(federation.home).allow(proxy, chaperon, connection)
    after = await federation.lab.api("windows-lab").get(POD_CHAPERONS, "stale", federation.namespace)
    assert not is_marked(after, names.IS_ALLOWED)


async def test_S2_a_patch_for_another_uid_is_refused(federation: Federation) -> None:
    await federation.ask("arm-lab", "fenced")
    patch = {"metadata": {"uid": "another", "annotations": {names.IS_ALLOWED: "true"}}}
    api = federation.lab.api("arm-lab")
    with pytest.raises((Conflict, Invalid)):  # of a custom resource: 422, "field is immutable"
        await api.patch(POD_CHAPERONS, "fenced", patch, federation.namespace)
    with pytest.raises(Conflict):
        await api.delete(POD_CHAPERONS, "fenced", federation.namespace, uid="another")
    with pytest.raises(Conflict):
        await api.delete(POD_CHAPERONS, "fenced", federation.namespace, resource_version="1")


async def test_S3_the_proxy_outlives_its_delegate(federation: Federation) -> None:
    """The delegate takes two seconds to end; the proxy stays until it has, and shows how it ended."""
    name = await federation.submit("trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done", only="arm-lab")
    await federation.until_running(name)
    delegate = await federation.chaperon_name(name)
    await federation.home.delete(PODS, name, federation.namespace)
    await asyncio.sleep(1)
    assert await federation.exists(PODS, "arm-lab", delegate)
    assert await federation.exists(PODS, "", name)
    await federation.until_pod(name, is_gone)
    assert not await federation.exists(PODS, "arm-lab", delegate)
    assert not await federation.exists(POD_CHAPERONS, "arm-lab", delegate)


async def test_S3_an_unreachable_target_keeps_the_proxy_until_it_answers(federation: Federation) -> None:
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    delegate = await federation.chaperon_name(name)
    with federation.frozen("api-server", "arm-lab"):
        await federation.home.delete(PODS, name, federation.namespace)
        await asyncio.sleep(5)
        assert await federation.exists(PODS, "", name), "nothing is gone that has not been seen to be gone"
    await federation.until_pod(name, is_gone, seconds=60)
    assert not await federation.exists(PODS, "arm-lab", delegate)


async def test_S3_a_killed_agent_forgets_no_target(federation: Federation) -> None:
    """kill -9 between asking and committing; the next agent finds every chaperon by the finalizers and the stores."""
    name = await federation.submit()
    await federation.until_pod(name, lambda p: p and p["spec"].get("nodeName"))
    chaperons = await federation.chaperon_names(name)
    start_again = federation.kill("agent", federation.lab.source)
    await federation.home.delete(PODS, name, federation.namespace)
    start_again()
    await federation.until_pod(name, is_gone, seconds=60)
    for cluster, delegate in chaperons.items():
        assert not await federation.exists(POD_CHAPERONS, cluster, delegate)


async def test_S6_proxies_of_an_unreachable_target_wait(federation: Federation) -> None:
    """The taint that evicts an ordinary pod from a silent node leaves a proxy where it is."""
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    node = federation.node("arm-lab")
    ordinary = pod(
        FOREVER,
        nodeName=node,
        tolerations=[
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 0,
            },
            {"key": "virtual-kubelet.io/provider", "operator": "Exists"},
        ],
    )
    other = await federation.create(ordinary)
    live = await federation.home.get(NODES, node)
    taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    taints = [*live["spec"]["taints"], taint]
    await federation.home.patch(NODES, node, {"spec": {"taints": taints}})
    evicted = await federation.until_pod(
        other, lambda p: p is None or p["metadata"].get("deletionTimestamp"), seconds=30
    )
    assert not evicted or evicted["metadata"].get("deletionTimestamp")
    proxy = await federation.home.get(PODS, name, federation.namespace)
    assert "deletionTimestamp" not in proxy["metadata"]
    assert phase(proxy) == "Running"
    if evicted:
        await federation.home.delete(PODS, other, federation.namespace, grace_period_seconds=0)
