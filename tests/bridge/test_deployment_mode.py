"""Deployment mode in a federation: real agents and controllers, runners as processes in the target, the lab's GitLab.

The traps are those of GitLab Runner's daemon (1.9) and of federated pods under a ReplicaSet (1.11).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from bridge import names
from bridge.cluster import Cluster
from bridge.controller import Bridge, Pace
from bridge.observed import Bounds, ManagerPod
from bridge.profiles import Profile
from bridge.reading import DemandReader, Watched
from bridge.registration import Registrar
from bridge.runners import RunnerOptions
from federation.kube.api import Api
from federation.kube.resources import DEPLOYMENTS, PODS
from lab.gitlab.model import Job
from lab.running import RunningLab
from tests.bridge.gitlab_site import Site

T = TypeVar("T")
NAME = "gitlab-runner-federated"
# What the process kubelet runs; small, so that several fit.
FIELDS: dict[str, Any] = {
    "name": "arm64",
    "os": "linux",
    "arch": "arm64",
    "tags": ["arm64"],
    "targets": ["arm-lab"],
    "mode": "deployment",
    "deployment": NAME,
    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
}
JOB = "%s: {tags: [arm64], variables: {GIT_STRATEGY: none}, script: [echo begins, sleep %d, echo has ended]}"


@dataclass(slots=True)
class Crew:
    """A bridge that runs, its Deployment, and what became of its pods."""

    site: Site
    admin: Api
    target: Api
    api: Api
    namespace: str
    looks: list[asyncio.Task[None]] = field(default_factory=list)
    cluster: Cluster | None = None

    async def start(self, **fields: object) -> None:
        """Start a bridge with one profile; the one before stops, as if it had been killed and its file edited."""
        await self.stop()
        options = RunnerOptions("isthmus", self.namespace, 120, 600, 900)
        self.cluster = Cluster(self.api, self.namespace, "isthmus", has_deployments=True)
        gitlab = self.site.client()
        bridge = Bridge(
            gitlab=gitlab,
            demand_reader=DemandReader(gitlab, Watched(("root/app",), (), timedelta(minutes=5)), self.site.now),
            cluster=self.cluster,
            registrar=Registrar(
                gitlab, self.cluster, options, scope="instance", runner_url=self.site.url, version="0.1.0"
            ),
            profiles=(Profile.model_validate(FIELDS | fields),),
            options=options,
            bounds=Bounds(10, 600, 120, scale_down_delay_seconds=1),
            pace=Pace(0.3, timedelta(minutes=20)),
            clock=self.site.now,
        )
        self.looks = [asyncio.create_task(bridge.run())]

    async def stop(self) -> None:
        """End the bridge."""
        for task in self.looks:
            task.cancel()
        await asyncio.gather(*self.looks, return_exceptions=True)
        self.looks = []

    def pods(self) -> list[ManagerPod]:
        """The Deployment's pods as the bridge sees them, oldest first."""
        assert self.cluster is not None
        return sorted(self.cluster.fleet().managers, key=lambda pod: (pod.created_at, pod.pod))

    def ready(self) -> list[ManagerPod]:
        """Those that run and stay."""
        return [pod for pod in self.pods() if pod.is_ready and not pod.is_leaving]

    def push(self, name: str, seconds: int) -> Job:
        """A job that takes so long."""
        (job,) = self.site.push_text(JOB % (name, seconds))
        return job

    def pod_of(self, job: Job) -> ManagerPod:
        """Which pod runs a job, by what its runner calls itself."""
        assert job.manager is not None
        return next(pod for pod in self.pods() if pod.system_id == job.manager.system_id)

    def replicas(self) -> int:
        """What the Deployment says."""
        assert self.cluster is not None
        found = self.cluster.fleet().deployments.get("arm64")
        return found.replicas if found else 0

    async def scale(self, replicas: int) -> None:
        """What `kubectl scale` does."""
        body = {"spec": {"replicas": replicas}}
        await self.admin.patch(DEPLOYMENTS, NAME, body, self.namespace, subresource="scale")

    async def delegates(self) -> list[dict[str, Any]]:
        """The pods in the target."""
        return (await self.target.list(PODS, self.namespace)).items


async def until(holds: Callable[[], T], seconds: float = 60) -> T:
    """Wait until something is true; return it."""
    async with asyncio.timeout(seconds):
        while not (found := holds()):  # noqa: ASYNC110  # mirrors are polled here only
            await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def hired(lab: RunningLab, namespace: str, api: Api, site: Site) -> AsyncIterator[Crew]:
    """A crew; its Deployment goes at the end, with pods that do not wait for their jobs."""
    crew = Crew(site, lab.api(), lab.api("arm-lab"), api, namespace)
    try:
        yield crew
    finally:
        await crew.stop()
        await crew.admin.delete(DEPLOYMENTS, NAME, namespace, propagation="Background")
        for pod in await crew.delegates():
            await crew.target.delete(PODS, pod["metadata"]["name"], namespace, grace_period_seconds=0)


@pytest.fixture
async def crew(
    federation_lab: RunningLab, federated_namespace: str, bridge_api: Api, site: Site
) -> AsyncIterator[Crew]:
    """Nobody yet."""
    async with hired(federation_lab, federated_namespace, bridge_api, site) as found:
        yield found


