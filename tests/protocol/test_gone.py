"""The rules S4 and S5: what counts as gone, and that nobody moves before all has been read."""

import asyncio

from federation import names
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.resources import NAMESPACES, PODS
from tests.protocol.federation import FOREVER, INTERRUPTED, Federation, condition, is_gone, is_marked, phase, pod
from tests.protocol.targets import (
    accept_loss,
    add_target,
    chaperons_of,
    is_doubted,
    lead_to,
    left_behind,
    until_event,
    until_target,
)


async def test_S4_another_cluster_under_a_targets_kubeconfig_ends_nothing(federation: Federation) -> None:
    """The chaperon is NotFound, by name, after a complete list: but it is another cluster that says so."""
    await add_target(federation, "moved", "arm-lab")
    name = await federation.submit(only="moved")
    await federation.until_pod(name, lambda p: p and phase(p) == "Running")
    arm_id = (await federation.lab.api("arm-lab").get(NAMESPACES, "kube-system"))["metadata"]["uid"]
    await lead_to(federation, "moved", "windows-lab")
    doubted = await until_target(federation, "moved", is_doubted("ClusterChanged"))
    assert condition(doubted, "Ready")["reason"] == "ClusterChanged"
    assert doubted["status"]["clusterID"] == arm_id
    await until_event(federation, "moved", "ClusterChanged")
    await federation.home.delete(PODS, name, federation.namespace)
    await asyncio.sleep(3)
    held = await federation.home.get(PODS, name, federation.namespace)
    assert names.finalizer(federation.namespace, "moved") in held["metadata"]["finalizers"]
    assert phase(held) == "Running"
    assert len(await chaperons_of(federation, "moved", "arm-lab")) == 1
    await lead_to(federation, "moved", "arm-lab")
    await federation.until_pod(name, is_gone, seconds=40)
    assert await chaperons_of(federation, "moved", "arm-lab") == []
    await until_target(federation, "moved", is_doubted("AsOnRecord"))
    await federation.home.delete(TARGETS, "moved", federation.namespace)


async def test_S4_a_person_accepts_that_a_cluster_is_lost(federation: Federation) -> None:
    """The pods end, and what the old cluster still holds is deleted by another Target that leads there."""
    await add_target(federation, "moved", "arm-lab")
    name = await federation.submit(only="moved")
    await federation.until_pod(name, lambda p: p and phase(p) == "Running")
    await lead_to(federation, "moved", "windows-lab")
    await until_target(federation, "moved", is_doubted("ClusterChanged"))
    await accept_loss(federation, "moved")
    ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed", seconds=40)
    assert ended["status"]["reason"] == "DelegateGone"
    assert condition(ended, "DisruptionTarget")["status"] == "True"
    windows_id = (await federation.lab.api("windows-lab").get(NAMESPACES, "kube-system"))["metadata"]["uid"]
    settled = await until_target(federation, "moved", is_doubted("AsOnRecord"))
    assert settled["status"]["clusterID"] == windows_id
    for _ in range(200):
        if not await chaperons_of(federation, "moved", "arm-lab") and not await left_behind(federation, "moved"):
            break
        await asyncio.sleep(0.2)
    assert await chaperons_of(federation, "moved", "arm-lab") == [], "the Target arm-lab leads to the lost cluster"
    assert await left_behind(federation, "moved") == {}
    await federation.home.delete(TARGETS, "moved", federation.namespace)


async def test_S4_many_chaperons_that_vanish_at_once_stop_a_target_until_a_person_decides(
    federation: Federation,
) -> None:
    """Also for an agent that was not there when it happened."""
    names_ = [await federation.submit(only="arm-lab") for _ in range(6)]
    for name in names_:
        await federation.until_pod(name, lambda p: p and phase(p) == "Running", seconds=40)
    finalizer = names.finalizer(federation.namespace, "arm-lab")
    found = await chaperons_of(federation, "arm-lab", "arm-lab")
    arm = federation.lab.api("arm-lab")
    await asyncio.gather(*(arm.delete(POD_CHAPERONS, c["metadata"]["name"], federation.namespace) for c in found))
    await until_target(federation, "arm-lab", is_doubted("ChaperonsVanished"))
    await until_event(federation, "arm-lab", "ChaperonsVanished")
    federation.kill("agent", federation.lab.source)()
    try:
        await asyncio.sleep(6)
        for name in names_:
            live = await federation.home.get(PODS, name, federation.namespace)
            assert (phase(live), "deletionTimestamp" in live["metadata"]) == ("Running", False)
            assert finalizer in live["metadata"]["finalizers"]
        assert await chaperons_of(federation, "arm-lab", "arm-lab") == [], "nor is anything asked there again"
        await accept_loss(federation, "arm-lab")
        for name in names_:
            await federation.until_pod(name, lambda p: p and phase(p) == "Failed", seconds=40)
        await until_target(federation, "arm-lab", is_doubted("AsOnRecord"))
    finally:
        await federation.until_admitting()


