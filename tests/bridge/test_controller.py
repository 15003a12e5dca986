"""The whole loop: the lab's GitLab on one side, a real API server and Job controller on the other.

A bare lab has no nodes that run pods, so the tests are the kubelet and the runner: they set pods' phases and ask
GitLab for jobs with the token and system id that the bridge gave the pod.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from bridge.cluster import Cluster
from bridge.controller import Bridge, Pace
from bridge.errors import BridgeError
from bridge.observed import Bounds, Fleet, RunnerPod
from bridge.profiles import Profile
from bridge.reading import DemandReader, Watched
from bridge.registration import Registrar
from bridge.runners import RunnerOptions
from federation.kube.api import Api
from federation.kube.errors import ApiError, Unreachable
from federation.kube.resources import JOBS, PODS, SECRETS
from federation.kube.transport import Response, StreamResponse, Transport
from lab.gitlab import projects
from lab.gitlab.model import Job
from lab.running import RunningLab
from tests.bridge.gitlab_site import Site
from tests.bridge.test_cluster import report

ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64", "aarch64"), targets=("arm-lab",), max=3)
WINDOWS = Profile(name="windows", os="windows", arch="amd64", tags=("windows",))


@dataclass(slots=True)
class Stage:
    """A bridge whose looks the test triggers, and what it works on."""

    bridge: Bridge
    cluster: Cluster
    site: Site
    admin: Api
    namespace: str

    async def look(self) -> None:
        """Look once, with the mirror as fresh as the API server."""
        await self.settled()
        await self.bridge.look()
        await self.settled()

    async def settled(self) -> list[RunnerPod]:
        """Wait until the mirror shows every Job, and each unfinished one's pod."""
        jobs = {job["metadata"]["name"] for job in (await self.admin.list(JOBS, self.namespace)).items}
        return await self.until(lambda pods: {pod.job for pod in pods} == jobs and all(pod.pod for pod in pods))

    async def until(self, holds: Callable[[list[RunnerPod]], bool]) -> list[RunnerPod]:
        """Wait until what the bridge sees of its pods holds; at most 20 s."""
        async with asyncio.timeout(20):
            while not holds(pods := self.cluster.runners()):  # noqa: ASYNC110  # the mirror is polled here only
                await asyncio.sleep(0.02)
        return pods

    def made(self) -> list[str]:
        """The names of the Jobs there are."""
        return sorted(pod.job for pod in self.cluster.runners())

    async def set_phase(self, pod: RunnerPod, phase: str) -> None:
        """Be the kubelet, and wait until the bridge sees it."""
        manifest = await self.admin.get(PODS, pod.pod, self.namespace)
        await report(self.admin, manifest, phase)
        await self.until(lambda pods: any(p.job == pod.job and p.phase.value == phase.lower() for p in pods))

    async def take(self, pod: RunnerPod) -> Job | None:
        """Be the pod's runner: ask GitLab for a job with the token from the Secret."""
        secret = await self.admin.get(SECRETS, f"isthmus-runner-{pod.profile}", self.namespace)
        return self.site.take(base64.b64decode(secret["data"]["token"]).decode(), pod.system_id)


@asynccontextmanager
async def stage(site: Site, lab: RunningLab, api: Api, namespace: str) -> AsyncIterator[Stage]:
    """A bridge that has just started, in the test's namespace, with the bridge's rights."""
    options = RunnerOptions("isthmus", namespace, 120, 600, 900)
    cluster = Cluster(api, namespace, "isthmus")
    gitlab = site.client()
    bridge = Bridge(
        gitlab=gitlab,
        demand_reader=DemandReader(gitlab, Watched(("root/app",), (), timedelta(minutes=5)), site.now),
        cluster=cluster,
        registrar=Registrar(gitlab, cluster, options, scope="instance", runner_url=site.url, version="0.1.0"),
        profiles=(ARM, WINDOWS),
        options=options,
        bounds=Bounds(burst_max=10, start_timeout_seconds=600, wait_timeout_seconds=120),
        pace=Pace(0.2, timedelta(minutes=20)),
        clock=site.now,
    )
    following = asyncio.create_task(cluster.follow())
    try:
        await cluster.synced()
        yield Stage(bridge, cluster, site, lab.api(), namespace)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.fixture
