"""The extender protocol, the same on the real kube-scheduler and on ours: hold, refuse, time out, retry."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from federation.kube.resources import PODS
from tests.lab.planes import Plane, eventually
from tests.lab.scheduler.extender import Extender, extender


@asynccontextmanager
async def candidates(plane: Plane, **configuration: Any) -> AsyncIterator[tuple[Extender, str]]:
    """Run a scheduler of its own whose binds go to an extender."""
    profile = f"candidate-{secrets.token_hex(4)}"
    async with extender(plane.api) as asked:
        stated = {
            "urlPrefix": asked.url,
            "bindVerb": "bind",
            "nodeCacheCapable": True,
            "httpTimeout": "60s",
            "weight": 1,
        }
        process = plane.start_scheduler(profile, [stated | configuration])
        try:
            yield asked, profile
        finally:
            await plane.stop(process)


async def held(asked: Extender, name: str, times: int = 1) -> None:
    async def asked_for() -> bool:
        return asked.binds(name) >= times and name in asked.answers

    await eventually(asked_for, f"bind {times} of {name}", seconds=30)


async def test_a_held_bind_keeps_its_room_from_others(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    async with candidates(plane) as (asked, profile):
        pod = await plane.add_pod(space, "first", cpu="1", schedulerName=profile)
        await held(asked, "first")
        verb, body = asked.calls[0]
        assert (verb, body) == (
            "bind",
            {"PodName": "first", "PodNamespace": space, "PodUID": pod["metadata"]["uid"], "Node": "n1"},
        )
        await plane.add_pod(space, "second", cpu="1", schedulerName=profile)
        assert (await plane.refusal(space, "second")).startswith("0/1 nodes are available: 1 Insufficient cpu.")
        asked.let_go("first")
        assert await plane.node_of(space, "first") == "n1"
        assert asked.binds("second") == 0


async def test_a_refused_bind_is_asked_for_again_later(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    async with candidates(plane) as (asked, profile):
        await plane.add_pod(space, "p", cpu="1", schedulerName=profile)
        await held(asked, "p")
        asked.let_go("p", "somebody else was faster")
        assert "somebody else was faster" in await plane.refusal(space, "p", "SchedulerError")
        await held(asked, "p", times=2)
        asked.let_go("p", "500")
        await held(asked, "p", times=3)
        assert "code 500" in await plane.refusal(space, "p", "SchedulerError")
        asked.let_go("p")
        assert await plane.node_of(space, "p") == "n1"


async def test_a_hold_ends_with_the_timeout_and_closes_the_connection(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    async with candidates(plane, httpTimeout="1s") as (asked, profile):
        await plane.add_pod(space, "p", schedulerName=profile)
        await held(asked, "p")
        await held(asked, "p", times=2)
        assert "p" in asked.is_gone


async def test_a_pod_deleted_during_its_hold_is_forgotten(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    async with candidates(plane) as (asked, profile):
        await plane.add_pod(space, "first", cpu="1", schedulerName=profile)
        await held(asked, "first")
        await plane.add_pod(space, "second", cpu="1", schedulerName=profile)
        await plane.refusal(space, "second")
        await plane.api.delete(PODS, "first", space)
        asked.let_go("first", "deleted")
        await held(asked, "second")
        await asyncio.sleep(3)
        assert asked.binds("first") == 1


async def test_a_pod_bound_although_the_answer_was_an_error_is_left_alone(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    async with candidates(plane) as (asked, profile):
        await plane.add_pod(space, "p", cpu="1", schedulerName=profile)
        await held(asked, "p")
        binding = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "p"}, "target": {"name": "n1"}}
        await plane.api.create(PODS, binding, space, name="p", subresource="binding")
        asked.let_go("p", "the answer got lost")
        await asyncio.sleep(3)
        assert asked.binds("p") == 1


async def test_many_binds_are_held_at_once(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    async with candidates(plane) as (asked, profile):
        names = [f"p{number}" for number in range(50)]
        for name in names:
            await plane.add_pod(space, name, schedulerName=profile)
        for name in names:
            await held(asked, name)
        for name in names:
            asked.let_go(name)
        for name in names:
            await plane.node_of(space, name)
        assert len(asked.calls) == 50


async def test_only_pods_with_a_managed_resource_are_asked_about(plane: Plane, space: str) -> None:
    await plane.add_node("n1", devices={"example.com/seat": "1"})
    managed = [{"name": "example.com/seat", "ignoredByScheduler": False}]
    async with candidates(plane, managedResources=managed) as (asked, profile):
        await plane.add_pod(space, "plain", schedulerName=profile)
        assert await plane.node_of(space, "plain") == "n1"
        limits = {"resources": {"limits": {"example.com/seat": "1"}}}
        seated = [{"name": "main", "image": "busybox", **limits}]
        await plane.add_pod(space, "seated", schedulerName=profile, containers=seated)
        await held(asked, "seated")
        assert [body["PodName"] for _, body in asked.calls] == ["seated"]


async def test_a_filter_verb_narrows_the_choice(plane: Plane, space: str) -> None:
    for name in ("n1", "n2"):
        await plane.add_node(name)
    async with candidates(plane, filterVerb="filter", bindVerb="") as (asked, profile):
        asked.allowed = {"n2"}
        await plane.add_pod(space, "p", schedulerName=profile)
        assert await plane.node_of(space, "p") == "n2"
        verb, body = asked.calls[0]
        assert verb == "filter"
        assert sorted(body["NodeNames"]) == ["n1", "n2"]
        assert body["Pod"]["metadata"]["name"] == "p"
        asked.allowed = set()
        await plane.add_pod(space, "q", schedulerName=profile)
        assert await plane.refusal(space, "q") == (
            "0/2 nodes are available: 2 not allowed here. "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        )


async def test_a_restarted_scheduler_asks_again(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    async with extender(plane.api) as asked:
        stated = {
            "urlPrefix": asked.url,
            "bindVerb": "bind",
            "nodeCacheCapable": True,
            "httpTimeout": "60s",
            "weight": 1,
        }
        profile = f"candidate-{secrets.token_hex(4)}"
        first = plane.start_scheduler(profile, [stated])
        await plane.add_pod(space, "p", cpu="1", schedulerName=profile)
        await held(asked, "p")
        await plane.stop(first)
        second = plane.start_scheduler(profile, [stated])
        await held(asked, "p", times=2)
        asked.let_go("p")
        assert await plane.node_of(space, "p") == "n1"
        await plane.stop(second)
