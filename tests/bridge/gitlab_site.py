"""A GitLab of the lab for one test: real HTTP, with hands on its state and clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from bridge.gitlab_api import GitLab
from lab.gitlab import jobs, pipelines, projects
from lab.gitlab.model import Commit, Job, Project, Runner
from lab.gitlab.server import serving
from lab.gitlab.settings import Settings, TokenSettings
from lab.gitlab.state import State
from lab.gitlab.states import JobStatus

TOKEN = "glpat-bridge-token-for-tests"
SCOPES = frozenset({"create_runner", "manage_runner", "read_api"})  # what the documentation asks for, and no more
FEATURES: dict[str, object] = {"features": {"two_phase_job_commit": True}}


@dataclass(slots=True)
class Site:
    """One project at one GitLab."""

    state: State
    project: Project
    ahead: timedelta = field(default_factory=timedelta)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.state.site.url

    def client(self, token: str = TOKEN) -> GitLab:
        """The bridge's client."""
        return GitLab(self.url, SecretStr(token))

    def now(self) -> datetime:
        """This GitLab's time."""
        return datetime.now(UTC) + self.ahead

    def pass_time(self, **how_long: float) -> None:
        """Let time pass at GitLab, with what its own workers do then."""
        self.ahead += timedelta(**how_long)
        jobs.expire(self.state)

    def push(self, **tags: list[str]) -> list[Job]:
        """A pipeline with one job per keyword, tagged as given; in the order of their ids."""
        return self.push_text("\n".join(f"{name}: {{script: [make], tags: {tags[name]}}}" for name in tags))

    def push_text(self, text: str) -> list[Job]:
        """A pipeline from the text of a .gitlab-ci.yml."""
        commit = Commit(sha="1" * 40)
        pipeline = pipelines.create(self.state, self.project, commit, pipelines.Trigger("main"), text)
        assert pipeline is not None
        assert not pipeline.yaml_errors
        return sorted(pipeline.jobs, key=lambda job: job.id)

    def take(self, token: str, system_id: str) -> Job | None:
        """What a runner with this token gets when it asks for a job."""
        return jobs.request(self.state, token, system_id, FEATURES)

    def finish(self, job: Job, how: str = "success") -> None:
        """What a runner says when its job is over."""
        reason = "" if how == "success" else "script_failure"
        jobs.update(self.state, job, jobs.Update(how, failure_reason=reason, exit_code=int(how != "success")))

    def runners(self) -> list[Runner]:
        """All runners there are."""
        return list(self.state.runners.values())

    def is_stuck(self, job: Job) -> bool:
        """Whether GitLab has given the job up for want of a runner."""
        return job.status == JobStatus.FAILED and job.failure_reason == "stuck_pending_no_matching_runners"


@asynccontextmanager
async def gitlab_site(directory: Path, *, two_phase_commit: bool = False) -> AsyncIterator[Site]:
    """A GitLab with one project, `root/app`, for the length of the block."""
    settings = Settings(
        data_dir=directory,
        root_token=SecretStr("glpat-root-token-for-tests"),
        tokens=[TokenSettings(name="bridge", token=SecretStr(TOKEN), scopes=SCOPES)],
        two_phase_commit=two_phase_commit,
        port=0,
        port_file=None,
        external_url="",
        registry="",
        jwt_signing_key_file=None,
        long_poll_seconds=0.2,
        ca_file=None,
    )
    async with serving(settings) as shell:
        site = Site(shell.state, projects.create_project(shell.state, "app"))
        shell.state.clock = site.now
        yield site
