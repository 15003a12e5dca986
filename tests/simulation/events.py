"""What is done to a simulated federation: pods come and go, processes die, networks part, history is forgotten."""

import asyncio
from contextlib import suppress
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import PODS
from tests.simulation.clusters import NAMESPACE
from tests.simulation.federation import OTHERS, Cluster, World
from tests.simulation.kubelet import SECONDS

Manifest = dict[str, Any]


async def submit(world: World, name: str, *, seconds: int | None = None, cpu: str = "500m") -> None:
    """Make an elected pod, as often as it takes: the webhook may be down."""
    annotations = {names.ELECT: ""} | ({} if seconds is None else {SECONDS: str(seconds)})
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    while True:
        try:
            await world.home.admin().create(PODS, pod)
        except ApiError:
            await asyncio.sleep(1)
        else:
            return


async def delete(world: World, name: str) -> None:
    """Delete a pod, if it is there."""
    try:
        await world.home.admin().delete(PODS, name, NAMESPACE)
    except NotFound:
        return


async def kill_at_random(world: World, every_seconds: float) -> None:
    """End one of our processes now and then, until cancelled."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / every_seconds))
        cluster = world.random.choice(list(world.clusters.values()))
        cluster.kill(world.random.choice(("agent", "extender")))


async def meddle_at_random(world: World, every_seconds: float) -> None:
    """Let the owner of a target delete a delegate or a chaperon now and then, until cancelled."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / every_seconds))
        there, resource = (
            world.clusters[world.random.choice(OTHERS)].admin(),
            world.random.choice((PODS, POD_CHAPERONS)),
        )
        if found := (await there.list(resource, NAMESPACE)).items:
            with suppress(NotFound):
                await there.delete(resource, world.random.choice(found)["metadata"]["name"], NAMESPACE)
                world.mischief.counts[f"{resource.plural} deleted by an owner"] += 1


async def part_at_random(world: World, every_seconds: float, for_seconds: float) -> None:
    """Cut the source off from a target now and then, or freeze the way there, until cancelled."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / every_seconds))
        there = world.clusters[world.random.choice(OTHERS)]
        is_frozen = world.random.random() < 0.5
        for link in there.links:
            if is_frozen:
                link.is_frozen = True
            else:
                link.cut()
        world.mischief.counts["parted"] += 1
        await asyncio.sleep(world.random.random() * for_seconds)
        join(world, there)


def join(world: World, there: Cluster) -> None:
    """End a parting."""
    for link in there.links:
        link.is_frozen = False
        link.join()


async def compact_at_random(world: World, every_seconds: float) -> None:
    """Have API servers forget what was now and then (410), until cancelled."""
    while True:
        await asyncio.sleep(world.random.expovariate(1 / every_seconds))
        world.random.choice(list(world.clusters.values())).server.compact()
        world.mischief.counts["compacted"] += 1
