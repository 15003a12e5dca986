"""`self: true`: a cluster that is its own target, by a Target and by a ClusterTarget."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from federation import names
from federation.kinds import CLUSTER_TARGETS, POD_CHAPERONS, TARGETS
from federation.kube.resources import CONFIG_MAPS, NODES, PODS, SECRETS
from tests.protocol.federation import Federation, Manifest, condition, is_gone, phase, pod

CONFIGURATION = (
    (CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"greeting": "bonjour"}}),
    (SECRETS, {"apiVersion": "v1", "kind": "Secret", "data": {"password": "aHVudGVyMg=="}}),
)


@dataclass(frozen=True)
class Home:
    """The source as its own target: under which name its target goes, and what that target's node is called."""

    federation: Federation
    target: str
    key: str  # of the node's label that names the target
    node: str
    label: str

    async def submit(self, script: str, **spec: Any) -> str:
        annotations = {names.ELECT: "", names.PROXY_CONSTRAINTS: f"nodeSelector: {{{self.key}: {self.target}}}"}
        return await self.federation.create(pod(script, annotations=annotations, **spec))

    async def delegate(self, name: str) -> str:
        live = await self.federation.home.get(PODS, name, self.federation.namespace)
        return names.chaperon_name(name, live["metadata"]["uid"], self.label)


@pytest.fixture(params=["Target", "ClusterTarget"])
async def home(request: pytest.FixtureRequest, federation: Federation) -> AsyncIterator[Home]:
    api, namespace = federation.home, federation.namespace
    if request.param == "Target":
        label = names.target_key(namespace, "home")
        yield Home(federation, "home", names.TARGET_NAME, federation.node("home"), label)
        return
    name = f"self-{namespace}"
    target = {"apiVersion": names.API_VERSION, "kind": "ClusterTarget", "metadata": {"name": name}}
    await api.create(CLUSTER_TARGETS, target | {"spec": {"self": True}})
    node = names.virtual_node_name("", name)
    await federation.until(
        api, NODES, node, lambda n: n and condition(n, "Ready").get("status") == "True", namespace=""
    )
    yield Home(federation, name, names.CLUSTER_TARGET_NAME, node, names.target_key("", name))
    await federation.clear()
    await api.delete(CLUSTER_TARGETS, name)
    await federation.until(api, NODES, node, is_gone, namespace="")


async def test_a_pod_runs_at_home_and_is_seen_on_the_virtual_node(home: Home) -> None:
    federation, namespace = home.federation, home.federation.namespace
    name = await home.submit("echo at home; sleep 60")
    proxy = await federation.until_pod(name, lambda p: p and phase(p) == "Running")
    assert proxy["spec"]["nodeName"] == home.node
    delegate = await federation.home.get(PODS, await home.delegate(name), namespace)
    assert delegate["spec"]["nodeName"] in federation.real_nodes["home"]
    assert names.ELECT not in delegate["metadata"]["annotations"]  # or it would be federated again
    for cluster in federation.clusters[1:]:
        assert not (await federation.lab.api(cluster).list(PODS, namespace)).items

    path = PODS.path(namespace, name, "log")
    for _ in range(50):
        if log := (await federation.home.request("GET", path)).body:
            break
        await asyncio.sleep(0.1)
    assert log == b"at home\n"
    code, out, _ = await federation.exec(name, "sh", "-c", "echo out; exit 3")
    assert (code, out) == (3, b"out\n")

    chaperon = await home.delegate(name)
    await federation.home.delete(PODS, name, namespace)
    await federation.until_pod(name, is_gone)
    for resource in (POD_CHAPERONS, PODS):
        assert not await federation.exists(resource, "home", chaperon)


async def test_its_configuration_is_the_original_and_stays_as_it_was(home: Home) -> None:
    api, namespace = home.federation.home, home.federation.namespace
    before = [
        await api.create(resource, manifest | {"metadata": {"name": "conf"}}, namespace)
        for resource, manifest in CONFIGURATION
    ]
    env = [
        {"name": "G", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "greeting"}}},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "conf", "key": "password"}}},
    ]
    name = await home.submit('[ "$G $P" = "bonjour hunter2" ]', container={"env": env})
    done = await home.federation.until_pod(name, lambda p: p and phase(p) in ("Succeeded", "Failed"))
    assert phase(done) == "Succeeded"
    await api.delete(PODS, name, namespace)
    await home.federation.until_pod(name, is_gone)
    # Not copied onto itself, not marked as a copy, and not owned by a chaperon that would take it along.
    after = [await api.get(resource, "conf", namespace) for resource, _ in CONFIGURATION]
    assert [_identity(manifest) for manifest in after] == [_identity(manifest) for manifest in before]


def _identity(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if key not in ("kind", "apiVersion")}


async def test_a_delegate_that_is_deleted_ends_its_proxy(home: Home) -> None:
    name = await home.submit("trap 'exit 0' TERM; while :; do sleep 0.1; done")
    await home.federation.until_pod(name, lambda p: p and phase(p) == "Running")
    await home.federation.home.delete(PODS, await home.delegate(name), home.federation.namespace)
    await home.federation.until_pod(name, lambda p: p and phase(p) in ("Succeeded", "Failed"))


async def test_an_agent_that_starts_again_carries_on_at_home(federation: Federation) -> None:
    name = await federation.submit("sleep 60", only="home")
    assert await federation.until_running(name) == "home"
    restart = federation.kill("agent", "home")
    await federation.home.delete(PODS, name, federation.namespace)
    restart()
    await federation.until_pod(name, is_gone, seconds=40)
    assert not (await federation.home.list(POD_CHAPERONS, federation.namespace)).items


async def test_a_self_target_says_which_cluster_it_is(federation: Federation) -> None:
    target = await federation.until(
        federation.home, TARGETS, "home", lambda t: t and condition(t, "Ready").get("status") == "True"
    )
    system = await federation.home.request("GET", "/api/v1/namespaces/kube-system")
    assert target["status"]["clusterID"].encode() in system.body
