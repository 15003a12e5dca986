"""The world of the bridge's benchmark: a GitLab full of pending jobs, a fleet half at work, an idle cluster.

The lab's GitLab and a bare cluster of the lab stand for the real ones. Runner pods ask for a node that is not there, so
that they are made and seen, and cost the machine nothing more.
"""

import itertools
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from bridge.gitlab_api import GitLab
from bridge.observed import Bounds, Phase, RunnerPod
from bridge.profiles import Profile
from bridge.reading import Watched
from bridge.runner_spec import Registered, RunnerSpec
from bridge.runners import RunnerOptions
from federation.kube.resources import NAMESPACES, SERVICE_ACCOUNTS
from lab.gitlab import jobs, pipelines, projects
from lab.gitlab.model import Commit
from lab.gitlab.server import serving
from lab.gitlab.settings import Settings, TokenSettings
from lab.gitlab.state import State
from lab.plan import EngineName, LabPlan, parse_clusters
from lab.running import RunningLab, running
from lab.waiting import until_object

TOKEN = SecretStr("glpat-benchmark")
NAMESPACE = "benchmark"
OPTIONS = RunnerOptions("isthmus", NAMESPACE, 120, 600, 900)
# A burst as large as is allowed: the default bounds what a wrong decision can cost, and would be all that is measured.
BOUNDS = Bounds(burst_max=1000, start_timeout_seconds=600, wait_timeout_seconds=120)
EVERYTHING = Watched(("*",), (), timedelta(hours=1))
_FEATURES: dict[str, object] = {"features": {"two_phase_job_commit": True}}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    jobs: int
    projects: int
    profiles: int
    at_work: int  # pods of the fleet while reading and deciding

    def made(self) -> tuple[Profile, ...]:
        """The profiles, with room for their share of the jobs."""
        platform = {"os": "linux", "arch": "amd64", "node_selector": {"benchmark": "nowhere"}}
        most = min(1000, -(-self.jobs // self.profiles) + self.at_work)
        return tuple(
            Profile.model_validate({"name": f"p{number}", "tags": [f"tag{number}"], "max": most, **platform})
            for number in range(self.profiles)
        )


@asynccontextmanager
async def gitlab_with(size: Size) -> AsyncIterator[State]:
    """A GitLab whose projects have all jobs pending, evenly over the profiles' tags."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory),
            root_token=SecretStr("glpat-root"),
            tokens=[TokenSettings(name="bridge", token=TOKEN, scopes=frozenset({"api"}))],
            port=0,
            port_file=None,
            external_url="",
            registry="",
            jwt_signing_key_file=None,
            long_poll_seconds=0,
            two_phase_commit=False,
            ca_file=None,
        )
        async with serving(settings) as shell:
            _fill(shell.state, size)
            yield shell.state


def _fill(state: State, size: Size) -> None:
    tags = itertools.cycle(f"tag{number}" for number in range(size.profiles))
    for number in range(size.projects):
        project = projects.create_project(state, f"project-{number}")
        count = size.jobs // size.projects + (number < size.jobs % size.projects)
        if count:
            text = "\n".join(f"job-{one}: {{script: [make], tags: [{next(tags)}]}}" for one in range(count))
            pipelines.create(state, project, Commit(sha="1" * 40), pipelines.Trigger("main"), text)


async def registered(gitlab: GitLab, size: Size) -> dict[str, Registered]:
    """A runner for each profile."""
    return {
        profile.name: await gitlab.create_runner("instance", RunnerSpec(profile.name, profile.tags, 3600, ""))
        for profile in size.made()
    }


def one_pod(number: int, profile: str, token: str) -> RunnerPod:
    """A running pod, made for a job of long ago."""
    return RunnerPod(
        job=f"isthmus-{profile}-{number}-0",
        uid=f"uid-{number}",
        profile=profile,
        ci_job=10_000_000 + number,
        attempt=0,
        system_id=f"r_{number:012x}",
        token=token,
        phase=Phase.RUNNING,
        created_at=datetime.now(UTC),
    )


def fleet(size: Size, state: State, registrations: Mapping[str, Registered]) -> list[RunnerPod]:
    """Running pods, evenly over the profiles; every other one has taken a job."""
    pods = []
    for number, (profile, runner) in zip(range(size.at_work), itertools.cycle(registrations.items()), strict=False):
        pods.append(one_pod(number, profile, runner.fingerprint))
        if number // size.profiles % 2:
            jobs.request(state, runner.token.get_secret_value(), pods[-1].system_id, _FEATURES)
    return pods


@asynccontextmanager
async def cluster(engine: EngineName) -> AsyncIterator[RunningLab]:
    """One bare cluster with the namespace that runners are made in."""
    with tempfile.TemporaryDirectory() as directory:
        plan = LabPlan(Path(directory) / "lab", engine, parse_clusters("home:linux/amd64"))
        async with running(plan) as lab:
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            await lab.api().create(NAMESPACES, namespace)
            await until_object(
                lab.api(), SERVICE_ACCOUNTS, bool, namespace=NAMESPACE, what="a service account", seconds=30
            )
            yield lab
