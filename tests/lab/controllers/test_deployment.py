"""Rollouts, on the real deployment controller and on ours; the test is the kubelet that makes pods ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from federation.kube.errors import Conflict, NotFound
from federation.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tests.lab.planes import Manifest, Plane, eventually


@asynccontextmanager
async def kubelet(plane: Plane, space: str) -> AsyncIterator[None]:
    """Make every pod of the namespace Running and Ready, unless its image is `broken`."""

    async def play() -> None:
        while True:
            for pod in (await plane.api.list(PODS, space)).items:
                image = pod["spec"]["containers"][0]["image"]
                if pod["status"].get("phase") == "Pending" and image != "broken":
                    with suppress(NotFound, Conflict):
                        await plane.set_phase(space, pod["metadata"]["name"], "Running")
            await asyncio.sleep(0.1)

    playing = asyncio.create_task(play())
    yield
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)


async def add_deployment(plane: Plane, space: str, replicas: int, **spec: object) -> Manifest:
    labels = {"app": "web"}
    container = {"name": "main", "image": "one"}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 0, "schedulerName": "nobody"}
    return await plane.api.create(
        DEPLOYMENTS,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": space},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                **spec,
            },
        },
    )


async def rolled_out(plane: Plane, space: str, replicas: int) -> Manifest:
    """Wait as `kubectl rollout status` does."""

    async def done() -> Manifest | None:
        web = await plane.api.get(DEPLOYMENTS, "web", space)
        status = web.get("status") or {}
        counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
        is_current = status.get("observedGeneration", 0) >= web["metadata"]["generation"]
        reasons = {one["type"]: one["reason"] for one in status.get("conditions") or []}
        is_done = reasons.get("Progressing") == "NewReplicaSetAvailable" or replicas == 0
        return web if is_current and counts == [replicas] * 3 and is_done else None

    web: Manifest = await eventually(done, f"{replicas} replicas rolled out", seconds=30)
    return web


async def set_image(plane: Plane, space: str, image: str) -> None:
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    await plane.api.patch(DEPLOYMENTS, "web", {"spec": spec}, space, kind="strategic")


async def test_a_rollout_ends_and_scales(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 3)
        web = await rolled_out(plane, space, 3)
        assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        reasons = {one["type"]: (one["status"], one["reason"]) for one in web["status"]["conditions"]}
        assert reasons == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }
        (only,) = (await plane.api.list(REPLICA_SETS, space)).items
        name_hash = only["metadata"]["labels"]["pod-template-hash"]
        assert only["metadata"]["name"] == f"web-{name_hash}"
        assert only["spec"]["selector"]["matchLabels"]["pod-template-hash"] == name_hash
        assert only["status"]["availableReplicas"] == 3
        for pod in (await plane.api.list(PODS, space)).items:
            assert pod["metadata"]["labels"]["pod-template-hash"] == name_hash
        await plane.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, space)
        await rolled_out(plane, space, 5)
        await plane.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, space)
        await rolled_out(plane, space, 0)


async def test_a_new_image_gets_a_new_replica_set_and_back(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 3)
        await rolled_out(plane, space, 3)
        await set_image(plane, space, "two")
        web = await rolled_out(plane, space, 3)
        assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        sizes = {one["spec"]["replicas"] for one in (await plane.api.list(REPLICA_SETS, space)).items}
        assert sizes == {0, 3}
        await set_image(plane, space, "one")
        web = await rolled_out(plane, space, 3)
        assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        assert len((await plane.api.list(REPLICA_SETS, space)).items) == 2


async def test_a_broken_image_stops_the_rollout_and_service_goes_on(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 4, progressDeadlineSeconds=3)
        await rolled_out(plane, space, 4)
        await set_image(plane, space, "broken")

        async def stuck() -> bool:
            web = await plane.api.get(DEPLOYMENTS, "web", space)
            found = {one["type"]: one["reason"] for one in web["status"]["conditions"]}
            return bool(found["Progressing"] == "ProgressDeadlineExceeded")

        assert await eventually(stuck, "the rollout timed out", seconds=30)
        web = await plane.api.get(DEPLOYMENTS, "web", space)
        assert (web["status"]["availableReplicas"], web["status"]["updatedReplicas"]) == (3, 2)
        await set_image(plane, space, "one")
        await rolled_out(plane, space, 4)


async def test_recreate_lets_the_old_go_first(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 2, strategy={"type": "Recreate"})
        await rolled_out(plane, space, 2)
        await set_image(plane, space, "two")
        await rolled_out(plane, space, 2)
        images = {one["spec"]["containers"][0]["image"] for one in (await plane.api.list(PODS, space)).items}
        assert images == {"two"}


async def test_a_deleted_pod_comes_back(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 2)
        await rolled_out(plane, space, 2)
        pod = (await plane.api.list(PODS, space)).items[0]
        await plane.api.delete(PODS, pod["metadata"]["name"], space)

        async def replaced() -> bool:
            names = [one["metadata"]["name"] for one in (await plane.api.list(PODS, space)).items]
            return len(names) == 2 and pod["metadata"]["name"] not in names

        assert await eventually(replaced, "another pod")
        await rolled_out(plane, space, 2)


async def test_deleting_it_takes_everything_along(plane: Plane, space: str) -> None:
    async with kubelet(plane, space):
        await add_deployment(plane, space, 2)
        await rolled_out(plane, space, 2)
        await plane.api.delete(DEPLOYMENTS, "web", space, propagation="Background")

        async def none_left() -> bool:
            pods, sets = await plane.api.list(PODS, space), await plane.api.list(REPLICA_SETS, space)
            return not pods.items and not sets.items

        assert await eventually(none_left, "nothing left")