async def running(bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site) -> AsyncIterator[Stage]:
    """A bridge at a GitLab without two-phase commit."""
    async with stage(site, bare_lab, bridge_api, namespace) as found:
        yield found


async def test_each_pending_job_gets_one_pod_of_its_profile(running: Stage) -> None:
    running.site.push(arm=["aarch64"], win=["windows"], odd=["sparc"])
    await running.look()
    assert running.made() == ["isthmus-arm64-1-0", "isthmus-windows-2-0"]
    await running.look()
    assert running.made() == ["isthmus-arm64-1-0", "isthmus-windows-2-0"], "starting pods will take them"
    assert {runner.description for runner in running.site.runners()} == {
        "isthmus/arm64 (isthmus bridge)",
        "isthmus/windows (isthmus bridge)",
    }


async def test_from_pending_to_gone_and_back_to_zero(running: Stage) -> None:
    (job,) = running.site.push(arm=["arm64"])
    await running.look()
    (pod,) = running.cluster.runners()
    await running.set_phase(pod, "Running")
    assert await running.take(pod) is job
    plan_before = running.made()
    await running.look()
    assert running.made() == plan_before, "a running job needs nothing more"
    running.site.finish(job)
    await running.set_phase(pod, "Succeeded")
    await running.look()
    assert running.made() == plan_before
    (arm,) = [runner for runner in running.site.runners() if "arm64" in runner.tags]
    assert pod.system_id not in arm.managers, "the finished pod's manager is removed at GitLab"
    assert len(arm.managers) == 1, "the bridge's own stays"


async def test_max_is_kept_and_the_rest_follows(running: Stage) -> None:
    jobs = running.site.push(**{f"j{number}": ["arm64"] for number in range(5)})
    await running.look()
    assert len(running.made()) == 3
    (pod, *_) = sorted(running.cluster.runners(), key=lambda pod: pod.job)
    await running.set_phase(pod, "Running")
    assert await running.take(pod) is jobs[0]
    running.site.finish(jobs[0])
    await running.set_phase(pod, "Succeeded")
    await running.look()
    assert len(running.made()) == 4


async def test_trap_1_6_a_job_with_a_runner_is_not_demand_in_either_mode(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site_of_either_mode: Site
) -> None:
    async with stage(site_of_either_mode, bare_lab, bridge_api, namespace) as running:
        first, second = site_of_either_mode.push(one=["arm64"], two=["arm64"])
        await running.look()
        pod, other = sorted(running.cluster.runners(), key=lambda pod: pod.job)
        await running.set_phase(pod, "Running")
        assert await running.take(pod) is first
        assert first.status == ("pending" if site_of_either_mode.state.site.two_phase_commit else "running")
        await running.look()
        assert len(running.made()) == 2, "neither the job that was taken nor the waiting one needs another pod"

        # The other pod never comes up; the first pod's job is in hand, so the second job needs a pod of its own.
        await running.set_phase(other, "Failed")
        await running.look()
        assert running.made()[-1] == f"isthmus-arm64-{second.id}-1"


async def test_trap_1_8_the_pod_s_success_says_nothing_about_the_job(running: Stage) -> None:
    failing, waiting = running.site.push(one=["arm64"], two=["arm64"])
    await running.look()
    first, second = sorted(running.cluster.runners(), key=lambda pod: pod.job)
    await running.set_phase(first, "Running")
    assert await running.take(first) is failing
    running.site.finish(failing, "failed")
    await running.set_phase(first, "Succeeded")  # run-single exits 0
    await running.look()
    assert len(running.made()) == 2, "a failed CI job is an answer: it is not run again"

    await running.set_phase(second, "Succeeded")  # it left without having been given the job
    assert waiting.status == "pending"
    await running.look()
    assert running.made()[-1] == f"isthmus-arm64-{waiting.id}-1", "what GitLab says counts, not the exit code"


