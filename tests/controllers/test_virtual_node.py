"""The virtual node's reconciler, as the agent, against an API server with the real node lifecycle controller."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from federation.clock import wall_clock
from federation.controllers.connection import Connection
from federation.controllers.proxies import proxy_store
from federation.controllers.virtual_node import VirtualNodes
from federation.decisions.ending import Stage
from federation.decisions.node_policy import node_policy
from federation.decisions.virtual_node import GRACE
from federation.kinds import CLUSTER_SUMMARIES, POD_CHAPERONS
from federation.kube.api import Api, Manifest, connect
from federation.kube.errors import NotFound
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, LEASES, NODES, PODS
from federation.kube.watch import follow
from federation.model.summary import Summary
from federation.model.target import parse_target
from federation.model.virtual_node import KubeletAddress
from federation.names import ELECT, IS_RESERVED, PARENT_CLUSTER_NAME, PARENT_NAME, PARENT_NAMESPACE, PARENT_UID
from federation.names import SOURCE_POD_MANIFEST as MANIFEST
from federation.names import TARGET as OF_TARGET
from tests.lab.planes import eventually
from tests.source_plane import Source

TARGET = parse_target(
    {
        "metadata": {"namespace": "default", "name": "far", "uid": "t"},
        "spec": {"self": True, "excludedLabelsRegexp": "^secret="},
    }
)
NODE = TARGET.node_name
SUMMARY = Summary(
    cluster_id="far-id",
    kubelet_version="v1.36.1",
    capacity={"cpu": 8000, "memory": 1024**3, "pods": 110},
    allocatable={"cpu": 2000, "memory": 1024**3, "pods": 110},
    labels={"kubernetes.io/arch": "arm64", "kubernetes.io/hostname": "the-only-one", "secret": "x"},
)


@dataclass
class State:
    """What a test may change: how far the agent's clock is ahead, how far the Target is."""

    ahead: timedelta = timedelta(0)
    stage: Stage = Stage.KEPT

    def clock(self) -> datetime:
        return wall_clock() + self.ahead


@dataclass
class World:
    """A source whose target is itself, and what its agent runs for it."""

    api: Api
    connection: Connection
    nodes: VirtualNodes
    state: State

    async def node(self, test: Callable[[Manifest], bool], what: str) -> Manifest:
        async def look() -> Manifest | None:
            found = await self.api.get(NODES, NODE)
            return found if test(found) else None

        found: Manifest = await eventually(look, what, 30)
        return found


def ready(node: Manifest) -> str:
    conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions") or []}
    return str(conditions.get("Ready"))


def allocatable(node: Manifest, resource: str) -> str:
    return str((node.get("status", {}).get("allocatable") or {}).get(resource))


@pytest.fixture
async def world(source: Source) -> AsyncIterator[World]:
    """The agent's virtual node for `default/far`, served until the test ends; then its Target is gone."""
    await source.admin.create(CLUSTER_SUMMARIES, SUMMARY.manifest())
    async with await connect(source.kubeconfig("isthmus-agent")) as api:
        pods = proxy_store()
        state = State()
        nodes = VirtualNodes(
            api=api,
            pods=pods,
            stage=lambda name: state.stage if name == NODE else Stage.GONE,
            clock=state.clock,
            kubelet_version="v1.37.2",
            policy=node_policy("kubernetes.io/arch,kubernetes.io/os,region", {}),
        )
        connection = Connection(TARGET, api, "home", wall_clock)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follow(api, PODS, pods)),
                group.create_task(connection.run()),
                group.create_task(nodes.follow()),
                group.create_task(nodes.lead()),
            ]
            serving = group.create_task(nodes.serve(connection, KubeletAddress("127.0.0.1", 12345)))
            yield World(source.admin, connection, nodes, state)
            state.stage = Stage.GONE
            serving.cancel()
            await eventually(lambda: gone(source.admin), "the node of a target that is gone is deleted")
            for task in tasks:
                task.cancel()
    await source.admin.delete(CLUSTER_SUMMARIES, "singleton")


async def gone(admin: Api) -> bool:
    try:
        await admin.get(NODES, NODE)
    except NotFound:
        return True
    return False


