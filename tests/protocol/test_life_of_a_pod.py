"""One pod, another cluster: the ordinary life, on either engine."""

import asyncio

import pytest

from federation import names
from federation.kinds import CLUSTER_TARGETS, POD_CHAPERONS, TARGETS
from federation.kube.errors import Invalid, StatusError
from federation.kube.resources import CONFIG_MAPS, JOBS, NODES, PODS, SECRETS
from tests.protocol.federation import Federation, condition, is_gone, phase, pod


async def test_an_elected_pod_runs_in_another_cluster_and_is_seen_at_home(federation: Federation) -> None:
    name = await federation.submit("echo hello; exit 0", only="arm-lab", name="hello")
    done = await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
    assert done["spec"]["nodeName"] == federation.node("arm-lab")
    delegate = await federation.lab.api("arm-lab").get(PODS, await federation.chaperon_name(name), federation.namespace)
    assert delegate["spec"]["nodeName"] in federation.real_nodes["arm-lab"]
    assert done["status"]["containerStatuses"][0]["state"] == delegate["status"]["containerStatuses"][0]["state"]


async def test_the_delegate_goes_where_the_hardware_is(federation: Federation) -> None:
    name = await federation.submit(nodeSelector={"kubernetes.io/arch": "arm64"})
    assert await federation.until_running(name) == "arm-lab"


async def test_a_proxys_logs_and_commands_reach_its_delegate(federation: Federation) -> None:
    name = await federation.submit("echo from afar; sleep 60", only="arm-lab")
    await federation.until_running(name)
    path = PODS.path(federation.namespace, name, "log")
    for _ in range(50):
        log = (await federation.home.request("GET", path)).body
        if log:
            break
        await asyncio.sleep(0.1)
    assert log == b"from afar\n"
    code, out, err = await federation.exec(name, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert out == b"out\n"
    assert b"err" in err
    assert code == 3


async def test_configuration_is_there_before_the_delegate_and_only_where_it_runs(federation: Federation) -> None:
    home, namespace = federation.home, federation.namespace
    for resource, kind, data in (
        (CONFIG_MAPS, "ConfigMap", {"data": {"greeting": "bonjour"}}),
        (SECRETS, "Secret", {"stringData": {"password": "hunter2"}}),
    ):
        await home.create(resource, {"kind": kind, "apiVersion": "v1", "metadata": {"name": "conf"}, **data}, namespace)
    env = [
        {"name": "G", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "greeting"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "conf", "key": "password"}}},
    ]
    script = '[ "$G $P" = "bonjour hunter2" ]'
    name = await federation.submit(script, container={"env": env})
    done = await federation.until_pod(name, lambda p: p and phase(p) in ("Succeeded", "Failed"))
    assert phase(done) == "Succeeded"
    chosen = federation.cluster_of(done["spec"]["nodeName"])
    for cluster in federation.clusters[1:]:
        assert await federation.exists(SECRETS, cluster, "conf") == (cluster == chosen)
    await home.delete(PODS, name, namespace)
    await federation.until_pod(name, is_gone)
    if chosen != federation.lab.source:
        await federation.until(federation.lab.api(chosen), SECRETS, "conf", is_gone, seconds=40)


async def test_deleting_a_proxy_leaves_nothing_anywhere(federation: Federation) -> None:
    name = await federation.submit()
    await federation.until_running(name)
    candidates = await federation.chaperon_names(name)
    await federation.home.delete(PODS, name, federation.namespace)
    await federation.until_pod(name, is_gone)
    for cluster, candidate in candidates.items():
        assert not await federation.exists(POD_CHAPERONS, cluster, candidate)
        assert not await federation.exists(PODS, cluster, candidate)


async def test_a_job_with_one_annotation_completes(federation: Federation) -> None:
    template = pod("echo done", annotations={names.ELECT: ""})
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work"},
        "spec": {
            "completions": 3,
            "parallelism": 3,
            "template": {"metadata": {"annotations": {names.ELECT: ""}}, "spec": template["spec"]},
        },
    }
    await federation.home.create(JOBS, job, federation.namespace)
    await federation.until(
        federation.home, JOBS, "work", lambda j: j and j.get("status", {}).get("succeeded") == 3, seconds=40
    )


async def test_no_reservation_is_placed_by_capacity(federation: Federation) -> None:
    manifest = pod("exit 0", annotations={names.ELECT: "", names.NO_RESERVATION: ""})
    manifest["metadata"]["annotations"][names.PROXY_CONSTRAINTS] = f"nodeSelector: {{{names.TARGET_NAME}: arm-lab}}"
    name = await federation.create(manifest)
    await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
    assert await federation.exists(PODS, "arm-lab", await federation.chaperon_name(name))


