"""examples/01-multi-arch-image: its scripts, run job by job as a shell executor runs them, with either buildah.

Each job has a directory, home and storage of its own, as its pod has. What counts is what is in the registry at the
end. (The whole way, from a push to this, is what the demo's test shows.)
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from lab.gitlab.ci.config import parse
from lab.gitlab.ci.spec import JobSpec
from tests.lab.registry.running import ROOT, RunningRegistry, running_registry

EXAMPLE = ROOT / "examples" / "01-multi-arch-image"
JOBS = ["build-amd64", "build-arm64", "build-windows", "manifest"]
needs_buildah = pytest.mark.skipif(not shutil.which("buildah"), reason="buildah is not on PATH")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def jobs() -> dict[str, JobSpec]:
    config = parse((EXAMPLE / ".gitlab-ci.yml").read_text())
    return {job.name: job for job in config.jobs}


def variables(job: JobSpec, registry: RunningRegistry) -> dict[str, str]:
    """What GitLab would give the job: its variables, those in them replaced, and the registry's."""
    predefined = {
        "CI_JOB_NAME": job.name,
        "CI_RUNNER_DESCRIPTION": f"runner for {job.tags[0]}",
        "CI_COMMIT_SHORT_SHA": "0123abcd",
        "CI_REGISTRY": registry.host,
        "CI_REGISTRY_IMAGE": f"{registry.host}/group/app",
        "CI_REGISTRY_USER": "maker",
        "CI_REGISTRY_PASSWORD": "secret",
    }
    config = parse((EXAMPLE / ".gitlab-ci.yml").read_text())
    given = {one.key: one.value for one in (*config.variables, *job.variables)}
    return predefined | {key: Template(value).safe_substitute(predefined) for key, value in given.items()}


def run(job: JobSpec, registry: RunningRegistry, folder: Path, path: str) -> str:
    """Check the example out and run before_script and script in one shell, as the runner does."""
    checkout = folder / "checkout"
    shutil.copytree(EXAMPLE, checkout)
    # Only what a pod gets: no storage settings but the example's own.
    environment = registry.environment(folder / "home") | {"PATH": path, "HOME": str(folder / "home")}
    for setting in ("STORAGE_DRIVER", "BUILDAH_ISOLATION"):
        del environment[setting]
    configuration = folder / "storage.conf"
    configuration.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n')
    environment["CONTAINERS_STORAGE_CONF"] = str(configuration)
    script = "\n".join((*(job.before_script or ()), *job.script))
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env=environment | variables(job, registry),
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stand_in(folder: Path) -> str:
    """A PATH whose first `buildah` is the stand-in."""
    folder.mkdir()
    command = folder / "buildah"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m lab.buildah "$@"\n')
    command.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_jobs_are_the_four_and_their_tags_choose_the_hardware() -> None:
    found = jobs()

    assert list(found) == JOBS
    assert [found[name].tags for name in JOBS] == [("amd64",), ("arm64",), ("windows",), ("amd64",)]
    assert {need.job for need in found["manifest"].needs or ()} == set(JOBS[:3])


@pytest.mark.parametrize("buildah", [pytest.param("real", marks=needs_buildah), "stand-in"])
def test_the_index_has_the_three_platforms(registry: RunningRegistry, tmp_path: Path, buildah: str) -> None:
    path = stand_in(tmp_path / "bin") if buildah == "stand-in" else os.environ["PATH"]
    for name, job in jobs().items():
        out = run(job, registry, tmp_path / name, path)

    token = registry.token(("group/app", "pull"))
    index = registry.request("GET", "/v2/group/app/manifests/0123abcd", token)
    assert [entry["platform"] for entry in index.json["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "amd64", "os": "windows", "os.version": "10.0.20348.2402"},
    ]
    for entry in index.json["manifests"]:
        manifest = registry.request("GET", f"/v2/group/app/manifests/{entry['digest']}", token).json
        config = registry.request("GET", f"/v2/group/app/blobs/{manifest['config']['digest']}", token).json
        assert config["architecture"] == entry["platform"]["architecture"]
        assert "GREETING=Hello from Isthmus" in config["config"]["Env"]
    shown = json.loads(out[re.search(r"^\{", out, re.MULTILINE).start() :])  # type: ignore[union-attr]
    assert [one["digest"] for one in shown["manifests"]] == [one["digest"] for one in index.json["manifests"]]


def test_the_linux_script_says_where_it_runs(tmp_path: Path) -> None:
    (tmp_path / "built-by.txt").write_text("build-amd64 on a runner\n")
    script = (EXAMPLE / "hello.sh").read_text().replace("/app/", f"{tmp_path}/")

    done = subprocess.run(["sh", "-c", script], env={"GREETING": "Hello"}, capture_output=True, text=True, check=True)

    assert re.fullmatch(r"Hello: Linux/\w+\nbuild-amd64 on a runner\n", done.stdout)
