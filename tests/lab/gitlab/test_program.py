"""`python -m lab.gitlab` as a program: how it starts, refuses and stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[3]


async def _start(directory: Path, **settings: object) -> asyncio.subprocess.Process:
    config = directory / "gitlab.json"
    config.write_text(json.dumps(settings))
    command = (sys.executable, "-m", "lab.gitlab", "--config", str(config))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)


async def test_it_tells_its_port_and_stops_at_once_also_while_polls_are_held(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    settings = {"data_dir": str(tmp_path), "root_token": "glpat-secret", "port_file": str(port_file)}
    process = await _start(tmp_path, **settings, long_poll_seconds=50)
    async with asyncio.timeout(20), aiohttp.ClientSession(headers={"PRIVATE-TOKEN": "glpat-secret"}) as session:
        while not port_file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
        api = f"http://127.0.0.1:{port_file.read_text().strip()}/api/v4"
        async with session.post(f"{api}/user/runners", json={"runner_type": "instance_type"}) as response:
            body = {"token": (await response.json())["token"]}
        async with session.post(f"{api}/jobs/request", json=body) as response:
            body["last_update"] = response.headers["X-GitLab-Last-Update"]
        held = asyncio.create_task(session.post(f"{api}/jobs/request", json=body))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert (process.returncode, b"glpat-" in errors) == (0, False)
        assert time.monotonic() - started < 10
        assert isinstance((await asyncio.gather(held, return_exceptions=True))[0], aiohttp.ClientError)


async def test_a_faulty_configuration_is_named_without_its_secrets(tmp_path: Path) -> None:
    process = await _start(tmp_path, root_token="glpat-secret", ports=1)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"data_dir" in errors
    assert b"ports" in errors
    assert b"glpat-secret" not in errors
    assert b"Traceback" not in errors
