"""Artifacts, `needs` and `dependencies` between real runner processes: what goes up, and who gets it."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from gitlab.v4.objects import Project

from lab.gitlab import artifacts, jobs, payload, projects, runners
from lab.gitlab.ci.config import parse
from lab.gitlab.errors import CiConfigError
from lab.gitlab.model import Job
from lab.runner.artifacts import matching
from tests.lab.gitlab.conftest import CI_FILE, Site, run_single
from tests.lab.gitlab.core import Core, statuses

PIPELINE = """
stages: [build, test, ship]
default: {before_script: ['ls -R . > /dev/null']}
make:
  stage: build
  script:
    - mkdir -p out/deep && echo one > out/a.txt && echo two > out/deep/b.txt && echo no > out/deep/c.tmp
    - echo "<testsuite/>" > junit.xml && echo x > stray.bin
  artifacts:
    name: "$CI_JOB_NAME-$CI_COMMIT_REF_NAME"
    paths: [out]
    exclude: ["out/**/*.tmp"]
    expire_in: 1 week
    reports: {junit: junit.xml}
odd:
  stage: build
  script: [echo found > ignored.log, exit 3]
  allow_failure: true
  artifacts: {untracked: true, when: on_failure}
takes: {stage: ship, needs: [make], script: [cat out/a.txt, '! test -e ignored.log']}
waits: {stage: test, needs: [{job: make, artifacts: false}, odd], script: ['! test -e out', cat ignored.log]}
picks: {stage: test, dependencies: [make], script: [cat out/deep/b.txt, '! ls ignored.log', '! ls out/deep/c.tmp']}
none: {stage: test, dependencies: [], script: ['! test -e out']}
"""


async def test_artifacts_go_where_they_are_wanted_and_nowhere_else(site: Site, tmp_path: Path) -> None:
    state = site.shell.state
    project = projects.create_project(state, "app")
    await site.shell.repositories.create(project.id, "main")
    await site.push("root/app", {CI_FILE: PIPELINE, ".gitignore": "*.log\n"})
    token = runners.create(state, "instance_type", runners.RunnerSettings()).token
    flags = ("--url", site.url, "--token", token, "--executor", "shell", "--max-builds", "6", "--wait-timeout", "20")
    process = await run_single(*flags, cwd=tmp_path)
    _, errors = await process.communicate()
    made = {job.spec.name: job for job in state.jobs.values()}
    ended = {name: str(job.status) for name, job in made.items()}
    assert ended == {**dict.fromkeys(made, "success"), "odd": "failed"}, (errors, _traces(made))

    client = site.client()
    found = await site.call(lambda: client.projects.get("root/app"))
    shown = await site.call(lambda: found.jobs.get(made["make"].id))
    assert shown.artifacts_file["filename"] == "make-main.zip"
    assert {file["file_type"]: file["file_format"] for file in shown.attributes["artifacts"]} == {
        "archive": "zip",
        "junit": "gzip",
        "trace": None,
    }
    assert shown.artifacts_expire_at is not None
    assert await _names(site, found, made["make"]) == ["out/a.txt", "out/deep/b.txt"]
    assert await _names(site, found, made["odd"]) == ["ignored.log"]
    report = site.shell.artifact_path(made["make"].id, "junit").read_bytes()
    assert gzip.decompress(report) == b"<testsuite/>\n"
    raw = await site.call(lambda: found.artifacts.raw("main", "out/a.txt", "make"))
    assert raw == b"one\n"


async def _names(site: Site, project: Project, job: Job) -> list[str]:
    content = await site.call(lambda: project.jobs.get(job.id, lazy=True).artifacts())
    assert isinstance(content, bytes)
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def _traces(made: dict[str, Job]) -> dict[str, str]:
    return {name: job.trace.decode() for name, job in made.items()}


@pytest.mark.parametrize(
    ("paths", "exclude", "found"),
    [
        (["out"], [], ["out/a.txt", "out/deep/b.txt", "out/deep/c.o"]),
        (["**/*.o"], [], ["out/deep/c.o", "top.o"]),
        (["*.o"], [], ["top.o"]),
        (["out/", "top.o"], ["*.o"], ["out/a.txt", "out/deep/b.txt", "out/deep/c.o"]),
        (["."], ["**/*.o", "out/a.*"], ["out/deep/b.txt"]),
        (["**/*.{txt,md}"], [], ["out/a.txt", "out/deep/b.txt"]),
        (["out"], ["**/*.{txt,md}"], ["out/deep/c.o"]),
        (["../secret", "/etc/passwd"], [], []),
    ],
)
def test_patterns(tmp_path: Path, paths: list[str], exclude: list[str], found: list[str]) -> None:
    work = tmp_path / "work"
    for name in ("out/a.txt", "out/deep/b.txt", "out/deep/c.o", "top.o", "../secret"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).touch()
    assert [path.relative_to(work).as_posix() for path in matching(work, paths, exclude)] == found


def test_needs_start_as_soon_as_they_are_met_across_and_within_stages() -> None:
    core = Core()
    pipeline = core.pipeline("""
