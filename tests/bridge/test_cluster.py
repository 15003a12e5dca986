"""Runner Jobs and Secrets on a real API server and Job controller, with the bridge's own rights and no others."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge import runners
from bridge.cluster import Cluster
from bridge.demand import WantedRunner
from bridge.observed import PendingJob, Phase, RunnerPod
from bridge.profiles import Profile
from bridge.runners import RunnerOptions
from federation.kube.api import Api, Manifest
from federation.kube.errors import Forbidden
from federation.kube.resources import JOBS, PODS, SECRETS
from lab.running import RunningLab

ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",), targets=("arm-lab",))
STARTED_AT = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
JOB = PendingJob(101, "group/app", "build", frozenset({"arm64"}))


def manifest(namespace: str, attempt: int = 0) -> Manifest:
    options = RunnerOptions("isthmus", namespace, 120, 600, 900)
    return runners.job(options, WantedRunner(ARM, JOB, attempt), "fingerprint")


async def until(cluster: Cluster, holds: Callable[[list[RunnerPod]], bool]) -> list[RunnerPod]:
    """Wait until what the cluster's mirror shows holds; at most 20 s."""
    async with asyncio.timeout(20):
        while not holds(found := cluster.runners()):  # noqa: ASYNC110  # the mirror is polled, its reader is not
            await asyncio.sleep(0.02)
    return found


async def test_a_runner_s_life_as_the_job_controller_tells_it(
    bare_lab: RunningLab, namespace: str, bridge_api: Api
) -> None:
    cluster = Cluster(bridge_api, namespace, "isthmus")
    following = asyncio.create_task(cluster.follow())
    try:
        await cluster.synced()
        assert await cluster.create_job(manifest(namespace)) is True
        assert await cluster.create_job(manifest(namespace)) is False, "a retry makes no second Job"

        (made,) = await until(cluster, lambda found: bool(found and found[0].pod))
        assert (made.phase, made.profile, made.ci_job, made.attempt) == (Phase.STARTING, "arm64", 101, 0)
        assert made.token == "fingerprint"
        assert made.system_id.startswith("r_")

        # We are the kubelet: a bare lab has no node for this pod.
        pods = await bare_lab.api().list(PODS, namespace)
        await report(bare_lab.api(), pods.items[0], "Running")
        (running,) = await until(cluster, lambda found: found[0].phase is Phase.RUNNING)
        assert running.started_at == datetime.fromisoformat(STARTED_AT)
        await report(bare_lab.api(), pods.items[0], "Succeeded")
        (ended,) = await until(cluster, lambda found: found[0].finished_at is not None)
        assert ended.phase is Phase.SUCCEEDED
        assert (await cluster.read_once()).pods == [ended]
    finally:
        following.cancel()


async def test_a_failed_pod_is_not_tried_again_by_kubernetes(
    bare_lab: RunningLab, namespace: str, bridge_api: Api
) -> None:
    cluster = Cluster(bridge_api, namespace, "isthmus")
    following = asyncio.create_task(cluster.follow())
    try:
        await cluster.synced()
        await cluster.create_job(manifest(namespace))
        await until(cluster, lambda found: bool(found and found[0].pod))
        (pod,) = (await bare_lab.api().list(PODS, namespace)).items
        await report(bare_lab.api(), pod, "Failed")
        await until(cluster, lambda found: found[0].phase is Phase.FAILED and found[0].finished_at is not None)
        assert len((await bare_lab.api().list(PODS, namespace)).items) == 1
    finally:
        following.cancel()


async def test_only_the_very_job_is_deleted_and_its_pod_goes_too(
    bare_lab: RunningLab, namespace: str, bridge_api: Api
) -> None:
    cluster = Cluster(bridge_api, namespace, "isthmus")
    following = asyncio.create_task(cluster.follow())
    try:
        await cluster.synced()
        await cluster.create_job(manifest(namespace))
        (made,) = await until(cluster, lambda found: bool(found and found[0].pod))
        await cluster.delete_job(replace(made, uid="00000000-0000-0000-0000-000000000000"))
        assert len((await bare_lab.api().list(JOBS, namespace)).items) == 1
        await cluster.delete_job(made)
        await until(cluster, lambda found: not found)
        await cluster.delete_job(made)  # gone already: fine
    finally:
        following.cancel()


async def test_secrets_are_written_and_read_by_name_only(bare_lab: RunningLab, namespace: str, bridge_api: Api) -> None:
    cluster = Cluster(bridge_api, namespace, "isthmus")
    options = RunnerOptions("isthmus", namespace, 120, 600, 900)
    assert await cluster.secret("isthmus-runner-arm64") is None
    for token in ("glrt-first", "glrt-second"):
        await cluster.write_secret(runners.secret(options, ARM, 7, token, f"token = {token}"))
        found = await cluster.secret("isthmus-runner-arm64")
        assert found is not None
        assert found["data"] == runners.secret(options, ARM, 7, token, f"token = {token}")["data"]
    with pytest.raises(Forbidden):
        await bridge_api.list(SECRETS, namespace)
    with pytest.raises(Forbidden):
        await bridge_api.get(SECRETS, "someone-elses", namespace)
    with pytest.raises(Forbidden):
        await bridge_api.list(JOBS, "default")


async def report(api: Api, pod: Manifest, phase: str) -> None:
    """Set a pod's phase, as a kubelet would."""
    status: Manifest = {"phase": phase}
    if phase == "Running":
        container = {"name": "runner", "image": "x", "imageID": "x", "ready": True, "restartCount": 0}
        status["containerStatuses"] = [container | {"state": {"running": {"startedAt": STARTED_AT}}}]
    metadata = pod["metadata"]
    await api.patch(PODS, metadata["name"], {"status": status}, metadata["namespace"], subresource="status")
