"""The rule M7: a Target ends in order, whatever is deleted around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from federation import names
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.resources import JOBS, NAMESPACES, NODES, PODS, SECRETS, Resource
from federation.kube.store import Store
from federation.kube.watch import follow
from tests.protocol.auditor import run_audit
from tests.protocol.federation import INTERRUPTED, Federation, Manifest, condition, is_gone, is_marked, phase, pod
from tests.protocol.targets import chaperons_of, left_behind, make_target, until_event, until_target


async def test_M7_a_target_and_its_secret_are_held(federation: Federation) -> None:
    """A Secret that is deleted while its Target stays goes at once, so that it can be replaced."""
    secret = await federation.home.get(SECRETS, "arm-lab", federation.namespace)
    ours = names.secret_finalizer(federation.namespace, "arm-lab")
    assert secret["metadata"]["finalizers"] == [ours]
    target = await federation.home.get(TARGETS, "arm-lab", federation.namespace)
    assert names.TARGET_FINALIZER in target["metadata"]["finalizers"]
    await federation.home.delete(SECRETS, "arm-lab", federation.namespace)
    await federation.until(federation.home, SECRETS, "arm-lab", is_gone)
    await until_target(federation, "arm-lab", lambda t: condition(t, "Ready")["reason"] == "BadKubeconfig")
    again = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "arm-lab"}, "data": secret["data"]}
    await federation.home.create(SECRETS, again, federation.namespace)
    await until_target(federation, "arm-lab", lambda t: condition(t, "Ready")["status"] == "True")
    await federation.until(
        federation.home, SECRETS, "arm-lab", lambda s: s and s["metadata"].get("finalizers") == [ours]
    )


@asynccontextmanager
async def departures(federation: Federation) -> AsyncIterator[list[str]]:
    """Note in which order chaperons, Node, Secret finalizer and Target of arm-lab go."""
    seen: list[str] = []
    home, arm, namespace = federation.home, federation.lab.api("arm-lab"), federation.namespace
    label = f"{names.TARGET}={names.target_key(namespace, 'arm-lab')}"

    def gone(what: str, old: Manifest | None, new: Manifest | None) -> None:
        if old is not None and new is None:
            seen.append(what)

    def released(_: object, old: Manifest | None, new: Manifest | None) -> None:
        if old and old["metadata"].get("finalizers") and not (new and new["metadata"].get("finalizers")):
            seen.append("Secret")

    async with asyncio.TaskGroup() as group:
        tasks = []

        async def watch(api: object, resource: Resource, where: str, **selectors: str) -> Store[Manifest]:
            store: Store[Manifest] = Store(lambda manifest: manifest)
            tasks.append(group.create_task(follow(api, resource, store, namespace=where, **selectors)))  # type: ignore[arg-type]  # an Api
            await store.synced.wait()
            return store

        chaperons = await watch(arm, POD_CHAPERONS, namespace, label_selector=label)
        nodes = await watch(home, NODES, "", field_selector=f"metadata.name={federation.node('arm-lab')}")
        secrets = await watch(home, SECRETS, namespace, field_selector="metadata.name=arm-lab")
        targets = await watch(home, TARGETS, namespace, field_selector="metadata.name=arm-lab")
        chaperons.subscribe(lambda key, old, new: gone("PodChaperon", old, new))
        nodes.subscribe(lambda key, old, new: gone("Node", old, new))
        secrets.subscribe(released)
        targets.subscribe(lambda key, old, new: gone("Target", old, new))
        yield seen
        for task in tasks:
            task.cancel()


async def test_M7_a_deleted_target_takes_everything_along_in_order(federation: Federation) -> None:
    bare = await federation.submit(INTERRUPTED, only="arm-lab")
    assert await federation.until_running(bare) == "arm-lab"
    delegate = await federation.chaperon_name(bare)
    async with departures(federation) as seen:
        await federation.home.delete(TARGETS, "arm-lab", federation.namespace)
        ended = await federation.until_pod(bare, lambda p: p and phase(p) == "Failed")
        assert condition(ended, "DisruptionTarget")["reason"] == "TargetGone"
        await federation.until(federation.home, TARGETS, "arm-lab", is_gone, seconds=40)
        assert seen == ["PodChaperon", "Node", "Secret", "Target"]
    assert not await federation.exists(PODS, "arm-lab", delegate)
    left = await federation.home.get(PODS, bare, federation.namespace)
    assert names.finalizer(federation.namespace, "arm-lab") not in left["metadata"].get("finalizers", [])
    assert (await federation.home.get(SECRETS, "arm-lab", federation.namespace))["metadata"].get("finalizers") is None


async def test_M7_a_jobs_pod_is_replaced_in_another_target(federation: Federation) -> None:
    """Its failure policy ignores disruptions, so that the end of the Target costs the Job nothing."""
    template = pod(INTERRUPTED, nodeSelector={"kubernetes.io/os": "linux"})
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "mover"},
        "spec": {
            "backoffLimit": 0,
            "podFailurePolicy": {"rules": [rule]},
            "template": {"metadata": {"annotations": {names.ELECT: ""}}, "spec": template["spec"]},
        },
    }
    await federation.home.create(JOBS, job, federation.namespace)
    first, cluster = await _running_pod(federation, "mover", but="")
    await federation.home.delete(TARGETS, cluster, federation.namespace)
    _, second = await _running_pod(federation, "mover", but=first)
    assert second != cluster
    await federation.until(federation.home, TARGETS, cluster, is_gone, seconds=40)


async def _running_pod(federation: Federation, job: str, but: str) -> tuple[str, str]:
    for _ in range(400):
        listing = await federation.home.list(
            PODS, federation.namespace, label_selector=f"batch.kubernetes.io/job-name={job}"
        )
        for item in listing.items:
            if item["metadata"]["name"] != but and phase(item) == "Running":
                return str(item["metadata"]["name"]), federation.cluster_of(item["spec"]["nodeName"])
        await asyncio.sleep(0.1)
    raise AssertionError(f"job {job} has no running pod beside {but!r}")


async def test_M7_an_unbound_pod_is_asked_for_elsewhere(federation: Federation) -> None:
    """It was let go towards arm-lab alone, and its scheduler has not bound it yet."""
    try:
        for cluster in ("home", "windows-lab"):
            await federation.cordon(cluster)
        with federation.frozen("scheduler", "home"):
            name = await federation.submit()
            await federation.until_pod(name, lambda p: is_marked(p, names.UNGATED_AT))
            await federation.home.delete(TARGETS, "arm-lab", federation.namespace)
            await federation.cordon("windows-lab", is_cordoned=False)
            bound = await federation.until_pod(name, lambda p: p and p["spec"].get("nodeName"), seconds=40)
            assert bound["spec"]["nodeName"] == federation.node("windows-lab")
        await federation.until(federation.home, TARGETS, "arm-lab", is_gone, seconds=40)
        assert await federation.until_running(name) == "windows-lab"
    finally:
        for cluster in federation.clusters:
            await federation.cordon(cluster, is_cordoned=False)


async def test_M7_a_whole_namespace_can_be_deleted(federation: Federation) -> None:
    """Targets, Secrets and pods at once: the credentials stay until the delegates are gone."""
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    delegate = await federation.chaperon_name(name)
    await federation.home.delete(NAMESPACES, federation.namespace)
    await federation.until(federation.home, NAMESPACES, federation.namespace, is_gone, namespace="", seconds=90)
    assert not await federation.exists(PODS, "arm-lab", delegate)
    assert await chaperons_of(federation, "arm-lab", "arm-lab") == []
    for cluster in federation.clusters:
        await federation.until(federation.home, NODES, federation.node(cluster), is_gone, namespace="")


async def test_M7_what_a_lost_target_holds_is_on_record_and_deleted_when_it_is_back(federation: Federation) -> None:
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    delegate = await federation.chaperon_name(name)
    arm_id = (await federation.lab.api("arm-lab").get(NAMESPACES, "kube-system"))["metadata"]["uid"]
    async with federation.agent_with(ISTHMUS_AGENT_TARGET_LOST_SECONDS="4"):
        with federation.frozen("api-server", "arm-lab"):
            await until_target(federation, "arm-lab", lambda t: condition(t, "Ready")["reason"] == "Unreachable")
            await federation.home.delete(TARGETS, "arm-lab", federation.namespace)
            ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed", seconds=60)
            assert ended["status"]["reason"] == "TargetGone"
            await federation.until(federation.home, TARGETS, "arm-lab", is_gone, seconds=40)
            record = await left_behind(federation, "arm-lab")
            assert record["cluster_id"] == arm_id
            assert record["pods"] == [f"{federation.namespace}/{name}"]
            await until_event(federation, "arm-lab", "LeftBehind")
            source = ["--kubeconfig", str(federation.lab.kubeconfig(federation.lab.source))]
            audited = await run_audit(*source, "--namespace", federation.namespace, "--json")
            assert ("left-behind", arm_id, "arm-lab") in audited.faults("leak")
        assert await federation.exists(PODS, "arm-lab", delegate)
        await make_target(federation, "arm-lab")
        await federation.chaperon("arm-lab", delegate, is_gone, seconds=40)
        for _ in range(100):
            if not (record := await left_behind(federation, "arm-lab")):
                break
            await asyncio.sleep(0.2)
        assert record == {}
    assert not await federation.exists(PODS, "arm-lab", delegate)


async def test_M7_a_secret_that_is_no_longer_used_is_let_go(federation: Federation) -> None:
    secret = await federation.home.get(SECRETS, "arm-lab", federation.namespace)
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"}, "data": secret["data"]}
    await federation.home.create(SECRETS, other, federation.namespace)
    patch = {"spec": {"kubeconfigSecret": {"name": "other"}}}
    await federation.home.patch(TARGETS, "arm-lab", patch, federation.namespace)
    await federation.until(federation.home, SECRETS, "other", lambda s: s and s["metadata"].get("finalizers"))
    await federation.until(federation.home, SECRETS, "arm-lab", lambda s: s and not s["metadata"].get("finalizers"))
