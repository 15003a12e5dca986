"""A GitLab made of canned answers that writes down every request, and a runner process pointed at it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

ROOT = Path(__file__).parents[3]
TOKEN = "glrt-t0123456789abc"
JOB_TOKEN = "glcbt-64_jobtoken"


def job_payload(*script: str, **changes: Any) -> dict[str, Any]:
    """The smallest job a runner accepts; `changes` replace whole keys."""
    step = {"name": "script", "script": list(script), "timeout": 3600, "when": "on_success", "allow_failure": False}
    none = {"key": "GIT_STRATEGY", "value": "none", "public": True, "masked": False}
    payload = {
        "id": 101,
        "token": JOB_TOKEN,
        "allow_git_fetch": True,
        "job_info": {
            "name": "hello",
            "stage": "test",
            "project_id": 1,
            "project_name": "p",
            "project_full_path": "g/p",
        },
        "git_info": {
            "repo_url": "http://127.0.0.1/g/p.git",
            "ref": "main",
            "sha": "0" * 40,
            "refspecs": [],
            "depth": 0,
        },
        "runner_info": {"timeout": 3600},
        "variables": [none, *changes.pop("more_variables", [])],
        "steps": [step, *changes.pop("more_steps", [])],
        "image": None,
        "artifacts": None,
        "dependencies": [],
        "features": {"trace_sections": True, "failure_reasons": ["script_failure", "runner_interrupted"]},
    }
    return {**payload, **changes}


@dataclass
class Call:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


Answer = Callable[[Call], web.Response | None]


@dataclass
class Recorder:
    """`jobs` are handed out in turn; `answer` may take over any request by giving a response."""

    url: str = ""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    trace: bytearray = field(default_factory=bytearray)
    answer: Answer = lambda call: None
    seen: asyncio.Condition = field(default_factory=asyncio.Condition)
    poll_seconds: float = 0

    async def serve(self, request: web.Request) -> web.Response:
        path = request.path_qs.removeprefix("/api/v4/")
        call = Call(request.method, path, request.headers, await request.read())
        self.calls.append(call)
        async with self.seen:
            self.seen.notify_all()
        return self.answer(call) or await self._usual(call)

    async def _usual(self, call: Call) -> web.Response:
        orders = {"Job-Status": "running", "X-GitLab-Trace-Update-Interval": "1"}
        if call.path == "jobs/request":
            await asyncio.sleep(self.poll_seconds)
            if self.jobs:
                return web.json_response(self.jobs.pop(0), status=201)
            return web.Response(status=204, headers={"X-GitLab-Last-Update": "value-1"})
        if call.method == "PATCH":
            self.trace += call.body
            return web.json_response(202, status=202, headers={**orders, "Range": f"0-{len(self.trace)}"})
        return web.json_response(200, headers=orders)

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Waits for a request after which the condition holds."""
        async with asyncio.timeout(20), self.seen:
            await self.seen.wait_for(wanted)

    def puts(self) -> list[dict[str, Any]]:
        return [call.json for call in self.calls if call.method == "PUT"]

    @property
    def text(self) -> str:
        return self.trace.decode()


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    found = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}"
    yield found
    await runner.cleanup()


@dataclass
class Program:
    """`gitlab-runner` of the lab in a directory of its own."""

    directory: Path
    url: str
    settings: str = ""

    async def start(self, *flags: str) -> asyncio.subprocess.Process:
        config = self.directory / "config.toml"
        head = f'[[runners]]\nname = "lab"\nurl = "{self.url}/"\ntoken = "{TOKEN}"\nexecutor = "shell"\n'
        config.write_text(f"concurrent = 1\ncheck_interval = 1\n{head}{self.settings}")
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lab.runner",
            *(flags or ("run-single", "-c", "config.toml", "-r", "lab", "--max-builds", "1", "--wait-timeout", "15")),
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *flags: str) -> tuple[int, str]:
        """(exit code, log) of a whole run."""
        return await ended(await self.start(*flags))


async def ended(process: asyncio.subprocess.Process, seconds: float = 30) -> tuple[int, str]:
    async with asyncio.timeout(seconds):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.fixture
def program(tmp_path: Path, recorder: Recorder) -> Program:
    return Program(tmp_path, recorder.url)
