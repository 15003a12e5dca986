"""The ClusterSummary's reconciler, as the agent, against an API server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from federation.clock import wall_clock
from federation.controllers.summary import OCCUPANTS, Summaries
from federation.kinds import CLUSTER_SUMMARIES
from federation.kube.api import Api, Manifest, connect
from federation.kube.errors import NotFound
from federation.kube.resources import NODES, PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from federation.model.summary import (
    ClusterNode,
    Occupant,
    Summary,
    parse_cluster_node,
    parse_occupant,
    parse_summary,
)
from tests.lab.planes import eventually
from tests.source_plane import Source


@pytest.fixture
async def writes(source: Source) -> AsyncIterator[list[str]]:
    """Run the reconciler as the agent; the list fills with the resourceVersions of the summaries it wrote."""
    await source.plane.add_node("real-a", labels={"zone": "x", "gpu": "a100"})
    seen: list[str] = []
    async with await connect(source.kubeconfig("isthmus-agent")) as api:
        nodes: Store[ClusterNode] = Store(parse_cluster_node)
        occupants: Store[Occupant] = Store(parse_occupant)

        def note(manifest: Manifest) -> Summary | None:
            seen.append(manifest["metadata"]["resourceVersion"])
            return parse_summary(manifest)

        summaries: Store[Summary] = Store(note)
        reconciler = Summaries(
            api=api,
            cluster_id="some-id",
            cluster_name="some-name",
            nodes=nodes,
            occupants=occupants,
            summaries=summaries,
            clock=wall_clock,
        )
        queue: Workqueue[str] = Workqueue("summary", reconciler.reconcile, workers=1)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follow(api, NODES, nodes)),
                group.create_task(follow(api, PODS, occupants, field_selector=OCCUPANTS)),
                group.create_task(follow(api, CLUSTER_SUMMARIES, summaries)),
                group.create_task(queue.run()),
            ]
            await asyncio.gather(nodes.synced.wait(), occupants.synced.wait(), summaries.synced.wait())
            for store in (nodes, occupants, summaries):
                store.subscribe(lambda *_: queue.add("singleton"))
            yield seen
            for task in tasks:
                task.cancel()
    await source.admin.delete(CLUSTER_SUMMARIES, "singleton")
    for name in list(source.plane.nodes):
        await source.plane.remove_node(name)


async def until(admin: Api, **allocatable: str) -> Manifest:
    async def look() -> Manifest | None:
        found = await admin.get(CLUSTER_SUMMARIES, "singleton")
        return found if found["allocatable"].items() >= allocatable.items() else None

    found: Manifest = await eventually(look, f"a summary with {allocatable}")
    return found


async def test_the_summary_follows_nodes_and_pods(source: Source, writes: list[str]) -> None:
    summary = await until(source.admin, cpu="4", memory="8Gi", pods="110")
    assert summary["metadata"]["labels"]["gpu"] == "a100"
    assert summary["clusterID"] == "some-id"
    assert summary["clusterName"] == "some-name"
    await source.plane.add_node("real-b", labels={"zone": "y"}, devices={"example.com/device": "2"})
    summary = await until(source.admin, cpu="8", **{"example.com/device": "2"})
    assert summary["metadata"]["labels"].get("gpu") == "a100"
    assert "zone" not in summary["metadata"]["labels"]
    await source.plane.add_pod("default", "own", cpu="1500m", nodeName="real-a")
    await until(source.admin, cpu="6500m", pods="219")
    await source.plane.set_phase("default", "own", "Succeeded")
    await until(source.admin, cpu="8", pods="220")
    await source.admin.delete(PODS, "own", "default", grace_period_seconds=0)
    await source.plane.remove_node("real-b")
    summary = await until(source.admin, cpu="4", pods="110")
    assert "example.com/device" not in summary["allocatable"]
    assert writes


async def test_many_changes_are_few_writes(source: Source, writes: list[str]) -> None:
    await until(source.admin, cpu="4")
    before = len(writes)
    for number in range(30):
        await source.plane.add_pod("default", f"own-{number}", cpu="10m", nodeName="real-a")
    await until(source.admin, cpu="3700m", pods="80")
    assert len(writes) - before <= 6, "a write a second, and 30 pods take no longer than some seconds"
    for number in range(30):
        await source.admin.delete(PODS, f"own-{number}", "default", grace_period_seconds=0)


async def test_a_summary_that_was_deleted_or_changed_comes_back(source: Source, writes: list[str]) -> None:
    await until(source.admin, cpu="4")
    body = {"allocatable": {"cpu": "9000", "nonsense": "1"}, "metadata": {"labels": {"nonsense": "1"}}}
    await source.admin.patch(CLUSTER_SUMMARIES, "singleton", body)
    summary = await until(source.admin, cpu="4")
    assert "nonsense" not in summary["allocatable"]
    assert "nonsense" not in summary["metadata"]["labels"]
    await source.admin.delete(CLUSTER_SUMMARIES, "singleton")

    async def is_back() -> bool:
        try:
            return bool(await source.admin.get(CLUSTER_SUMMARIES, "singleton"))
        except NotFound:
            return False

    assert await eventually(is_back, "the summary is there again")
    assert writes
