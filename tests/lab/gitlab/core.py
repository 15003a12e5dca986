"""The core alone, with a clock that tests turn."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.gitlab import jobs, pipelines, projects, runners, workers
from lab.gitlab.ci.variables import Variable
from lab.gitlab.model import Commit, Job, Pipeline, Runner
from lab.gitlab.state import Site, State

INFO: dict[str, object] = {
    "name": "gitlab-runner",
    "features": {"cancel_gracefully": True, "two_phase_job_commit": True},
}
SHA = "a1" * 20


class Core:
    """One project, as many runners as wanted, and time that stands still until `pass_time`."""

    def __init__(self, *, two_phase_commit: bool = False) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        numbers = itertools.count(1)
        site = Site("http://gitlab.test", "registry.test:5000", two_phase_commit)
        self.state = State(site, clock=lambda: self.now, mint=lambda prefix: f"{prefix}secret{next(numbers)}")
        projects.create_root_namespace(self.state)
        self.project = projects.create_project(self.state, "App")

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)
        workers.sweep(self.state)

    def pipeline(self, text: str, ref: str = "main", *, is_tag: bool = False, **variables: str) -> Pipeline:
        given = tuple(Variable(key, value) for key, value in variables.items())
        trigger = pipelines.Trigger(ref, is_tag, "push", given)
        made = pipelines.create(self.state, self.project, Commit(SHA, "Title", "Title\n\nBody"), trigger, text)
        assert made is not None
        return made

    def runner(self, *tags: str, **settings: Any) -> Runner:
        return runners.create(self.state, "instance_type", runners.RunnerSettings(tags=tags, **settings))

    def request(self, runner: Runner, system_id: str = "r_000000000001") -> Job | None:
        return jobs.request(self.state, runner.token, system_id, INFO)

    def finish(self, runner: Runner, *, reason: str = "", exit_code: int | None = None) -> str:
        """Lets the runner take its next job and end it; the job's name."""
        job = self.request(runner)
        assert job is not None
        change = jobs.Update("failed" if reason else "success", reason, exit_code)
        jobs.update(self.state, job, change)
        return job.spec.name


def statuses(pipeline: Pipeline) -> dict[str, str]:
    """Name -> status of the latest attempts."""
    return {job.spec.name: str(job.status) for job in pipeline.current_jobs}
