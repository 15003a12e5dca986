"""The lab's GitLab and `gitlab-python-runner`, a runner from PyPI that was written against GitLab 14 by others.

What it can prove: polling, traces, artifacts up and down, results, its goodbye, all in requests of its own making
(trace ranges one too long, artifact parameters in the form, bodies as forms, no system_id). Only its `Runner` and
`TraceProxy` are used: its executor does not start with any current `gitlab-emulator`. It knows registration tokens
only, which are gone from GitLab, so its `register` proves the refusal.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from GitlabPyRunner.runner import Runner
from GitlabPyRunner.trace import TraceProxy

from lab.gitlab import pipelines, projects, runners
from lab.gitlab.errors import Forbidden
from lab.gitlab.model import Commit
from lab.gitlab.states import JobStatus
from tests.conformance.gitlab.world import zipped
from tests.lab.gitlab.conftest import Site
from tests.lab.gitlab.conftest import settings as settings  # noqa: PLC0414 - a fixture
from tests.lab.gitlab.conftest import site as site  # noqa: PLC0414 - a fixture

TEXT = """
build: {stage: build, script: [make], artifacts: {paths: [out]}}
check: {stage: test, script: [check], dependencies: [build]}
"""


@pytest.fixture
def runner(site: Site) -> Runner:
    """The runner, with a token of the lab's GitLab and two jobs to come."""
    state = site.shell.state
    project = projects.create_project(state, "app")
    assert pipelines.create(state, project, Commit("a1" * 20), pipelines.Trigger("main"), TEXT)
    return Runner(site.url, runners.create(state, "instance_type", runners.RunnerSettings()).token)


async def test_two_jobs_with_artifacts_between_them(site: Site, runner: Runner, tmp_path: Path) -> None:
    state = site.shell.state
    archive = tmp_path / "artifacts.zip"
    archive.write_bytes(zipped(out__a_txt="made"))

    def build() -> int:
        job = runner.poll()
        trace = TraceProxy(runner, job)
        trace.writeline("hello")
        trace.write("and more", flush=True)
        runner.upload(trace, job, str(archive))
        trace.flush()
        runner.success(job)
        return int(job["id"])

    first = state.jobs[await asyncio.to_thread(build)]
    assert first.status == JobStatus.SUCCESS
    assert first.trace.startswith(b"hello\nand more")
    assert first.artifacts["archive"].size == archive.stat().st_size
    assert first.manager is not None
    assert first.manager.system_id == "<legacy>", "it sends none"
    assert first.manager.info["name"] == "gitlab-python-runner"

    def check() -> int:
        job = runner.poll()
        runner.get_dependencies(TraceProxy(runner, job), job, str(tmp_path / "work"))
        runner.failed(job)
        return int(job["id"])

    second = state.jobs[await asyncio.to_thread(check)]
    assert (second.status, second.failure_reason) == (JobStatus.FAILED, "unknown_failure")
    assert (tmp_path / "work" / "out" / "a.txt").read_text() == "made"
    kept = zipfile.ZipFile(io.BytesIO(site.shell.artifact_path(first.id).read_bytes()))
    assert kept.namelist() == ["out/a.txt"]
    assert await asyncio.to_thread(runner.poll) is None


async def test_what_it_is_told_when_it_may_not(site: Site, runner: Runner) -> None:
    job = await asyncio.to_thread(runner.poll)

    async def status(call: Callable[[], object]) -> int:
        with pytest.raises(requests.HTTPError) as raised:
            await asyncio.to_thread(call)
        assert raised.value.response is not None
        return raised.value.response.status_code

    assert await status(lambda: runner.register("mine", "registration-token")) == 410
    assert await status(lambda: runner.success({**job, "token": "glcbt-wrong"})) == 403
    assert await status(lambda: runner.success({**job, "id": 999})) == 404
    assert await status(lambda: Runner(site.url, "glrt-wrong").poll()) == 403


async def test_its_goodbye(site: Site, runner: Runner) -> None:
    token = runner.token
    await asyncio.to_thread(runner.unregister)
    with pytest.raises(Forbidden):
        runners.by_token(site.shell.state, token)