async def test_trap_1_7_every_pod_is_a_manager_of_its_own_that_home_can_name(crew: Crew) -> None:
    await crew.start(min=2, max=3)
    await until(lambda: len(crew.ready()) == 2)
    (runner,) = crew.site.runners()
    expected = {pod.system_id for pod in crew.ready()}
    await until(lambda: expected <= runner.managers.keys())
    assert len(expected) == 2
    assert all(pod.node for pod in crew.ready())
    assert len(await crew.delegates()) == 2, "they run in the target"
    job = crew.push("build", 1)
    await until(lambda: job.status == "success")
    assert job.manager is not None
    assert job.manager.system_id in expected


async def test_trap_1_11_a_deleted_pod_finishes_its_job_and_is_seen_at_home_until_then(crew: Crew) -> None:
    await crew.start(min=1, max=2)
    await until(crew.ready)
    job = crew.push("build", 8)
    await until(lambda: job.status == "running")
    await until(lambda: b"begins" in bytes(job.trace))
    busy = crew.pod_of(job)
    await crew.admin.delete(PODS, busy.pod, crew.namespace)

    # Admiralty's proxy would be gone at once, and a replacement would hide that its runner still works.
    await until(lambda: any(pod.pod == busy.pod and pod.is_leaving for pod in crew.pods()))
    while job.status == "running":
        assert busy.pod in {pod.pod for pod in crew.pods()}, "the proxy went before its job was done"
        await asyncio.sleep(0.1)
    assert job.status == "success", bytes(job.trace).decode()
    assert b"has ended" in bytes(job.trace)
    await until(lambda: busy.pod not in {pod.pod for pod in crew.pods()})
    replacement = await until(crew.ready)
    assert replacement[0].uid != busy.uid


async def test_trap_1_11_a_deployment_shrinks_to_the_busy_pod_though_it_is_a_newer_one(crew: Crew) -> None:
    await crew.start(min=1, max=3)
    (oldest,) = await until(crew.ready)
    first = crew.push("first", 10)
    await until(lambda: first.status == "running")
    await crew.start(min=3, max=3)
    await until(lambda: len(crew.ready()) == 3)
    job = crew.push("build", 25)
    await until(lambda: job.status == "running")
    busy = crew.pod_of(job)
    assert busy.uid != oldest.uid, "left to itself the controller would keep the oldest"
    await until(lambda: first.status == "success")

    await crew.start(min=1, max=3)
    (runner,) = crew.site.runners()
    await until(lambda: runner.is_paused)
    await until(lambda: crew.replicas() == 1)
    await until(lambda: [pod.uid for pod in crew.pods()] == [busy.uid])
    assert job.status == "running", "else nothing is shown"
    (left,) = crew.pods()
    assert left.deletion_cost > 0, "the mark on the proxy was not overwritten by what comes back from the target"
    await until(lambda: not runner.is_paused)
    await until(lambda: job.status == "success")


async def test_trap_1_9_a_rolling_update_replaces_pods_and_ends_no_job(crew: Crew) -> None:
    await crew.start(min=1, max=2)
    await until(crew.ready)
    job = crew.push("build", 12)
    await until(lambda: job.status == "running")
    old = crew.pod_of(job)
    await crew.start(min=1, max=2, resources={"requests": {"cpu": "11m", "memory": "16Mi"}})
    await until(lambda: any(pod.uid != old.uid for pod in crew.ready()))
    await until(lambda: any(pod.uid == old.uid and pod.is_leaving for pod in crew.pods()))
    assert job.status == "running", "else nothing is shown"
    await until(lambda: job.status == "success")
    await until(lambda: old.uid not in {pod.uid for pod in crew.pods()})


async def test_replicas_scaled_by_hand_stay_and_idle_pods_go_first(crew: Crew) -> None:
    await crew.start(replicas=1, max=3)
    await until(crew.ready)
    await crew.scale(2)
    await until(lambda: len(crew.ready()) == 2)
    jobs = [crew.push("build", 20)]
    await until(lambda: jobs[0].status == "running")
    busy = crew.pod_of(jobs[0])
    await until(lambda: next(pod for pod in crew.pods() if pod.uid == busy.uid).deletion_cost > 0)
    jobs += [crew.push(f"more-{number}", 0) for number in range(3)]
    await asyncio.sleep(1)  # three looks with more to do than there are pods
    assert crew.replicas() == 2, "the number is a person's"
    await until(lambda: all(job.status == "success" for job in jobs[1:]))
    # The other one keeps its mark until the next look; before that the two are alike to the controller.
    await until(lambda: [pod.uid for pod in crew.pods() if pod.deletion_cost > 0] == [busy.uid])
    assert jobs[0].status == "running", "else nothing is shown"
    await crew.scale(1)
    await until(lambda: [pod.uid for pod in crew.ready()] == [busy.uid])
    await until(lambda: jobs[0].status == "success")
    assert crew.replicas() == 1


async def test_the_runner_s_pause_is_ended_by_whoever_comes_after_a_killed_bridge(crew: Crew) -> None:
    await crew.start(min=1, max=3)
    await until(crew.ready)
    (runner,) = crew.site.runners()
    await crew.stop()
    since = (crew.site.now() - timedelta(seconds=5)).isoformat()
    body = {"metadata": {"annotations": {names.PAUSED_SINCE: since}}}
    await crew.admin.patch(DEPLOYMENTS, NAME, body, crew.namespace)
    await crew.site.client().set_paused(runner.id, is_paused=True)
    job = crew.push("build", 0)
    await crew.start(min=1, max=3)
    await until(lambda: job.status == "success")
    annotations = (await crew.admin.get(DEPLOYMENTS, NAME, crew.namespace))["metadata"]["annotations"]
    assert names.PAUSED_SINCE not in annotations
