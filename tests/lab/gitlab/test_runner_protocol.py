"""The runner protocol on the wire: statuses, headers and bodies as GitLab Runner was recorded meeting them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from lab.gitlab import pipelines, projects, runners
from lab.gitlab.model import Commit, Runner
from tests.lab.gitlab.conftest import Site

INFO = {"name": "gitlab-runner", "version": "19.3.0", "features": {"cancel_gracefully": True}}
ONE_JOB = "a: {script: [x], variables: {SECRET_FREE: '1'}, artifacts: {paths: [out]}}"


class Client:
    """A runner made of single requests."""

    def __init__(self, site: Site, session: aiohttp.ClientSession, runner: Runner) -> None:
        self.site, self.runner, self._session = site, runner, session

    async def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        """(status, body, headers); header names come with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, (bytes, aiohttp.FormData)) else json.dumps(body or {}).encode()
        url = f"{self.site.url}/api/v4/{path}"
        async with self._session.request(method, url, data=data, headers=sent) as response:
            content = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(content) if is_json else content, response.headers

    async def request(self, **extra: object) -> tuple[int, Any, Mapping[str, str]]:
        body = {"token": self.runner.token, "system_id": "r_0123456789ab", "info": INFO, **extra}
        return await self.call("POST", "jobs/request", body)

    async def take(self) -> dict[str, Any]:
        status, job, _ = await self.request()
        assert status == 201
        assert isinstance(job, dict)
        return job

    def push(self, text: str = ONE_JOB) -> None:
        state = self.site.shell.state
        project = next(iter(state.projects.values()), None) or projects.create_project(state, "App")
        commit = Commit("a1" * 20, "Title", "Title")
        assert pipelines.create(state, project, commit, pipelines.Trigger("main"), text)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    runner = runners.create(site.shell.state, "instance_type", runners.RunnerSettings())
    async with aiohttp.ClientSession() as session:
        yield Client(site, session, runner)


async def test_verify_answers_with_the_runner_and_makes_its_manager(client: Client) -> None:
    body = {"token": client.runner.token, "system_id": "r_0123456789ab", "info": INFO}
    status, answer, headers = await client.call("POST", "runners/verify", body, X_Request_Id="abc")
    assert (status, answer) == (200, {"id": client.runner.id, "token": client.runner.token, "token_expires_at": None})
    assert headers["X-Request-Id"] == "abc"
    assert list(client.runner.managers) == ["r_0123456789ab"]
    assert (await client.call("POST", "runners/verify", {"token": "glrt-wrong"}))[0] == 403
    assert (await client.call("POST", "runners/verify", {}))[:2] == (400, {"error": "token is missing"})


async def test_the_first_poll_is_answered_at_once_and_the_next_is_held(client: Client) -> None:
    client.site.shell.long_poll_seconds = 30
    started = time.monotonic()
    status, _, headers = await client.request()
    assert (status, headers.get("Content-Length", "0")) == (204, "0")
    assert time.monotonic() - started < 10
    held = asyncio.create_task(client.request(last_update=headers["X-GitLab-Last-Update"]))
    await asyncio.sleep(0.3)
    assert not held.done()
    client.push()
    status, job, headers = await asyncio.wait_for(held, 10)
    assert (status, headers["Content-Type"].split(";")[0]) == (201, "application/json")
    assert job["job_info"]["name"] == "a"


async def test_a_held_poll_ends_with_204_and_the_same_value(client: Client) -> None:
    client.site.shell.long_poll_seconds = 0.3
    value = (await client.request())[2]["X-GitLab-Last-Update"]
    started = time.monotonic()
    status, _, headers = await client.request(last_update=value)
    assert (status, headers["X-GitLab-Last-Update"]) == (204, value)
    assert time.monotonic() - started >= 0.3


async def test_a_held_poll_hears_of_the_runners_end(client: Client) -> None:
    client.site.shell.long_poll_seconds = 30
    value = (await client.request())[2]["X-GitLab-Last-Update"]
    held = asyncio.create_task(client.request(last_update=value))
    await asyncio.sleep(0.1)
    runners.delete(client.site.shell.state, client.runner)
    assert (await asyncio.wait_for(held, 10))[0] == 403


