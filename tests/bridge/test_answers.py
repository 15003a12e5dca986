"""T1: whatever GitLab answers, the bridge reads it or holds what runs, by an error that says what was asked."""

import asyncio
from typing import Any

import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bridge import answers
from bridge.bounded_http import BoundedAdapter
from bridge.errors import BridgeError, GitLabUnavailable, GitLabUnreadable
from bridge.gitlab_api import GitLab
from bridge.runner_spec import RunnerSpec
from bridge.sources import GraphQL
from tests.fuzz.hostile import hostile_settings, spoilt, writable

ROW = {
    "id": 7,
    "name": "build",
    "tag_list": ["arm64"],
    "web_url": "https://gitlab.example/j/7",
    "runner": {"id": 1},
    "runner_manager": {"system_id": "r_x"},
    "project": {"id": 3},
    "path_with_namespace": "root/app",
    "description": "isthmus/arm64",
    "run_untagged": False,
    "maximum_timeout": 3600,
    "token": "glrt-x",
}
NODE = {
    "id": "gid://gitlab/Ci::Build/7",
    "name": "build",
    "tags": ["arm64"],
    "webPath": "/j/7",
    "project": {"fullPath": "root/app"},
    "runner": {"id": "gid://gitlab/Ci::Runner/1"},
    "runnerManager": {"systemId": "r_x"},
}
PAGE = {"pageInfo": {"hasNextPage": False, "endCursor": "x"}, "nodes": [NODE]}
ROWS = {
    name: getattr(answers, name) for name in ("ROW", "USER", "PROJECT", "RUNNING", "JOB", "RUNNER", "CREATED", "TOKEN")
}
SPEC = RunnerSpec("isthmus/arm64", ("arm64",), 3600, "")


@pytest.mark.parametrize("name", ROWS)
def test_t1_a_row_is_read_or_refused(name: str) -> None:
    assert answers.read(ROW, ROWS[name], "it") == ROW

    @hostile_settings
    @given(spoilt(ROW))
    def run(row: Any) -> None:
        try:
            writable(answers.read(row, ROWS[name], "it"))
        except GitLabUnreadable as error:
            refusal = str(error)
        else:
            return
        assert refusal.startswith("GitLab's answer to it")
        assert len(refusal) < 1000

    run()


@hostile_settings
@given(spoilt(ROW), spoilt(NODE))
def test_t1_a_pending_job_that_cannot_be_read_is_left_out(row: Any, node: Any) -> None:
    for job in (answers.pending_job("root/app", row), answers.pending_node(node, "https://gitlab.example")):
        if job is not None:
            assert job.id >= 0
            assert {type(text) for text in (job.name, job.url, job.taken_by, *job.tags)} == {str}


@hostile_settings
@given(spoilt({"jobs": PAGE}), spoilt({"runner": {"jobs": PAGE}}), spoilt({"data": {}, "errors": [{"message": "m"}]}))
def test_t1_an_answer_of_graphql_is_read_or_refused(pending: Any, busy: Any, whole: Any) -> None:
    for value, shape in ((pending, answers.PENDING), (busy, answers.BUSY), (whole, answers.GRAPHQL)):
        try:
            writable(answers.read(value, shape, "it"))
        except GitLabUnreadable:
            continue


def test_good_ones_are_read() -> None:
    one, other = answers.pending_job("root/app", ROW), answers.pending_node(NODE, "https://gitlab.example")
    assert one is not None
    assert one == other


@given(st.text(max_size=30))
def test_a_message_is_short_and_holds_no_token(text: str) -> None:
    message = str(BridgeError(text + " glpat-abcdefghijklmnop " + "x" * 100_000))
    assert len(message) <= 4096
    assert "abcdefghijklmnop" not in message


BODIES = [
    b"",
    b"null",
    b"7",
    b'"x"',
    b"{}",
    b"[7]",
    b"[[]]",
    b'[{"id": "x"}]',
    b'{"id": "\xc2\xb2", "token": 7}',
    b'{"data": 7}',
    b'{"data": {"jobs": {"nodes": 7}}}',
    b'{"errors": [7]}',
    b"[" * 100_000,
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"message": ' + b"[" * 50_000,
]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:24]))
async def test_t1_no_answer_ends_the_bridge(body: bytes, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", "Retry-After": "²"}
        return web.Response(body=body, status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        gitlab = GitLab(url, SecretStr("glpat-x"), timeout_seconds=5)
        for ask in (
            gitlab.is_administrator(),
            gitlab.all_project_paths(),
            gitlab.pending_jobs("root/app"),
            gitlab.running_jobs(1),
            gitlab.manager_of(1, 2),
            gitlab.find_runners("instance", "x"),
            gitlab.create_runner("instance", SPEC),
            gitlab.reset_token(1),
            gitlab.verify(SecretStr("t"), "r_x", {}),
            gitlab.runner(1),
            GraphQL(gitlab, url).busy(1, {"r_x"}),
            GraphQL(gitlab, url).pending(["root/app"], {}),
            GraphQL(gitlab, url).sees_jobs(),
        ):
            told: BridgeError | None = None
            try:
                await ask
            except BridgeError as error:
                told = error
            assert told is None or len(str(told)) <= 4096
            assert told is None or status == 400 or isinstance(told, GitLabUnavailable), "what runs is held"


async def test_t1_pages_without_end_end() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        page = {"pageInfo": {"hasNextPage": True, "endCursor": "same"}, "nodes": [NODE]}
        return web.json_response({"data": {"jobs": page, "runner": {"jobs": page}}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        source = GraphQL(GitLab(url, SecretStr("glpat-x")), url, pages_max=3)
        with pytest.raises(GitLabUnreadable, match="more than 3 pages"):
            await source.pending(["root/app"], {})
        with pytest.raises(GitLabUnreadable, match="more than 3 pages"):
            await source.busy(1, {"r_x"})
    assert asked == 6


async def test_t1_a_body_is_read_to_its_bound_however_it_is_compressed() -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(body=b" " * 2_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))

        def ask(bytes_max: int) -> int:
            with requests.Session() as session:
                session.mount("http://", BoundedAdapter(bytes_max))
                return len(session.get(url, timeout=5).content)

        assert await asyncio.to_thread(ask, 2_000_000) == 2_000_000
        with pytest.raises(OSError, match="more than 1000000 bytes"):
            await asyncio.to_thread(ask, 1_000_000)