stages: [one, two, three]
slow: {stage: one, script: [x], tags: [slow]}
quick: {stage: one, script: [x]}
inner: {stage: one, script: [x], needs: [quick]}
late: {stage: three, script: [x], needs: [inner, {job: absent, optional: true}]}
all: {stage: two, script: [x]}
free: {stage: three, script: [x], needs: []}
""")
    assert {name for name, status in statuses(pipeline).items() if status == "pending"} == {"slow", "quick", "free"}
    runner = core.runner()
    assert [core.finish(runner) for _ in range(4)] == ["quick", "inner", "late", "free"]
    assert statuses(pipeline)["all"] == "created", "it waits for its stage"


def test_what_the_payload_asks_for_and_offers() -> None:
    core = Core()
    core.pipeline("""
make: {stage: build, script: [x], artifacts: {paths: ["out/$CI_JOB_NAME"], reports: {junit: [a.xml]}, expire_in: 1 day}}
quiet: {stage: build, script: [x], artifacts: {reports: {junit: b.xml, cobertura: c.xml}}}
use: {script: [x], needs: [make, {job: quiet, artifacts: false}]}
""")
    runner = core.runner()
    make = core.request(runner)
    assert make is not None
    wanted: Any = payload.job_payload(core.state.site, make)["artifacts"]
    assert [(row["artifact_type"], row["artifact_format"], row["when"]) for row in wanted] == [
        ("archive", "zip", "on_success"),
        ("junit", "gzip", "always"),
    ]
    artifacts.add(core.state, make, artifacts.Upload("a.zip", 7, "sum"))
    jobs.update(core.state, make, jobs.Update("success"))
    quiet = core.request(runner)
    assert quiet is not None
    artifacts.add(core.state, quiet, artifacts.Upload("b.zip", 7, "sum"))
    jobs.update(core.state, quiet, jobs.Update("success"))
    use = core.request(runner)
    assert use is not None
    offered: Any = payload.job_payload(core.state.site, use)["dependencies"]
    assert offered == [
        {
            "id": make.id,
            "name": "make",
            "token": use.token,
            "artifacts_file": {"filename": "a.zip", "size": 7},
        }
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {script: [x], needs: [b]}\nb: {script: [x], needs: [c]}\nc: {script: [x], needs: [a]}", "circular"),
        ("a: {script: [x], needs: [a]}", "circular"),
        ("a: {script: [x]}\nb: {script: [x]}\nc: {script: [x], needs: [a], dependencies: [b]}", "part of needs"),
        ("a: {script: [x]}\nb: {script: [x], dependencies: [a]}", "dependency a is not defined in prior stages"),
        ("a: {script: [x], dependencies: [ghost]}", "a job: undefined dependency: ghost"),
        ("a: {script: [x], artifacts: {reports: {dotenv: a.env}}}", "reports config uses dotenv: not supported"),
        ("a: {script: [x], artifacts: {paths: [x], expire_in: soon}}", "expire_in should be a duration"),
        ("a: {script: [x], artifacts: {paths: [x], when: rain}}", "when should be one of"),
        (
            "a: {script: [x], parallel: 51}\nb: {script: [x], needs: ["
            + ", ".join(f"a {n}/51" for n in range(1, 52))
            + "]}",
            "the limit is 50",
        ),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(CiConfigError, match=message):
        parse(text)
