"""The whole way: git push, pipeline, real runner processes, green pipeline."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gitlab.v4.objects import CurrentUserRunnerManager, Project

from tests.lab.gitlab.conftest import BRIDGE_TOKEN, CI_FILE, Site, run_single

PIPELINE = """
stages: [build, test, publish]
variables: {GREETING: hello}
.with_sources:
  before_script: ['test -f README.md']
build:
  extends: .with_sources
  stage: build
  tags: ["$ARCH"]
  parallel: {matrix: [{ARCH: [amd64, arm64]}]}
  script:
    - echo "$GREETING from $ARCH in $CI_PROJECT_PATH"
    - mkdir -p out && echo "$ARCH" > out/$ARCH.txt
  after_script: ['echo "status was $CI_JOB_STATUS"']
  artifacts: {paths: [out/]}
publish:
  stage: publish
  tags: [amd64]
  needs: [build]
  script:
    - cat out/amd64.txt out/arm64.txt
    - test "$CI_REGISTRY_IMAGE" = "127.0.0.1:5555/team/app"
    - echo "token $CI_JOB_TOKEN"
"""


async def test_a_push_becomes_a_green_pipeline(site: Site, tmp_path: Path) -> None:
    client = site.client()
    team = await site.call(lambda: client.groups.create({"name": "Team", "path": "Team"}))
    project = await site.call(lambda: client.projects.create({"name": "App", "path": "App", "namespace_id": team.id}))
    await site.push("Team/App", {CI_FILE: PIPELINE, "README.md": "# App\n"})
    [pipeline] = await site.call(lambda: project.pipelines.list(get_all=True))
    assert pipeline.status == "pending"
    waiting = await site.call(lambda: project.jobs.list(scope=["pending"], get_all=True))
    assert {job.name: job.tag_list for job in waiting} == {"build: [arm64]": ["arm64"], "build: [amd64]": ["amd64"]}

    started = [await _start_runner(site, tmp_path, "amd64", 2), await _start_runner(site, tmp_path, "arm64", 1)]
    for process in started:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()

    traces = await _traces(site, project)
    pipeline = await site.call(lambda: project.pipelines.get(pipeline.id))
    assert pipeline.status == "success", traces
    assert "hello from arm64 in Team/App" in traces["build: [arm64]"]
    assert "status was success" in traces["build: [arm64]"]
    assert "token [MASKED]" in traces["publish"]


async def _start_runner(site: Site, tmp_path: Path, tag: str, builds: int) -> asyncio.subprocess.Process:
    settings = {"runner_type": "instance_type", "tag_list": f"{tag},linux", "run_untagged": False}
    client = site.client(BRIDGE_TOKEN)
    runner = await site.call(lambda: CurrentUserRunnerManager(client).create(settings))
    directory = tmp_path / tag
    directory.mkdir()
    config = f'[[runners]]\nname = "{tag}"\nurl = "{site.url}"\ntoken = "{runner.token}"\nexecutor = "shell"\n'
    (directory / "config.toml").write_text(config)
    flags = ("-c", "config.toml", "-r", tag, "--max-builds", str(builds), "--wait-timeout", "20")
    return await run_single(*flags, cwd=directory)


async def _traces(site: Site, project: Project) -> dict[str, str]:
    jobs = await site.call(lambda: project.jobs.list(get_all=True))
    traces = [await site.call(project.jobs.get(job.id, lazy=True).trace) for job in jobs]
    return {job.name: trace.decode() for job, trace in zip(jobs, traces, strict=True) if isinstance(trace, bytes)}
