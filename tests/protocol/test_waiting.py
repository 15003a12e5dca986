"""The rules M2 and C3: a pod that is bound where there is no room, and what a proxy shows meanwhile."""

import asyncio

from federation import names
from federation.kube.resources import JOBS, PODS
from tests.protocol.federation import FOREVER, Federation, condition, is_gone, phase, pod

# The source's scheduler binds such a pod to arm-lab unasked.
UNASKED = {
    names.ELECT: "",
    names.NO_RESERVATION: "",
    names.PROXY_CONSTRAINTS: f"nodeSelector: {{{names.TARGET_NAME}: arm-lab}}",
}


async def test_M2_a_bare_pod_that_has_no_room_where_it_is_bound_waits_and_says_why(federation: Federation) -> None:
    async with federation.agent_with(ISTHMUS_AGENT_NO_ROOM_SECONDS="2"):
        name = await federation.create(pod(FOREVER, annotations=UNASKED, nodeSelector={"no-such": "hardware"}))
        waiting = await federation.until_pod(
            name, lambda p: p and "no room" in condition(p, names.RESERVED_CONDITION).get("message", ""), seconds=40
        )
        assert "nodes are available" in condition(waiting, names.RESERVED_CONDITION)["message"]
        await asyncio.sleep(4)
        live = await federation.home.get(PODS, name, federation.namespace)
        assert phase(live) == "Pending"
        assert condition(live, "DisruptionTarget") == {}


async def test_M2_a_jobs_pod_that_has_no_room_for_long_is_replaced(federation: Federation) -> None:
    template = pod(FOREVER, nodeSelector={"no-such": "hardware"})
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "patient"},
        "spec": {"template": {"metadata": {"annotations": UNASKED}, "spec": template["spec"]}},
    }
    async with federation.agent_with(ISTHMUS_AGENT_NO_ROOM_SECONDS="2"):
        await federation.home.create(JOBS, job, federation.namespace)
        selector = "batch.kubernetes.io/job-name=patient"
        for _ in range(100):
            if pods := (await federation.home.list(PODS, federation.namespace, label_selector=selector)).items:
                break
            await asyncio.sleep(0.1)
        first = pods[0]["metadata"]["name"]
        delegate = await federation.chaperon_name(first)
        ended = await federation.until_pod(first, lambda p: p is None or phase(p) == "Failed", seconds=40)
        if ended:
            assert condition(ended, "DisruptionTarget")["reason"] == "NoRoom"
        await federation.until_pod(first, is_gone, seconds=40)
        assert not await federation.exists(PODS, "arm-lab", delegate)
        await federation.until(
            federation.home, JOBS, "patient", lambda j: j and j["status"].get("failed", 0) >= 1, seconds=40
        )
        await federation.home.delete(JOBS, "patient", federation.namespace, propagation="Background")


async def test_C3_the_scheduled_condition_is_the_sources_own(federation: Federation) -> None:
    """The delegate is unschedulable; the proxy was bound, and says so; why it waits is in a condition of ours."""
    name = await federation.create(pod(FOREVER, annotations=UNASKED, nodeSelector={"no-such": "hardware"}))
    delegate = await federation.chaperon_name(name)
    await federation.chaperon(
        "arm-lab", delegate, lambda c: c and condition(c, "PodScheduled").get("status") == "False", seconds=30
    )
    told = await federation.until_pod(name, lambda p: p and condition(p, names.RESERVED_CONDITION))
    assert condition(told, "PodScheduled")["status"] == "True"
    assert condition(told, names.RESERVED_CONDITION)["status"] == "False"


async def test_C3_readiness_comes_back_although_the_delegate_did_not_change(federation: Federation) -> None:
    """While nobody speaks for the virtual node, the source's node controller calls its proxies unready."""
    name = await federation.submit(only="arm-lab")
    ready = await federation.until_pod(name, lambda p: p and condition(p, "Ready").get("status") == "True")
    with federation.frozen("agent", federation.lab.source):
        flipped = await federation.until_pod(
            name, lambda p: p and condition(p, "Ready").get("status") == "False", seconds=120
        )
        assert phase(flipped) == "Running"
    back = await federation.until_pod(name, lambda p: p and condition(p, "Ready").get("status") == "True", seconds=60)
    assert back["status"]["containerStatuses"] == ready["status"]["containerStatuses"]