async def test_two_held_polls_get_one_job_only_once(client: Client) -> None:
    client.site.shell.long_poll_seconds = 0.5
    value = (await client.request())[2]["X-GitLab-Last-Update"]
    held = [asyncio.create_task(client.request(last_update=value)) for _ in range(2)]
    await asyncio.sleep(0.1)
    client.push()
    assert sorted([(await task)[0] for task in held]) == [201, 204]


async def test_the_payload_has_what_a_runner_needs_and_not_the_tags(client: Client) -> None:
    client.push()
    job = await client.take()
    variables = {row["key"]: row for row in job["variables"]}
    assert variables["CI_REGISTRY_IMAGE"]["value"] == "127.0.0.1:5555/root/app", "lower-case"
    assert variables["CI_PROJECT_PATH"]["value"] == "root/App"
    assert variables["CI_REGISTRY_PASSWORD"] == {
        "key": "CI_REGISTRY_PASSWORD",
        "value": job["token"],
        "public": False,
        "masked": True,
    }
    assert job["git_info"]["refspecs"][1] == "+refs/heads/main:refs/remotes/origin/main"
    assert job["git_info"]["repo_url"].endswith("/root/App.git")
    assert job["steps"][0]["script"] == ["x"]
    assert job["features"]["trace_sections"] is True
    assert "tag_list" not in job


async def test_a_job_goes_through_trace_and_update_to_success(client: Client) -> None:
    client.push()
    job = await client.take()
    path, token = f"jobs/{job['id']}", job["token"]
    status, _, headers = await client.call("PUT", path, {"token": token, "state": "running"}, Job_Token=token)
    assert (status, headers["Job-Status"], headers["X-GitLab-Trace-Update-Interval"]) == (200, "running", "3")

    trace = f"{path}/trace?debug_trace=false"
    status, _, headers = await client.call("PATCH", trace, b"hello ", Job_Token=token, Content_Range="0-5")
    assert (status, headers["Range"]) == (202, "0-6")
    status, _, headers = await client.call("PATCH", trace, b"world", Job_Token=token, Content_Range="3-8")
    assert (status, headers["Range"]) == (416, "0-6")
    # The independent client sends an end one too high; GitLab looks at the start only.
    status, _, headers = await client.call("PATCH", trace, b"world", Job_Token=token, Content_Range="6-11")
    assert (status, headers["Range"]) == (202, "0-11")
    assert (await client.call("PATCH", trace, b"!", Job_Token=token))[0] == 400
    assert (await client.call("PATCH", trace, b"!", Job_Token="glcbt-wrong", Content_Range="11-11"))[0] == 403
    assert (await client.call("PATCH", "jobs/999/trace", b"!", Job_Token=token, Content_Range="0-0"))[0] == 404

    wrong = {"token": token, "state": "success", "output": {"checksum": "crc32:00000000", "bytesize": 11}}
    assert (await client.call("PUT", path, wrong))[0] == 412
    right = {**wrong, "output": {"checksum": f"crc32:{zlib.crc32(b'hello world'):08x}", "bytesize": 11}}
    assert (await client.call("PUT", path, right))[0] == 200
    status, _, headers = await client.call("PUT", path, right)
    assert (status, headers["Job-Status"]) == (403, "success")
    assert (await client.call("PATCH", trace, b"!", Job_Token=token, Content_Range="11-11"))[0] == 403


@pytest.mark.parametrize("gracefully", [True, False])
async def test_a_runner_hears_of_a_cancellation_with_its_next_call(client: Client, gracefully: bool) -> None:
    client.push()
    info = {**INFO, "features": {"cancel_gracefully": gracefully}}
    job = (await client.request(info=info))[1]
    path, token = f"jobs/{job['id']}", job["token"]
    rest = client.site.client()
    await client.site.call(rest.projects.get("root/App", lazy=True).jobs.get(job["id"], lazy=True).cancel)
    trace = (f"{path}/trace", b"hello ")
    status, _, headers = await client.call("PATCH", *trace, Job_Token=token, Content_Range="0-5")
    assert (status, headers["Job-Status"]) == ((202, "canceling") if gracefully else (403, "canceled"))
    status, _, headers = await client.call("PUT", path, {"token": token, "state": "failed"})
    assert (status, headers["Job-Status"]) == ((200, "canceled") if gracefully else (403, "canceled"))
    status, _, headers = await client.call("PUT", path, {"token": token, "state": "running"})
    assert (status, headers["Job-Status"]) == (403, "canceled")
    again = await client.site.call(rest.projects.get("root/App", lazy=True).jobs.get(job["id"], lazy=True).retry)
    assert again["status"] == "pending"


