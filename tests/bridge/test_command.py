"""`isthmus bridge` as a process: settings from the environment, signals, and what it prints."""

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from federation.kube.resources import JOBS
from lab.running import RunningLab
from lab.waiting import until_object
from tests.bridge.gitlab_site import TOKEN, Site

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(site: Site, bridge_kubeconfig: dict[str, Any], namespace: str, tmp_path: Path) -> dict[str, str]:
    """What a deployment would set."""
    (tmp_path / "kubeconfig").write_text(json.dumps(bridge_kubeconfig))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return os.environ | {
        "ISTHMUS_BRIDGE_GITLAB_URL": site.url,
        "ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE": str(tmp_path / "token"),
        "ISTHMUS_BRIDGE_KUBECONFIG": str(tmp_path / "kubeconfig"),
        "ISTHMUS_BRIDGE_NAMESPACE": namespace,
        "ISTHMUS_BRIDGE_PROJECTS": "root/app, root/app",
        "ISTHMUS_BRIDGE_POLL_INTERVAL_SECONDS": "0.2",
        "ISTHMUS_BRIDGE_LOG_LEVEL": "DEBUG",
        "ISTHMUS_BRIDGE_LOG_JSON": "true",
    }


async def start(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """Start the command from the checkout."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus",
        "bridge",
        *arguments,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def output(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command to its end."""
    process = await start(environment, *arguments)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_run_serves_jobs_and_stops_on_sigterm_and_status_tells(
    bare_lab: RunningLab, namespace: str, site: Site, environment: dict[str, str]
) -> None:
    site.push(arm=["arm64"], odd=["sparc"])
    process = await start(environment, "run")
    try:
        await until_object(bare_lab.api(), JOBS, lambda _: True, namespace=namespace, what="a runner Job", seconds=30)
        code, out, err = await output(environment, "status", "--json")
        assert code == 0, err
        code, table, err = await output(environment, "status")
        assert code == 0, err
    finally:
        started = time.monotonic()
        process.terminate()
        _, log = await process.communicate()
    assert process.returncode == 0
    assert time.monotonic() - started < 10

    profiles = {profile["name"]: profile for profile in json.loads(out)["profiles"]}
    assert profiles["arm64"]["runner"] in site.state.runners
    assert [job["name"] for job in profiles["arm64"]["pending"]] == ["arm"]
    assert [pod["job"] for pod in profiles["arm64"]["pods"]] == ["isthmus-arm64-1-0"]
    assert [lost["name"] for lost in json.loads(out)["unroutable"]] == ["odd"]
    assert "isthmus-arm64-1-0" in table
    assert "no profile has the tags [sparc]" in table

    lines = [json.loads(line)["record"] for line in log.decode().splitlines()]
    assert any(line["message"] == "runner pod created" for line in lines)
    for token in (TOKEN, *(runner.token for runner in site.runners())):
        assert token not in log.decode() + out + table


async def test_missing_settings_are_named_at_once() -> None:
    code, _, err = await output(dict(os.environ), "run")
    assert code == 2
    assert "ISTHMUS_BRIDGE_GITLAB_URL: Field required" in err
    assert "ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE: Field required" in err


async def test_an_unreadable_token_file_is_named() -> None:
    settings = {
        "ISTHMUS_BRIDGE_GITLAB_URL": "http://127.0.0.1:1",
        "ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE": "/nowhere/token",
    }
    code, _, err = await output(os.environ | settings, "status")
    assert code == 1
    assert re.search(r"ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE: /nowhere/token cannot be read", err)


async def test_check_prints_what_profiles_mean_or_what_is_wrong(tmp_path: Path) -> None:
    code, out, _ = await output(dict(os.environ), "check", "runner-config/profiles.yaml")
    assert code == 0
    assert "jobs tagged [arm64, aarch64] run on linux/arm64 in arm-lab" in out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("profiles:\n- {name: a, os: linux, arch: x86, tags: [a]}\n")
    code, _, err = await output(dict(os.environ), "check", str(wrong))
    assert (code, "wrong.yaml: profile a: arch: " in err) == (1, True)
