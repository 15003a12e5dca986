"""What time does to tokens, jobs and artifacts; on the core and a clock that the test turns."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.gitlab import access, artifacts, jobs, pipelines, projects, runners
from lab.gitlab.errors import DeadToken, Forbidden
from lab.gitlab.model import Commit, Job
from lab.gitlab.server import serving
from lab.gitlab.settings import Settings
from lab.gitlab.views import runner_status
from tests.lab.gitlab.core import INFO, Core

KEPT = "build: {script: [x], artifacts: {paths: [out]}}\nuse: {stage: deploy, script: [x]}"


def built(core: Core, *, expire_in: str = "", text: str = KEPT) -> Job:
    """A finished `build` with an archive."""
    core.pipeline(text)
    job = core.request(core.runner())
    assert job is not None
    artifacts.add(core.state, job, artifacts.Upload("a.zip", 10, "sum", expire_in=expire_in))
    jobs.update(core.state, job, jobs.Update("success"))
    return job


def succeed(core: Core) -> None:
    """A later pipeline on the same ref, done."""
    core.pipeline("other: {script: [x]}")
    core.finish(core.runner())


class Gone:
    """What the shell would have deleted."""

    def __init__(self, core: Core) -> None:
        self.files: list[tuple[int, str]] = []
        core.state.on_artifact_gone = lambda job_id, file_type: self.files.append((job_id, file_type))


def test_artifacts_of_the_latest_on_a_ref_outlive_their_expiry() -> None:
    core = Core()
    gone, job = Gone(core), built(core, expire_in="1 day", text=KEPT.split("\n", maxsplit=1)[0])
    core.pass_time(days=2)
    assert artifacts.archive_of(core.state, job) is not None
    core.pass_time(minutes=1)
    succeed(core)
    assert artifacts.archive_of(core.state, job) is None, "even before a worker has come by"
    core.pass_time(minutes=1)
    assert gone.files == [(job.id, "archive")]
    assert job.artifacts == {}


@pytest.mark.parametrize(("expire_in", "days"), [("1 day", 1), ("2 weeks", 14), ("", 30)])
def test_expiry_is_the_jobs_or_the_instances(expire_in: str, days: int) -> None:
    core = Core()
    core.project.keep_latest_artifact = False
    job = built(core, expire_in=expire_in)
    assert job.artifacts_expire_at == core.now + timedelta(days=days)
    core.pass_time(days=days, seconds=-1)
    assert job.artifacts
    core.pass_time(seconds=1)
    assert not job.artifacts


def test_artifacts_that_never_expire_and_those_that_somebody_keeps() -> None:
    core = Core()
    core.project.keep_latest_artifact = False
    never, kept = built(core, expire_in="never"), built(core, expire_in="1 day")
    artifacts.keep(kept)
    core.pass_time(days=400)
    assert never.artifacts
    assert kept.artifacts


@pytest.mark.parametrize("how", ["expired", "erased"])
def test_a_job_whose_artifacts_are_gone_fails_instead_of_running_without(how: str) -> None:
    core = Core()
    core.project.keep_latest_artifact = False
    job = built(core, expire_in="1 hour")
    if how == "erased":
        artifacts.erase(core.state, job)
    else:
        core.pass_time(hours=1)
    use = next(other for other in core.state.jobs.values() if other.spec.name == "use")
    assert core.request(core.runner()) is None
    assert (use.status, use.failure_reason) == ("failed", "missing_dependency_failure")


def test_a_runner_token_expires_and_a_reset_gives_a_new_one_its_time() -> None:
    core = Core()
    core.state.site = replace(core.state.site, runner_token_lifetime=timedelta(days=1))
    core.pipeline("a: {script: [x]}\nb: {script: [x]}")
    runner = core.runner()
    assert runner.token_expires_at == core.now + timedelta(days=1)
    job = core.request(runner)
    assert job is not None
    core.pass_time(minutes=10)
    jobs.authenticate(core.state, job.id, job.token)
    core.now += timedelta(days=1, minutes=-10)
    with pytest.raises(Forbidden):
        core.request(runner)
    jobs.authenticate(core.state, job.id, job.token)  # its job goes on: it has a token of its own
    old = runner.token
    runners.reset_token(core.state, runner)
    assert runner.token_expires_at == core.now + timedelta(days=1)
    assert core.request(runner) is not None
    with pytest.raises(Forbidden):
        runners.by_token(core.state, old)


def test_a_personal_token_expires_on_its_day() -> None:
    core = Core()
    token = projects.create_token(core.state, "t", frozenset({"api"}))
    token.expires_at = core.now + timedelta(days=3)
    headers = {"PRIVATE-TOKEN": token.value}
    assert access.require(core.state, headers, access.API) is token
    core.pass_time(days=3)
    with pytest.raises(DeadToken) as raised:
        access.require(core.state, headers, access.API)
    assert raised.value.body["error_description"] == (
        "Token is expired. You can either do re-authorization or token refresh."
    )


@pytest.mark.parametrize("canceling", [False, True])
def test_a_job_beyond_its_timeout_is_given_up_however_lively_it_is(canceling: bool) -> None:
    core = Core()
    core.pipeline("a: {script: [x], timeout: 30 minutes}")
    job = core.request(core.runner())
    assert job is not None
    if canceling:
        jobs.cancel(core.state, job)
    for _ in range(9):
        jobs.authenticate(core.state, job.id, job.token)
        core.pass_time(minutes=5)
    assert job.status == ("canceling" if canceling else "running")
    core.pass_time(seconds=1)
    assert (job.status, job.failure_reason) == (("canceled", "") if canceling else ("failed", "server_timeout_running"))


def test_a_canceling_job_whose_runner_is_gone_ends_canceled() -> None:
    core = Core()
    core.pipeline("a: {script: [x]}")
    job = core.request(core.runner())
    assert job is not None
    jobs.cancel(core.state, job)
    core.pass_time(minutes=30)
    assert job.status == "canceling"
    core.pass_time(seconds=1)
    assert job.status == "canceled"


@pytest.mark.parametrize(
    ("when", "again"), [("stuck_or_timeout_failure", True), ("runner_system_failure", False), ("always", True)]
)
def test_the_older_words_of_retry_cover_what_became_of_them(when: str, again: bool) -> None:
    core = Core()
    pipeline = core.pipeline(f"a: {{script: [x], retry: {{max: 1, when: [{when}]}}}}")
    assert core.request(core.runner()) is not None
    core.pass_time(minutes=31)
    assert [str(job.status) for job in pipeline.jobs] == (["failed", "pending"] if again else ["failed"])


def test_a_sweep_forgets_managers_of_runners_that_nobody_uses() -> None:
    core = Core()
    runner = core.runner()
    runners.heartbeat(core.state, runner, "r_pod000000001", INFO)
    core.pass_time(days=7)
    assert list(runner.managers) == ["r_pod000000001"]
    core.pass_time(seconds=1)
    assert runner.managers == {}


@pytest.mark.parametrize(
    ("silent", "status"),
    [
        (timedelta(hours=2, seconds=-1), "online"),
        (timedelta(hours=2), "offline"),
        (timedelta(days=7), "offline"),
        (timedelta(days=7, seconds=1), "stale"),
    ],
)
def test_what_a_runner_is_called_by_its_silence(silent: timedelta, status: str) -> None:
    core = Core()
    runner = core.runner()
    assert runner_status(runner.contacted_at, core.now) == "never_contacted"
    runners.heartbeat(core.state, runner, "r_pod000000001", INFO)
    assert runner_status(runner.contacted_at, core.now + silent) == status


async def test_the_server_sweeps_by_its_clock(settings: Settings) -> None:
    now = [datetime(2026, 11, 23, 12, tzinfo=UTC)]
    async with serving(settings, clock=lambda: now[0], sweep_every_seconds=0.02) as shell:
        project = projects.create_project(shell.state, "app")
        made = pipelines.create(shell.state, project, Commit("a1" * 20), pipelines.Trigger("main"), "a: {script: [x]}")
        assert made is not None
        [job] = made.jobs
        assert job.status == "pending"
        now[0] += timedelta(minutes=61)
        async with asyncio.timeout(10):
            while job.status == "pending":  # noqa: ASYNC110 - a worker tells nobody what it did
                await asyncio.sleep(0.02)
    assert job.failure_reason == "stuck_pending_no_matching_runners"