async def test_S4_one_chaperon_that_vanishes_ends_its_pod(federation: Federation) -> None:
    name = await federation.submit(INTERRUPTED, only="arm-lab")
    await federation.until_running(name)
    arm, chaperon = federation.lab.api("arm-lab"), await federation.chaperon_name(name)
    await arm.delete(POD_CHAPERONS, chaperon, federation.namespace, propagation="Foreground")
    ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed")
    assert condition(ended, "Ready")["status"] == "False"


async def allowed_before(federation: Federation, name: str, uid: str, **metadata: object) -> str:
    """Let arm-lab hold an allowed chaperon of a pod, as if its source had been restored from before the Binding."""
    target = names.target_key(federation.namespace, "arm-lab")
    marks = {names.PARENT_UID: uid, names.PARENT_CLUSTER_NAME: federation.lab.source, names.TARGET: target}
    chaperon = {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "metadata": {
            "name": names.chaperon_name(name, uid, target),
            "labels": marks,
            "annotations": {names.PARENT_NAME: name, names.PARENT_NAMESPACE: federation.namespace},
            **metadata,
        },
        "spec": pod(FOREVER, schedulerName=names.CANDIDATE_SCHEDULER)["spec"],
    }
    made = await federation.lab.api("arm-lab").create(POD_CHAPERONS, chaperon, federation.namespace)
    await federation.allow("arm-lab", made["metadata"]["name"])
    return str(made["metadata"]["name"])


async def waiting(federation: Federation, name: str) -> str:
    """Create an elected pod that somebody else's gate holds back; returns its uid."""
    manifest = pod(FOREVER, name=name, annotations={names.ELECT: ""})
    manifest["spec"]["schedulingGates"] = [{"name": "example.com/hold"}]
    await federation.create(manifest)
    return str((await federation.home.get(PODS, name, federation.namespace))["metadata"]["uid"])


async def let_go(federation: Federation, name: str) -> None:
    """Take that gate away."""
    patch = {"spec": {"schedulingGates": [{"name": names.CANDIDATES_GATE}]}}
    await federation.home.patch(PODS, name, patch, federation.namespace)


async def test_S5_a_pod_whose_delegate_is_allowed_already_is_bound_there(federation: Federation) -> None:
    uid = await waiting(federation, "restored")
    with federation.frozen("agent", federation.lab.source):  # between the two writes it would withdraw the chaperon
        await allowed_before(federation, "restored", uid)
    await let_go(federation, "restored")
    assert await federation.until_running("restored") == "arm-lab"


async def test_S5_an_agent_that_starts_asks_nobody_before_a_slow_target_is_read(federation: Federation) -> None:
    """The target that holds the delegate answers three seconds late: the others have room, and are not asked."""
    uid = await waiting(federation, "restored")
    start = federation.kill("agent", federation.lab.source)
    await allowed_before(federation, "restored", uid)
    await let_go(federation, "restored")
    try:
        with federation.frozen("api-server", "arm-lab"):
            start()
            await asyncio.sleep(4)
            live = await federation.home.get(PODS, "restored", federation.namespace)
            assert live["spec"]["schedulingGates"] == [{"name": names.CANDIDATES_GATE}]
            for cluster in ("home", "windows-lab"):
                assert await chaperons_of(federation, cluster, cluster) == []
        assert await federation.until_running("restored", seconds=40) == "arm-lab"
    finally:
        await federation.until_admitting()


async def test_S5_the_delegate_of_an_earlier_pod_of_that_name_goes_first(federation: Federation) -> None:
    """It takes a while to go; the new pod is asked of nobody before it has."""
    uid = await waiting(federation, "again")
    old = await allowed_before(federation, "again", "an-earlier-uid", finalizers=["example.com/slow"])
    await federation.chaperon("arm-lab", old, lambda c: c and c["metadata"].get("deletionTimestamp"))
    await let_go(federation, "again")
    await asyncio.sleep(2)
    for cluster, candidate in (await federation.chaperon_names("again")).items():
        assert not await federation.exists(POD_CHAPERONS, cluster, candidate)
    patch = [{"op": "test", "path": "/metadata/finalizers/0", "value": "example.com/slow"}]
    patch.append({"op": "remove", "path": "/metadata/finalizers/0"})
    await federation.lab.api("arm-lab").patch(POD_CHAPERONS, old, patch, federation.namespace, kind="json")
    await federation.until_running("again")
    live = await federation.home.get(PODS, "again", federation.namespace)
    assert live["metadata"]["uid"] == uid
    assert is_marked(live, names.UNGATED_AT)
