"""Server and runner of the lab together, where both have a part: cancellation, interruption, two-phase commit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.gitlab import projects, runners
from lab.gitlab.model import Job
from lab.gitlab.settings import Settings
from lab.gitlab.states import FINISHED, JobStatus
from tests.lab.gitlab.conftest import CI_FILE, Site, run_single

TEXT = """
job:
  variables: {GIT_STRATEGY: none}
  script: [echo running, sleep 60]
  after_script: ['echo "after: $CI_JOB_STATUS"']
"""


async def _start(site: Site, tmp_path: Path, text: str) -> tuple[asyncio.subprocess.Process, Job]:
    """A runner process, and the job of a fresh pipeline for it."""
    state = site.shell.state
    runner = runners.create(state, "instance_type", runners.RunnerSettings())
    project = projects.create_project(state, "app")
    await site.shell.repositories.create(project.id, "main")
    await site.push("root/app", {CI_FILE: text})
    flags = ("--url", site.url, "--token", runner.token, "--executor", "shell", "--max-builds", "1")
    [job] = state.jobs.values()
    return await run_single(*flags, "--wait-timeout", "20", cwd=tmp_path), job


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a trace tells nobody that it has grown
            await asyncio.sleep(0.05)


async def test_canceling_a_job_runs_its_after_script_and_ends_canceled(site: Site, tmp_path: Path) -> None:
    process, job = await _start(
        site, tmp_path, f"{TEXT}\n".replace("sleep 60", "for i in $(seq 60); do echo $i; sleep 1; done")
    )
    await _until(lambda: b"01O running" in job.trace)
    client = site.client()
    project = await site.call(lambda: client.projects.get("root/app"))
    await site.call(project.jobs.get(job.id, lazy=True).cancel)
    assert job.status == JobStatus.CANCELING
    await asyncio.wait_for(process.wait(), 20)
    assert (job.status, process.returncode) == (JobStatus.CANCELED, 0)
    assert b"after: canceled" in job.trace


async def test_a_runner_that_is_told_to_stop_fails_its_job_as_interrupted(site: Site, tmp_path: Path) -> None:
    process, job = await _start(site, tmp_path, TEXT)
    await _until(lambda: b"01O running" in job.trace)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), 10)
    assert (job.status, job.failure_reason) == (JobStatus.FAILED, "runner_interrupted")


class TestTwoPhaseCommit:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"two_phase_commit": True})

    async def test_the_runner_acknowledges_and_finishes(self, site: Site, tmp_path: Path) -> None:
        process, job = await _start(site, tmp_path, TEXT.replace("sleep 60", "echo done"))
        await _until(lambda: job.status in FINISHED)
        assert job.status == JobStatus.SUCCESS, job.trace.decode()
        assert await asyncio.wait_for(process.wait(), 10) == 0