async def test_a_target_becomes_a_ready_node_with_lease_room_and_labels(world: World) -> None:
    await world.node(lambda node: ready(node) == "True", "the node is Ready")
    node = await world.node(lambda node: allocatable(node, "cpu") == "2", "the node shows the summary")
    labels = node["metadata"]["labels"]
    assert labels["kubernetes.io/arch"] == "arm64"
    assert labels["kubernetes.io/hostname"] == NODE
    assert labels["kubernetes.io/role"] == "cluster"
    assert "secret" not in labels
    status = node["status"]
    assert status["nodeInfo"]["kubeletVersion"] == "v1.36.1"
    assert status["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 12345
    assert allocatable(node, "cpu") == "2"
    lease = await world.api.get(LEASES, NODE, "kube-node-lease")
    assert lease["spec"]["holderIdentity"] == NODE
    assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
    # the real node lifecycle controller takes its not-ready taint away again; ours stays
    node = await world.node(lambda node: len(node["spec"].get("taints") or []) == 1, "only our taint is left")
    assert node["spec"]["taints"][0]["key"] == "virtual-kubelet.io/provider"


async def test_what_others_put_on_the_node_stays(world: World) -> None:
    await world.node(lambda node: ready(node) == "True", "the node is Ready")
    mine = {"metadata": {"labels": {"team": "blue", "kubernetes.io/arch": None}}, "spec": {"unschedulable": True}}
    await world.api.patch(NODES, NODE, mine)
    changed = {"metadata": {"labels": {"region": "north", "kubernetes.io/arch": None}}}
    await world.api.patch(CLUSTER_SUMMARIES, "singleton", changed)
    node = await world.node(
        lambda node: node["metadata"]["labels"].get("region") == "north", "the target's new label is on the node"
    )
    labels = node["metadata"]["labels"]
    assert labels["team"] == "blue"
    assert "kubernetes.io/arch" not in labels
    assert node["spec"]["unschedulable"] is True


async def test_m7_a_node_deleted_by_somebody_is_made_again_at_once(world: World) -> None:
    before = await world.node(lambda node: ready(node) == "True", "the node is Ready")
    await world.api.delete(NODES, NODE)
    after = await world.node(
        lambda node: node["metadata"]["uid"] != before["metadata"]["uid"] and ready(node) == "True", "a new one"
    )
    born = datetime.fromisoformat(after["metadata"]["creationTimestamp"])
    assert datetime.now(UTC) - born < timedelta(seconds=10)


async def test_m5_room_is_raised_at_once_to_what_is_reserved(world: World) -> None:
    await world.node(lambda node: allocatable(node, "cpu") == "2", "the node shows the summary's room")
    proxy = await _proxy(world.api, "3")
    chaperon = await _chaperon(world.api, proxy)
    await asyncio.sleep(0.3)
    assert allocatable(await world.api.get(NODES, NODE), "cpu") == "2", "nothing is held yet"
    await world.api.patch(
        POD_CHAPERONS, chaperon["metadata"]["name"], {"metadata": {"annotations": {IS_RESERVED: "true"}}}, "default"
    )
    node = await world.node(lambda node: allocatable(node, "cpu") == "3", "room for what is held")
    assert node["status"]["capacity"]["cpu"] == "8"
    await world.api.delete(POD_CHAPERONS, chaperon["metadata"]["name"], "default")
    await world.node(lambda node: allocatable(node, "cpu") == "2", "no more than that")
    await world.api.delete(PODS, "proxy", "default", grace_period_seconds=0)


async def test_a_target_that_does_not_answer_makes_its_node_not_ready(world: World, source: Source) -> None:
    await world.node(lambda node: ready(node) == "True", "the node is Ready")
    # The agent may no longer read summaries: to it, that is a target which refuses it.
    name = "isthmus-agent-self-target-summary-viewer"
    viewer = await source.admin.get(CLUSTER_ROLE_BINDINGS, name)
    target_role = await source.admin.get(CLUSTER_ROLE_BINDINGS, "isthmus-agent-target")
    for binding in (viewer, target_role):
        await source.admin.delete(CLUSTER_ROLE_BINDINGS, binding["metadata"]["name"])
    await eventually(lambda: _is_down(world), "the pulse notices", 30)
    world.state.ahead = GRACE
    world.nodes.queue.add(NODE)
    node = await world.node(lambda node: ready(node) == "False", "the node is not Ready")
    message = next(c["message"] for c in node["status"]["conditions"] if c["type"] == "Ready")
    assert message.startswith("unreachable since ")
    assert "forbidden" in message
    world.state.ahead = timedelta(0)
    for binding in (viewer, target_role):
        for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(field, None)
        await source.admin.create(CLUSTER_ROLE_BINDINGS, binding)
    await world.node(lambda node: ready(node) == "True", "and Ready again")


async def _is_down(world: World) -> bool:
    return not world.connection.pulse.is_reachable


async def _proxy(api: Api, cpu: str) -> Manifest:
    """An elected pod that nobody binds."""
    with suppress(NotFound):
        await api.delete(PODS, "proxy", "default", grace_period_seconds=0)
    containers: list[Any] = [{"name": "c", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}]
    metadata = {"name": "proxy", "namespace": "default", "annotations": {ELECT: "", MANIFEST: "{}"}}
    spec = {"containers": containers, "schedulingGates": [{"name": "test/never"}]}
    return await api.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


async def _chaperon(api: Api, proxy: Manifest) -> Manifest:
    metadata = {
        "generateName": "proxy-",
        "namespace": "default",
        "labels": {PARENT_UID: proxy["metadata"]["uid"], PARENT_CLUSTER_NAME: "home", OF_TARGET: TARGET.label},
        "annotations": {PARENT_NAME: "proxy", PARENT_NAMESPACE: "default"},
    }
    spec = {"containers": [{"name": "c", "image": "busybox"}]}
    manifest = {"apiVersion": POD_CHAPERONS.api_version, "kind": POD_CHAPERONS.kind, "metadata": metadata, "spec": spec}
    return await api.create(POD_CHAPERONS, manifest)
