"""The extender, call by call, against an API server in memory: what holds when a bind request has been answered."""

import asyncio
from dataclasses import dataclass
from random import Random

from federation import names
from federation.clock import wall_clock
from federation.extender import _waiting
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from federation.reservation.extender import BindRequest, Deadlines, Extender
from tests.simulation.clusters import admin_of, cluster

NAME = "job-1"


@dataclass
class World:
    """A target with one chaperon and its candidate, and an extender that sees both."""

    api: Api
    extender: Extender
    chaperons: Store[Chaperon]
    pods: Store[TargetPod]
    request: BindRequest

    async def mark(self) -> Manifest:
        """Return the chaperon's annotations, live."""
        annotations: Manifest = (await self.api.get(POD_CHAPERONS, NAME, "ci"))["metadata"]["annotations"]
        return annotations

    async def candidates(self) -> list[Manifest]:
        """Return the pods that are there and stay, live."""
        found = (await self.api.list(PODS, "ci")).items
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    async def until_held(self, binding: "asyncio.Task[str]") -> None:
        """Return once the candidate's node is held, and marked so."""
        async with asyncio.timeout(10):
            while names.IS_RESERVED not in await self.mark():
                assert not binding.done()
                await asyncio.sleep(0.01)


async def _world(*, quiet_seconds: float = 60.0, annotations: dict[str, str] | None = None) -> World:
    api = admin_of(await cluster(wall_clock, Random(1)))
    spec = {"schedulerName": names.CANDIDATE_SCHEDULER, "containers": [{"name": "main", "image": "busybox"}]}
    metadata = {"name": NAME, "namespace": "ci"}
    chaperon = await api.create(
        POD_CHAPERONS,
        {
            "apiVersion": names.API_VERSION,
            "kind": names.CHAPERON_KIND,
            "metadata": metadata | {"annotations": {names.PARENT_NAME: "job"} | (annotations or {})},
            "spec": spec,
        },
    )
    owner = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "name": NAME, "controller": True}
    pod = await api.create(
        PODS,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata | {"ownerReferences": [owner | {"uid": chaperon["metadata"]["uid"]}]},
            "spec": spec,
        },
    )
    chaperons: Store[Chaperon] = Store(parse_chaperon)
    pods: Store[TargetPod] = Store(parse_target_pod, {"waiting": _waiting})
    chaperons.upsert(chaperon)
    pods.upsert(pod)
    extender = Extender(api=api, chaperons=chaperons, pods=pods, deadlines=Deadlines(quiet_seconds, 10.0))
    return World(api, extender, chaperons, pods, BindRequest(NAME, "ci", pod["metadata"]["uid"], "node-1"))


async def test_M4_at_the_deadline_the_candidate_is_deleted_before_the_error_is_answered() -> None:
    world = await _world(quiet_seconds=0.05)
    assert "deadline" in await world.extender.bind(world.request)
    assert await world.candidates() == [], "after an error the scheduler would come back with it"
    assert names.IS_RESERVED not in await world.mark()


async def test_M3_nothing_stays_reserved_when_the_scheduler_hangs_up() -> None:
    world = await _world()
    binding = asyncio.create_task(world.extender.bind(world.request))
    await world.until_held(binding)
    binding.cancel()
    await asyncio.gather(binding, return_exceptions=True)
    assert names.IS_RESERVED not in await world.mark()
    assert len(await world.candidates()) == 1, "its successor asks again"


async def test_M3_a_candidate_that_is_deleted_under_its_hold_is_held_no_longer() -> None:
    world = await _world()
    binding = asyncio.create_task(world.extender.bind(world.request))
    await world.until_held(binding)
    (pod,) = await world.candidates()
    await world.api.delete(PODS, NAME, "ci")
    world.pods.remove(pod)
    async with asyncio.timeout(10):
        assert "deleted" in await binding
    assert names.IS_RESERVED not in await world.mark()


async def test_S7_the_pod_that_is_bound_is_on_record() -> None:
    world = await _world(annotations={names.IS_ALLOWED: "true"})
    assert await world.extender.bind(world.request) == ""
    assert (await world.mark())[names.POD_UID] == world.request.pod_uid
    (pod,) = await world.candidates()
    assert pod["spec"]["nodeName"] == "node-1"


async def test_S7_after_a_pod_that_may_have_run_no_other_is_bound() -> None:
    world = await _world(annotations={names.IS_ALLOWED: "true", names.POD_UID: "the-one-before"})
    assert "may have run" in await world.extender.bind(world.request)
    assert await world.candidates() == []
    assert (await world.mark())[names.POD_UID] == "the-one-before"
