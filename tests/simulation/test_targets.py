"""Targets in memory: how they end (rule M7), and what is believed of them (rule S4)."""

import json
from random import Random
from typing import Any

from federation import names
from federation.clock import wall_clock
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.api import Manifest
from federation.kube.resources import CONFIG_MAPS, NAMESPACES, NODES, PODS
from tests.simulation.clusters import cluster
from tests.simulation.source import World, running

NODE = names.virtual_node_name("ci", "far")


def condition(manifest: Manifest | None, kind: str) -> Manifest:
    conditions = ((manifest or {}).get("status") or {}).get("conditions") or []
    return next((dict(c) for c in conditions if c["type"] == kind), {})


async def ready(world: World) -> Manifest:
    async def look() -> Manifest | None:
        target = await world.get(TARGETS, "far")
        is_held = names.TARGET_FINALIZER in ((target or {}).get("metadata", {}).get("finalizers") or [])
        return target if is_held and condition(target, "Ready").get("status") == "True" else None

    found: Manifest = await world.until(look, "the Target is ready and held")
    return found


async def gone(world: World, resource: Any, name: str, namespace: str = "ci") -> bool:
    return await world.get(resource, name, namespace) is None


async def phase_of(world: World, name: str) -> str:
    pod = await world.get(PODS, name)
    return str((pod or {}).get("status", {}).get("phase"))


async def test_S4_the_clusters_id_is_on_record_before_anything_else() -> None:
    async with running() as world:
        await world.make_target()
        target = await ready(world)
        there = await world.there.get(NAMESPACES, "kube-system")
        assert target["status"]["clusterID"] == there["metadata"]["uid"]
        assert condition(target, "Intact")["status"] == "True"


async def test_M7_a_target_ends_when_all_that_it_stands_for_has() -> None:
    async with running() as world:
        await world.make_target()
        await ready(world)
        chaperon = await world.run_pod("a")
        await world.home.delete(TARGETS, "far", "ci")
        await world.until(lambda: gone(world, TARGETS, "far"), "the Target is gone")
        assert await gone(world, NODES, NODE, "")
        assert (await world.there.list(POD_CHAPERONS, "ci")).items == [], chaperon
        pod = await world.get(PODS, "a")
        assert pod is not None
        assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "TargetGone")
        assert condition(pod, "DisruptionTarget")["status"] == "True"
        assert "finalizers" not in pod["metadata"]


async def test_M7_a_lost_target_is_recorded_then_let_go_and_cleared_when_it_is_back() -> None:
    async with running(target_lost_seconds=0.5) as world:
        await world.make_target()
        target = await ready(world)
        await world.run_pod("a")
        world.links[-1].cut()
        await world.home.delete(TARGETS, "far", "ci")
        await world.until(lambda: gone(world, TARGETS, "far"), "the Target is given up")
        assert await phase_of(world, "a") == "Failed"
        (text,) = (await world.home.get(CONFIG_MAPS, "isthmus-left-behind", "isthmus"))["data"].values()
        record = json.loads(text)
        assert record["cluster_id"] == target["status"]["clusterID"]
        assert record["pods"] == ["ci/a"]
        assert len((await world.there.list(POD_CHAPERONS, "ci")).items) == 1
        await world.make_target()

        async def cleared() -> bool:
            found = await world.home.get(CONFIG_MAPS, "isthmus-left-behind", "isthmus")
            return not found.get("data") and not (await world.there.list(POD_CHAPERONS, "ci")).items

        await world.until(cleared, "nothing is left, nor on record")


async def doubted(world: World, reason: str) -> Manifest:
    async def look() -> Manifest | None:
        target = await world.get(TARGETS, "far")
        return target if condition(target, "Intact").get("reason") == reason else None

    found: Manifest = await world.until(look, f"the Target says {reason}")
    return found


async def test_S4_many_that_vanish_at_once_stop_everything_until_a_person_decides() -> None:
    async with running() as world:
        await world.make_target()
        await ready(world)
        chaperons = [await world.run_pod(f"p{number}") for number in range(6)]
        for name in chaperons:
            await world.there.delete(POD_CHAPERONS, name, "ci")
        target = await doubted(world, "ChaperonsVanished")
        assert [await phase_of(world, f"p{number}") for number in range(6)] == ["Running"] * 6
        since = condition(target, "Intact")["lastTransitionTime"]
        await world.home.patch(TARGETS, "far", {"metadata": {"annotations": {names.ACCEPT_LOSS: since}}}, "ci")

        async def all_ended() -> bool:
            return all([await phase_of(world, f"p{number}") == "Failed" for number in range(6)])

        await world.until(all_ended, "all have ended")
        await doubted(world, "AsOnRecord")


async def test_S4_another_clusters_answer_ends_nothing_and_an_accepted_loss_does() -> None:
    async with running() as world:
        await world.make_target()
        await ready(world)
        await world.run_pod("a")
        world.leads_to = await cluster(wall_clock, Random(3))
        world.links[-1]._server = world.leads_to  # the same address, another cluster
        world.links[-1].cut()
        world.links[-1].join()
        target = await doubted(world, "ClusterChanged")
        assert await phase_of(world, "a") == "Running"
        since = condition(target, "Intact")["lastTransitionTime"]
        await world.home.patch(TARGETS, "far", {"metadata": {"annotations": {names.ACCEPT_LOSS: since}}}, "ci")

        async def ended() -> bool:
            return await phase_of(world, "a") == "Failed"

        await world.until(ended, "the pod ends")
        target = await doubted(world, "AsOnRecord")
        there = await world.there.get(NAMESPACES, "kube-system")
        assert target["status"]["clusterID"] == there["metadata"]["uid"]