async def test_artifacts_go_up_and_come_down_with_the_next_jobs_token(client: Client) -> None:
    client.push(f"{ONE_JOB}\nb: {{stage: deploy, script: [x]}}")
    first = await client.take()
    path, token = f"jobs/{first['id']}/artifacts", first["token"]
    form = aiohttp.FormData()
    form.add_field("file", b"PK-zip-bytes", filename="artifacts.zip")
    assert (await client.call("POST", f"{path}/authorize", Job_Token=token))[0] == 200
    assert (await client.call("POST", f"{path}?artifact_format=zip", form, Job_Token=token))[0] == 201
    await client.call("PUT", f"jobs/{first['id']}", {"token": token, "state": "success"})
    assert (await client.call("GET", path, Job_Token=token))[0] == 401, "its own token is dead"

    second = await client.take()
    [dependency] = second["dependencies"]
    assert dependency["artifacts_file"] == {"filename": "artifacts.zip", "size": 12}
    status, content, _ = await client.call("GET", f"{path}?direct_download=true", Job_Token=dependency["token"])
    assert (status, content) == (200, b"PK-zip-bytes")


async def test_goodbyes_resets_and_what_is_not_there(client: Client) -> None:
    await client.request()
    token = {"token": client.runner.token}
    manager = {**token, "system_id": "r_0123456789ab"}
    assert (await client.call("DELETE", "runners/managers", manager))[0] == 204
    assert (await client.call("DELETE", "runners/managers", manager))[0] == 404
    assert (await client.call("GET", "runners/router/discovery"))[0] == 501
    assert (await client.call("POST", "runners", token))[0] == 410
    status, answer, _ = await client.call("POST", "runners/reset_authentication_token", token)
    assert status == 201
    assert answer["token"] == client.runner.token != token["token"]
    assert (await client.call("DELETE", "runners", token))[0] == 403
    assert (await client.call("DELETE", "runners", {"token": client.runner.token}))[0] == 204


async def test_a_registry_token_says_what_the_job_may_and_no_more(client: Client, site: Site) -> None:
    client.push()
    projects.create_project(site.shell.state, "other")
    job = await client.take()
    scope = "scope=repository:root/app/web:pull,push&scope=repository:root/other:pull&scope=repository:ghost:pull"
    url = f"{site.url}/jwt/auth?service=container_registry&{scope}"
    good, bad = (
        {"Authorization": aiohttp.encode_basic_auth("gitlab-ci-token", token)} for token in (job["token"], "glcbt-no")
    )
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=good) as response:
            answer = await response.json()
        claims = json.loads(base64.urlsafe_b64decode(answer["token"].split(".")[1] + "=="))
        assert claims["access"] == [{"type": "repository", "name": "root/app/web", "actions": ["pull", "push"]}]
        assert (claims["iss"], claims["aud"]) == ("isthmus-lab-gitlab", "container_registry")
        assert (answer["expires_in"], claims["exp"] - claims["iat"]) == (300, 300)
        async with session.get(url, headers=bad) as response:
            assert response.status == 401
        await client.call("PUT", f"jobs/{job['id']}", {"token": job["token"], "state": "success"})
        async with session.get(url, headers=good) as response:
            assert response.status == 401, "the job is over"


async def test_pages_are_escaped(client: Client, site: Site) -> None:
    client.push("a: {script: [x], tags: ['<b>']}")
    runners.update(site.shell.state, client.runner, runners.RunnerSettings(tags=("<b>",)))
    job = await client.take()
    path = f"jobs/{job['id']}/trace"
    line = b"2026-11-23T19:22:04.200830Z 01O <script>\n"
    await client.call("PATCH", path, line, Job_Token=job["token"], Content_Range="0-40")
    async with aiohttp.ClientSession() as session:
        for page, shown in (("pipelines/1", "&lt;b&gt;"), (f"jobs/{job['id']}", "<pre>&lt;script&gt;")):
            async with session.get(f"{site.url}/root/App/-/{page}") as response:
                assert shown in await response.text()