async def test_a_pod_that_never_starts_is_replaced(running: Stage) -> None:
    running.site.push(arm=["arm64"])
    await running.look()
    (pod,) = running.cluster.runners()
    running.site.ahead += timedelta(seconds=601)
    await running.look()
    await running.until(lambda pods: pod.job not in {p.job for p in pods})
    assert running.made() == ["isthmus-arm64-1-1"]


async def test_a_restarted_bridge_repeats_nothing(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    site.push(arm=["arm64"], win=["windows"])
    for _ in range(3):
        async with stage(site, bare_lab, bridge_api, namespace) as running:
            await running.look()
            assert len(running.made()) == 2
    assert len(site.runners()) == 2


@dataclass(slots=True)
class Cut:
    """A transport that loses the connection at the n-th write: before it arrives, or with its answer."""

    inner: Transport
    at: int
    is_answer_lost: bool
    writes: int = 0
    seen: list[str] = field(default_factory=list)

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """Pass on, or break."""
        if method == "GET":
            return await self.inner.send(method, path, headers, body, timeout_seconds)
        self.writes += 1
        self.seen.append(f"{method} {path}")
        if self.writes == self.at and not self.is_answer_lost:
            raise Unreachable("cut before the write")
        response = await self.inner.send(method, path, headers, body, timeout_seconds)
        if self.writes == self.at:
            raise Unreachable("cut after the write")
        return response

    def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        """Watches are left alone."""
        return self.inner.stream(path, headers, silence_seconds_max)

    async def close(self) -> None:
        """The inner transport is another's."""


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_bridge_killed_between_any_two_writes_is_carried_on_by_the_next(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site, at: int, is_answer_lost: bool
) -> None:
    site.push(arm=["arm64"], win=["windows"])
    cut = Cut(bridge_api.transport, at, is_answer_lost)
    async with stage(site, bare_lab, Api(cut), namespace) as first:
        with suppress(BridgeError, ApiError):
            await first.bridge.look()
        assert cut.writes >= at, f"the cut was never reached: {cut.seen}"
    async with stage(site, bare_lab, bridge_api, namespace) as second:
        await second.look()
        assert second.made() == ["isthmus-arm64-1-0", "isthmus-windows-2-0"]
        assert sorted(runner.tags for runner in site.runners()) == [("arm64", "aarch64"), ("windows",)]
        for pod in second.cluster.runners():
            assert await second.take(pod) is not None, "the token in the Secret is the one that works"


async def test_while_gitlab_is_away_nothing_is_decided_and_then_it_goes_on(
    bare_lab: RunningLab, namespace: str, bridge_api: Api, site: Site
) -> None:
    async with stage(site, bare_lab, bridge_api, namespace) as running:
        await running.look()
        site.push(arm=["arm64"])
        for token in site.state.tokens.values():
            token.is_revoked = True
        with pytest.raises(BridgeError):
            await running.bridge.look()
        assert running.made() == []
        for token in site.state.tokens.values():
            token.is_revoked = False
        await running.look()
        assert running.made() == ["isthmus-arm64-1-0"]


async def test_a_project_that_comes_later_is_watched_too(site: Site) -> None:
    reader = DemandReader(site.client(), Watched((), (), timedelta(minutes=1)), site.now)
    site.push(arm=["arm64"])
    assert [job.project for job in (await reader.observe(Fleet(), {})).pending] == ["root/app"]
    site.project = projects.create_project(site.state, "later")
    site.push(arm=["arm64"])
    assert len((await reader.observe(Fleet(), {})).pending) == 1
    site.pass_time(minutes=1)
    assert {job.project for job in (await reader.observe(Fleet(), {})).pending} == {"root/app", "root/later"}


async def test_it_runs_until_it_is_stopped(running: Stage) -> None:
    running.site.push(arm=["arm64"])
    work = asyncio.create_task(running.bridge.run())
    await running.until(bool)
    started = datetime.now().astimezone()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert datetime.now().astimezone() - started < timedelta(seconds=10)
