"""Who gets which job and when a job is given up: matching, two-phase commit, heartbeats; on the core and its clock."""

from __future__ import annotations

from typing import Any

import pytest

from lab.gitlab import jobs, matching, projects, runners
from lab.gitlab.errors import Conflict, Forbidden, Invalid
from tests.lab.gitlab.core import INFO, Core

ARM = "a: {script: [x], tags: [arm64, linux]}"


@pytest.mark.parametrize(
    ("tags", "settings", "text", "ref", "takes"),
    [
        (("arm64", "linux", "big"), {}, ARM, "main", True),
        (("arm64",), {}, ARM, "main", False),
        (("ARM64", "linux"), {}, ARM, "main", False),
        (("arm64", "linux"), {"is_paused": True}, ARM, "main", False),
        (("arm64",), {"run_untagged": False}, "a: {script: [x]}", "main", False),
        (("arm64",), {}, "a: {script: [x]}", "main", True),
        (("arm64", "linux"), {"access_level": "ref_protected"}, ARM, "main", True),
        (("arm64", "linux"), {"access_level": "ref_protected"}, ARM, "topic", False),
    ],
)
def test_tags_pauses_and_protection(
    tags: tuple[str, ...], settings: dict[str, Any], text: str, ref: str, takes: bool
) -> None:
    core = Core()
    core.pipeline(text, ref)
    assert (core.request(core.runner(*tags, **settings)) is not None) is takes


def test_runner_types_have_their_scope() -> None:
    core = Core()
    core.pipeline("a: {script: [x]}")
    other = projects.create_project(core.state, "other")
    group = projects.create_group(core.state, "team")
    nobody = runners.RunnerSettings()
    core.project.shared_runners_enabled = False
    assert core.request(core.runner()) is None
    assert core.request(runners.create(core.state, "group_type", nobody, group=group)) is None
    elsewhere = runners.create(core.state, "project_type", nobody, project=other)
    assert core.request(elsewhere) is None
    runners.assign(core.state, elsewhere, core.project)
    assert core.request(elsewhere) is not None
    locked = runners.create(core.state, "project_type", runners.RunnerSettings(is_locked=True), project=other)
    with pytest.raises(Forbidden):
        runners.assign(core.state, locked, core.project)


def test_the_timeout_is_the_smaller_of_the_jobs_and_the_runners() -> None:
    core = Core()
    core.pipeline("a: {script: [x], timeout: 30 minutes}\nb: {script: [x]}")
    job = core.request(core.runner(maximum_timeout_seconds=600))
    assert job is not None
    assert job.timeout_seconds == 600
    job = core.request(core.runner())
    assert job is not None
    assert job.timeout_seconds == 3600


def test_without_two_phase_commit_a_job_runs_from_the_request_on() -> None:
    core = Core()
    core.pipeline("a: {script: [x]}")
    job = core.request(core.runner())
    assert job is not None
    assert (job.status, job.manager and job.manager.system_id) == ("running", "r_000000000001")


def test_two_phase_commit_keeps_the_job_pending_until_it_is_acknowledged() -> None:
    core = Core(two_phase_commit=True)
    core.pipeline("a: {script: [x]}")
    runner = core.runner()
    job = core.request(runner)
    assert job is not None
    assert (job.status, job.runner) == ("pending", runner)
    assert core.request(core.runner()) is None, "it is taken already"
    jobs.update(core.state, job, jobs.Update("pending"))
    with pytest.raises(Conflict):
        jobs.update(core.state, job, jobs.Update("success"))
    jobs.update(core.state, job, jobs.Update("running"))
    assert job.status == "running"
    with pytest.raises(Invalid):
        jobs.update(core.state, job, jobs.Update("pending"))


def test_an_unacknowledged_job_goes_back_to_the_queue_after_two_minutes() -> None:
    core = Core(two_phase_commit=True)
    core.pipeline("a: {script: [x]}")
    runner = core.runner()
    job = core.request(runner)
    assert job is not None
    core.pass_time(seconds=110)
    jobs.authenticate(core.state, job.id, job.token)
    core.pass_time(seconds=110)
    assert job.runner is runner, "it was heard of in between"
    before = runner.queue_value
    core.pass_time(seconds=11)
    assert job.runner is None
    assert runner.queue_value != before, "whoever waits is told"
    assert core.request(core.runner()) is job


def test_a_runner_without_two_phase_commit_is_given_a_running_job_anyway() -> None:
    core = Core(two_phase_commit=True)
    core.pipeline("a: {script: [x]}")
    job = jobs.request(core.state, core.runner().token, "", {"features": {}})
    assert job is not None
    assert job.status == "running"
    assert job.manager is not None
    assert job.manager.system_id == "<legacy>"


def test_a_job_without_an_online_runner_is_stuck_and_fails_after_an_hour() -> None:
    core = Core()
    [job] = core.pipeline(ARM).jobs
    assert matching.is_stuck(job, core.state.runners.values(), core.now)
    core.pass_time(minutes=59)
    assert job.status == "pending"
    core.pass_time(minutes=2)
    assert (job.status, job.failure_reason) == ("failed", "stuck_pending_no_matching_runners")


def test_a_heartbeat_keeps_the_jobs_of_an_idle_runner_from_being_stuck() -> None:
    core = Core()
    runner = core.runner("arm64", "linux")
    runners.heartbeat(core.state, runner, "r_bridge000000", INFO)
    [job] = core.pipeline(ARM).jobs
    core.pass_time(minutes=119)
    assert not matching.is_stuck(job, core.state.runners.values(), core.now)
    assert job.status == "pending"
    core.pass_time(minutes=2)
    assert job.status == "failed", "two hours without a word: the runner is offline"


def test_a_pending_job_is_given_up_after_a_day_even_with_runners() -> None:
    core = Core()
    runner = core.runner("arm64", "linux")
    [job] = core.pipeline(ARM).jobs
    for _ in range(25):
        runners.heartbeat(core.state, runner, "", {})
        core.pass_time(hours=1)
    assert job.failure_reason == "stuck_pending_with_matching_runners"


def test_a_running_job_that_falls_silent_is_given_up_after_half_an_hour() -> None:
    core = Core()
    core.pipeline("a: {script: [x]}")
    job = core.request(core.runner())
    assert job is not None
    core.pass_time(minutes=29)
    jobs.authenticate(core.state, job.id, job.token)
    core.pass_time(minutes=29)
    assert job.status == "running"
    core.pass_time(minutes=2)
    assert (job.status, job.failure_reason) == ("failed", "no_updates_running")


def test_a_jobs_token_dies_with_the_job() -> None:
    core = Core()
    core.pipeline("a: {script: [x]}")
    job = core.request(core.runner())
    assert job is not None
    assert jobs.by_token(core.state, job.token) is job
    jobs.update(core.state, job, jobs.Update("success"))
    assert jobs.by_token(core.state, job.token) is None
    with pytest.raises(Forbidden) as raised:
        jobs.authenticate(core.state, job.id, job.token)
    assert raised.value.headers == {"Job-Status": "success"}


def test_managers_not_seen_for_a_week_are_forgotten() -> None:
    core = Core()
    runner = core.runner()
    core.request(runner, "r_old000000000")
    core.pass_time(days=8)
    core.request(runner, "r_new000000000")
    assert list(runner.managers) == ["r_new000000000"]
