"""The rules C1 and C4: proxies end as pods do, and only elected pods are served."""

import asyncio

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import JOBS, NAMESPACES, PODS
from tests.protocol.federation import FOREVER, INTERRUPTED, Federation, condition, is_gone, phase, pod


async def test_C1_a_bare_pod_whose_delegate_vanished_is_left_failed(federation: Federation) -> None:
    name = await federation.submit(INTERRUPTED, only="arm-lab")
    await federation.until_running(name)
    await federation.lab.api("arm-lab").delete(PODS, await federation.chaperon_name(name), federation.namespace)
    ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed")
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    await asyncio.sleep(1)
    assert await federation.exists(PODS, "", name), "a bare pod is left for its owner to see"


async def test_C1_a_job_that_waits_for_a_terminal_phase_gets_its_replacement(federation: Federation) -> None:
    """With podReplacementPolicy Failed the Job controller makes no new pod before the old one has a terminal phase."""
    template = pod(INTERRUPTED, annotations={names.ELECT: ""})
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "patient"},
        "spec": {
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": {"metadata": {"annotations": {names.ELECT: ""}}, "spec": template["spec"]},
        },
    }
    await federation.home.create(JOBS, job, federation.namespace)
    first = await _pod_of(federation, "patient", but="")
    await federation.until_running(first, seconds=30)
    cluster = federation.cluster_of((await federation.home.get(PODS, first, federation.namespace))["spec"]["nodeName"])
    delegate = await federation.chaperon_name(first, cluster)
    # As a drain does: through the eviction API, which marks the pod and deletes it in one go.
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": delegate}}
    await federation.lab.api(cluster).create(
        PODS, eviction, federation.namespace, name=delegate, subresource="eviction"
    )
    ended = await federation.until_pod(first, lambda p: p is None or phase(p) == "Failed", seconds=30)
    assert not ended or condition(ended, "DisruptionTarget").get("status") == "True"
    second = await _pod_of(federation, "patient", but=first)
    await federation.until_running(second, seconds=30)


async def _pod_of(federation: Federation, job: str, but: str) -> str:
    selector = f"batch.kubernetes.io/job-name={job}"
    for _ in range(600):
        listing = await federation.home.list(PODS, federation.namespace, label_selector=selector)
        names_ = [item["metadata"]["name"] for item in listing.items if item["metadata"]["name"] != but]
        if names_:
            return str(names_[0])
        await asyncio.sleep(0.1)
    raise AssertionError(f"job {job} made no pod beside {but!r}")


async def test_C1_a_deleted_proxy_has_a_terminal_phase_before_it_goes(federation: Federation) -> None:
    manifest = pod(FOREVER, name="watched", annotations={names.ELECT: ""})
    manifest["metadata"]["finalizers"] = ["example.com/witness"]
    await federation.create(manifest)
    await federation.until_running("watched")
    await federation.home.delete(PODS, "watched", federation.namespace)
    last = await federation.until_pod(
        "watched", lambda p: p and p["metadata"].get("finalizers") == ["example.com/witness"]
    )
    assert phase(last) in ("Succeeded", "Failed")
    await federation.home.patch(PODS, "watched", {"metadata": {"finalizers": None}}, federation.namespace)
    await federation.until_pod("watched", is_gone)


async def test_C4_a_pod_that_is_not_elected_never_reaches_a_target(federation: Federation) -> None:
    """As a DaemonSet's pod that tolerates everything: bound to a virtual node without us."""
    tolerate_all = [{"operator": "Exists"}]
    name = await federation.create(pod(FOREVER, nodeName=federation.node("arm-lab"), tolerations=tolerate_all))
    elected = await federation.submit(only="arm-lab")
    await federation.until_running(elected)
    assert not await federation.exists(POD_CHAPERONS, "arm-lab", await federation.chaperon_name(name))
    await federation.home.delete(PODS, name, federation.namespace, grace_period_seconds=0)


async def test_C4_an_elected_pod_in_an_unlabelled_namespace_stays_an_ordinary_pod(federation: Federation) -> None:
    await federation.home.patch(
        NAMESPACES, federation.namespace, {"metadata": {"labels": {names.NAMESPACE_LABEL: None}}}
    )
    name = await federation.create(pod("exit 0", annotations={names.ELECT: ""}))
    live = await federation.home.get(PODS, name, federation.namespace)
    assert names.SOURCE_POD_MANIFEST not in live["metadata"]["annotations"]
    done = await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
    assert done["spec"]["nodeName"] in federation.real_nodes["home"]


async def test_C4_a_forged_proxy_in_an_unlabelled_namespace_is_not_served(federation: Federation) -> None:
    label = {"metadata": {"labels": {names.NAMESPACE_LABEL: None}}}
    await federation.home.patch(NAMESPACES, federation.namespace, label)
    forged = pod(FOREVER, annotations={names.ELECT: "", names.SOURCE_POD_MANIFEST: '{"metadata": {}, "spec": {}}'})
    forged["metadata"]["labels"] = {names.HAS_FINALIZER: "true"}
    forged["spec"]["schedulingGates"] = [{"name": names.CANDIDATES_GATE}]
    name = await federation.create(forged)
    await asyncio.sleep(2)
    for cluster, candidate in (await federation.chaperon_names(name)).items():
        assert not await federation.exists(POD_CHAPERONS, cluster, candidate)


async def test_C4_a_candidate_without_a_chaperon_is_refused_and_left_alone(
    federation: Federation,
) -> None:
    stray = await federation.create(pod(FOREVER, schedulerName=names.CANDIDATE_SCHEDULER), "arm-lab")
    waiting = await federation.until_pod(
        stray, lambda p: p and condition(p, "PodScheduled").get("reason") == "SchedulerError", "arm-lab"
    )
    assert "PodChaperon" in condition(waiting, "PodScheduled")["message"]
    assert "nodeName" not in waiting["spec"]
    assert "deletionTimestamp" not in waiting["metadata"]
    await federation.lab.api("arm-lab").delete(PODS, stray, federation.namespace, grace_period_seconds=0)


async def test_C4_candidates_carry_no_ties_to_the_source(federation: Federation) -> None:
    manifest = pod(FOREVER, name="tied", annotations={names.ELECT: ""})
    manifest["metadata"]["finalizers"] = ["example.com/own"]
    await federation.create(manifest)
    cluster = await federation.until_running("tied")
    delegate = await federation.lab.api(cluster).get(
        PODS, await federation.chaperon_name("tied", cluster), federation.namespace
    )
    assert "finalizers" not in delegate["metadata"]
    assert [owner["kind"] for owner in delegate["metadata"]["ownerReferences"]] == [names.CHAPERON_KIND]
    await federation.home.patch(
        PODS, "tied", [{"op": "remove", "path": "/metadata/finalizers/0"}], federation.namespace, kind="json"
    )