async def test_a_pod_that_nobody_has_room_for_says_why_cluster_by_cluster(federation: Federation) -> None:
    name = await federation.submit(nodeSelector={"no-such": "hardware"})
    waiting = await federation.until_pod(name, lambda p: p and _message(p).count("nodes are available") == 3)
    for cluster in federation.clusters:
        assert f"{cluster}: 0/" in _message(waiting)
    assert phase(waiting) == "Pending"


def _message(manifest: dict[str, object]) -> str:
    status = manifest["status"]
    assert isinstance(status, dict)
    found = [c for c in status.get("conditions") or [] if c["type"] == names.RESERVED_CONDITION]
    return str(found[0]["message"]) if found else ""


async def test_a_wrong_annotation_is_refused_with_its_name(federation: Federation) -> None:
    manifest = pod("exit 0", annotations={names.ELECT: "", names.PROXY_CONSTRAINTS: "replicas: 3"})
    with pytest.raises(StatusError) as refusal:
        await federation.create(manifest)
    assert names.PROXY_CONSTRAINTS in refusal.value.message
    assert "replicas" in refusal.value.message


@pytest.mark.parametrize(
    "spec",
    [{}, {"self": True, "kubeconfigSecret": {"name": "x"}}, {"kubeconfigSecret": {}}],
    ids=["neither", "both", "unnamed secret"],
)
async def test_a_target_needs_exactly_one_way_to_be_reached(federation: Federation, spec: dict[str, object]) -> None:
    manifest = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": "bad"}, "spec": spec}
    with pytest.raises(Invalid):
        await federation.home.create(TARGETS, manifest, federation.namespace)


async def test_a_target_says_what_is_wrong_with_it(federation: Federation) -> None:
    spec = {"kubeconfigSecret": {"name": "nowhere", "key": "mine"}}
    target = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": "bad"}, "spec": spec}
    await federation.home.create(TARGETS, target, federation.namespace)
    said = await federation.until(federation.home, TARGETS, "bad", lambda t: t and condition(t, "Ready"))
    assert condition(said, "Ready")["status"] == "False"
    assert "nowhere" in condition(said, "Ready")["message"]
    assert "'mine'" in condition(said, "Ready")["message"]
    good = await federation.home.get(TARGETS, "arm-lab", federation.namespace)
    assert condition(good, "Ready")["status"] == "True"
    assert good["status"]["virtualNodeName"] == federation.node("arm-lab")
    await federation.home.delete(TARGETS, "bad", federation.namespace)
    # Nothing can be there, so nothing is waited for (rule M7).
    await federation.until(federation.home, TARGETS, "bad", is_gone, seconds=15)


async def test_targets_come_change_and_go_at_run_time(federation: Federation) -> None:
    home, namespace = federation.home, federation.namespace
    target = {
        "apiVersion": names.API_VERSION,
        "kind": "Target",
        "metadata": {"name": "later"},
        "spec": {"kubeconfigSecret": {"name": "later"}},
    }
    await home.create(TARGETS, target, namespace)
    secret = await home.get(SECRETS, "arm-lab", namespace)
    copy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "data": secret["data"]}
    await home.create(SECRETS, copy, namespace)
    node = names.virtual_node_name(namespace, "later")
    await federation.until(home, NODES, node, lambda n: n is not None, namespace="")
    name = await federation.submit("exit 0", only="later")
    await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
    await home.delete(PODS, name, namespace)
    await federation.until_pod(name, is_gone)
    await home.delete(TARGETS, "later", namespace)
    await federation.until(home, NODES, node, is_gone, namespace="", seconds=30)


async def test_a_cluster_target_serves_every_namespace(federation: Federation) -> None:
    home = federation.home
    own = f"everyone-{federation.namespace}"
    spec = {"kubeconfigSecret": {"name": "windows-lab", "namespace": federation.namespace}}
    target = {"apiVersion": names.API_VERSION, "kind": "ClusterTarget", "metadata": {"name": own}, "spec": spec}
    await home.create(CLUSTER_TARGETS, target)
    try:
        node = names.virtual_node_name("", own)
        await federation.until(home, NODES, node, lambda n: n is not None, namespace="")
        annotations = {
            names.ELECT: "",
            names.PROXY_CONSTRAINTS: f"nodeSelector: {{{names.CLUSTER_TARGET_NAME}: {own}}}",
        }
        name = await federation.create(pod("exit 0", annotations=annotations))
        done = await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
        assert done["spec"]["nodeName"] == node
        await home.delete(PODS, name, federation.namespace)
        await federation.until_pod(name, is_gone)
    finally:
        await home.delete(CLUSTER_TARGETS, own)
