"""What the bridge hands a runner, given to a runner: the lab's, and a real gitlab-runner where there is one.

The files are laid out as the pod's projected volume has them: config.toml, and the system id beside it.
"""

import asyncio
import base64
import os
import sys
from pathlib import Path

import pytest

from bridge import runners
from bridge.demand import WantedRunner
from bridge.names import SYSTEM_ID
from bridge.observed import PendingJob
from bridge.profiles import Profile
from bridge.runner_spec import RunnerSpec
from bridge.runner_toml import BUILDS, CACHE, DIRECTORY, render
from bridge.runners import RunnerOptions
from tests.bridge.gitlab_site import Site

ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",))
OPTIONS = RunnerOptions("isthmus", "ci", wait_timeout_seconds=5, start_timeout_seconds=600, finished_ttl_seconds=900)
REAL = os.environ.get("ISTHMUS_GITLAB_RUNNER", "")
FAILING = """
build:
  tags: [arm64]
  variables: {GIT_STRATEGY: none}
  script: [echo from the job, exit 7]
"""


@pytest.fixture(
    params=[
        "lab",
        pytest.param(
            "real",
            marks=[
                pytest.mark.gitlab_runner,
                pytest.mark.skipif(not REAL, reason="ISTHMUS_GITLAB_RUNNER names no gitlab-runner"),
            ],
        ),
    ]
)
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command that stands for `gitlab-runner`."""
    return [REAL] if request.param == "real" else [sys.executable, "-m", "lab.runner"]


async def run_pod(site: Site, program: list[str], directory: Path, token: str, runner_id: int) -> tuple[int, str, str]:
    """Run the container's command with its files in `directory`; returns its exit code, system id and output."""
    job = runners.job(OPTIONS, WantedRunner(ARM, PendingJob(1, "root/app", "build", frozenset({"arm64"})), 0), "f")
    template = job["spec"]["template"]
    system_id = template["metadata"]["annotations"][SYSTEM_ID]
    config = render(
        ARM, name="isthmus-runner-arm64", url=site.url, runner_id=runner_id, token=token, namespace="ci", has_ca=False
    )
    secret = runners.secret(OPTIONS, ARM, runner_id, token, config)
    text = base64.b64decode(secret["data"]["config.toml"]).decode()
    for path in (BUILDS, CACHE):
        text = text.replace(f'"{path}"', f'"{directory}{path}"')
    (directory / "config.toml").write_text(text)
    (directory / ".runner_system_id").write_text(system_id)
    container = template["spec"]["containers"][0]
    command = [part.replace(DIRECTORY, str(directory)) for part in container["command"][1:]]
    environment = os.environ | {entry["name"]: entry["value"] for entry in container["env"]}
    process = await asyncio.create_subprocess_exec(
        *program, *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, system_id, output.decode()


async def test_trap_1_8_the_runner_exits_0_although_the_job_failed(
    site: Site, program: list[str], tmp_path: Path
) -> None:
    gitlab = site.client()
    registered = await gitlab.create_runner("instance", RunnerSpec("isthmus/arm64", ("arm64",), 3600, ""))
    (job,) = site.push_text(FAILING)
    code, system_id, output = await run_pod(site, program, tmp_path, registered.token.get_secret_value(), registered.id)
    assert (code, job.status, job.exit_code) == (0, "failed", 7), output
    assert "from the job" in bytes(job.trace).decode()
    assert job.manager is not None
    assert job.manager.system_id == system_id, "GitLab tells by the system id which pod ran the job"


async def test_a_runner_without_a_job_leaves_by_itself(site: Site, program: list[str], tmp_path: Path) -> None:
    registered = await site.client().create_runner("instance", RunnerSpec("isthmus/arm64", ("arm64",), 3600, ""))
    code, _, output = await run_pod(site, program, tmp_path, registered.token.get_secret_value(), registered.id)
    assert code == 0, output
