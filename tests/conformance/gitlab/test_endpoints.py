"""Every endpoint of the lab's GitLab in every case of the table: success, bad token, stranger, not found, conflict or
invalid, page 2; by raw HTTP, and by python-gitlab where it has the call. An endpoint that is not in the table fails."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import gitlab
import pytest

from lab.gitlab.server import ROUTES
from tests.conformance.gitlab import rest_rows, runner_rows
from tests.conformance.gitlab.page import page
from tests.conformance.gitlab.rows import NO_TOTALS, TOTALS, WHOLE, Body, Row, Try
from tests.conformance.gitlab.world import REVOKED, STRANGER, WITHOUT_SCOPE, World
from tests.lab.gitlab.conftest import ROOT_TOKEN

ROWS = (*rest_rows.ROWS, *runner_rows.ROWS)
PERSONAL = ("user", "admin")
NOT_JSON = ("/trace", "/{path}", "{job}/artifacts", "/download")
_TEMPLATE = re.compile(r"\{\w+\}")  # a whole value, so that a GraphQL query is left alone
_REGEX = re.compile(r"\{(\w+):(?:[^{}]|\{[^{}]*\})*\}")


def of(*rows: Row) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Caller:
    """Calls endpoints as their rows say, with the credential that is right unless another is given."""

    def __init__(self, world: World, session: aiohttp.ClientSession) -> None:
        self.world, self._session = world, session

    async def call(
        self, row: Row, path: str = "", *, body: Body = None, query: str = "", token: str | None = None
    ) -> Answer:
        headers = {**self._credentials(row, token), **dict(row.headers)}
        sent = body if body is not None else row.body
        if isinstance(sent, dict):
            data = self._filled({**sent, **({"token": token} if row.who == "runner" and token else {})})
            headers["Content-Type"] = "application/json"
        else:
            data = sent or b""
            headers |= {"Content-Type": "multipart/form-data; boundary=b"} if data.startswith(b"--b") else {}
        asked = "&".join(filter(None, [query if query else row.query]))
        url = f"{self.world.url}{self.world.fill(path or row.template)}{f'?{asked}' if asked else ''}"
        async with self._session.request(row.method, url, data=data, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    def _credentials(self, row: Row, token: str | None) -> dict[str, str]:
        if row.who in PERSONAL:
            return {"PRIVATE-TOKEN": ROOT_TOKEN if token is None else token}
        if row.who == "job":
            return {"Job-Token": str(self.world.names["job_token"]) if token is None else token}
        if row.who == "password":
            text = f"root:{ROOT_TOKEN if token is None else token}"
            return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
        return {}

    def _filled(self, body: Mapping[str, object]) -> bytes:
        named = {
            key: self.world.fill(value) if isinstance(value, str) and _TEMPLATE.fullmatch(value) else value
            for key, value in body.items()
        }
        return json.dumps(named).encode()

    async def get(self, url: str) -> Answer:
        async with self._session.get(url, headers={"PRIVATE-TOKEN": ROOT_TOKEN}) as response:
            return Answer(response.status, response.headers, await response.read())


@pytest.fixture
async def caller(world: World) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(world, session)


def _plain(path: str) -> str:
    """The route without the regular expressions of its variables."""
    return _REGEX.sub(r"{\1}", path)


def test_every_endpoint_is_in_the_table_once() -> None:
    served = [f"{route.method} {_plain(route.path)}" for route in ROUTES]
    listed = [row.id for row in ROWS]
    assert sorted(served) == sorted(listed)
    assert [name for name, times in Counter(listed).items() if times > 1] == []


def test_the_page_is_current() -> None:
    place = Path(__file__).parents[3] / "docs" / "gitlab-endpoints.md"
    assert place.read_text() == page(ROWS), "python -m tests.conformance.gitlab.page > docs/gitlab-endpoints.md"


@of(*ROWS)
async def test_success(row: Row, caller: Caller) -> None:
    answer = await caller.call(row)
    assert answer.status == row.ok, answer.content
    if row.ok in (200, 201) and not row.route.endswith(NOT_JSON) and row.route.startswith("/api"):
        assert answer.headers["Content-Type"].startswith("application/json"), "a runner takes nothing else"
    if row.ok == 204:
        assert answer.content == b""


@of(*[row for row in ROWS if row.client])
async def test_python_gitlab_gets_it_and_not_with_a_bad_token(row: Row, world: World) -> None:
    call = row.client
    assert call is not None
    good, bad = world.client(), world.client("glpat-wrong")
    with pytest.raises(gitlab.GitlabAuthenticationError) as raised:
        await asyncio.to_thread(lambda: call(bad, world))
    assert raised.value.response_code == 401
    assert await asyncio.to_thread(lambda: call(good, world))


@of(*[row for row in ROWS if row.who in PERSONAL])
async def test_bad_personal_tokens(row: Row, caller: Caller) -> None:
    wrong = await caller.call(row, token="glpat-wrong")
    revoked = await caller.call(row, token=REVOKED)
    narrow = await caller.call(row, token=WITHOUT_SCOPE)
    if row.route == "/api/graphql":
        for answer in (wrong, revoked, narrow):
            assert (answer.status, answer.json) == (401, {"errors": [{"message": "Invalid token"}]})
        return
    assert (wrong.status, wrong.json) == (401, {"message": "401 Unauthorized"})
    assert (revoked.status, revoked.json["error"]) == (401, "invalid_token")
    assert (narrow.status, narrow.json["error"]) == (403, "insufficient_scope")


@of(*[row for row in ROWS if row.who in PERSONAL])
async def test_a_stranger(row: Row, caller: Caller) -> None:
    answer = await caller.call(row, token=STRANGER)
    assert answer.status == row.stranger, answer.content


@of(*[row for row in ROWS if row.who in ("runner", "job", "password")])
async def test_other_bad_tokens(row: Row, caller: Caller) -> None:
    usual = {"runner": 403, "job": 403, "password": 401}[row.who]
    assert (await caller.call(row, token="wrong")).status == (row.denied or usual)


@of(*[row for row in ROWS if row.missing])
async def test_not_found(row: Row, caller: Caller) -> None:
    answer = await caller.call(row, row.missing)
    assert answer.status == 404, answer.content


WRONG = [(row, wrong) for row in ROWS for wrong in row.wrong]


@pytest.mark.parametrize(("row", "wrong"), WRONG, ids=[f"{row.id} {wrong.why}" for row, wrong in WRONG])
async def test_conflict_or_invalid(row: Row, wrong: Try, caller: Caller) -> None:
    answer = await caller.call(row, wrong.path, body=wrong.body, query=wrong.query)
    assert answer.status == wrong.status, answer.content


async def test_a_trace_that_does_not_join_on_is_told_where_to_go_on(caller: Caller) -> None:
    [row] = [row for row in ROWS if row.route.endswith("/trace") and row.method == "PATCH"]
    await caller.call(row)
    answer = await caller.call(row)
    assert (answer.status, answer.headers["Range"]) == (416, "0-5")


@of(*[row for row in ROWS if row.pages in (TOTALS, NO_TOTALS)])
async def test_page_2(row: Row, caller: Caller) -> None:
    everything = (await caller.call(row)).json
    second = await caller.call(row, query="page=2&per_page=1")
    assert second.json == everything[1:2]
    assert second.json
    headers = second.headers
    assert (headers["X-Page"], headers["X-Per-Page"], headers["X-Prev-Page"]) == ("2", "1", "1")
    assert headers["X-Next-Page"] == ("3" if len(everything) > 2 else "")
    links = re.findall(r'<([^>]*)>; rel="(\w+)"', headers["Link"])
    relations = [
        "prev",
        *(["next"] if len(everything) > 2 else []),
        "first",
        *(["last"] if row.pages == TOTALS else []),
    ]
    assert [name for _, name in links] == relations
    assert (await caller.get(links[0][0])).json == everything[:1]
    totals = (headers.get("X-Total"), headers.get("X-Total-Pages"))
    assert totals == ((str(len(everything)),) * 2 if row.pages == TOTALS else (None, None))


@of(*[row for row in ROWS if row.pages in (TOTALS, NO_TOTALS)])
async def test_page_limits(row: Row, caller: Caller) -> None:
    assert (await caller.call(row, query="per_page=500")).headers["X-Per-Page"] == "100"
    beyond = await caller.call(row, query="page=1000")
    assert (beyond.status, beyond.json, beyond.headers["X-Next-Page"]) == (200, [], "")
    for query, message in (
        ("per_page=many", "per_page is invalid"),
        ("page=first", "page is invalid"),
        ("per_page=0", "per_page has a value not allowed"),
    ):
        answer = await caller.call(row, query=query)
        assert (answer.status, answer.json) == (400, {"error": message})


@of(*[row for row in ROWS if row.pages == WHOLE])
async def test_a_list_that_is_not_paged(row: Row, caller: Caller) -> None:
    answer = await caller.call(row, query="page=2&per_page=1")
    assert len(answer.json) == 2
    assert "X-Page" not in answer.headers


@of(*[row for row in ROWS if row.keyset])
async def test_keyset_pages(row: Row, caller: Caller) -> None:
    """Only `Link` leads on; all of it is there once, in order."""
    order = "asc" if row.keyset.endswith("asc") else "desc"
    expected = sorted((item["id"] for item in (await caller.call(row)).json), reverse=order == "desc")
    answer = await caller.call(row, query=f"pagination=keyset&per_page=1&{row.keyset}")
    seen = [item["id"] for item in answer.json]
    while "Link" in answer.headers:
        assert "X-Page" not in answer.headers
        [(url, relation)] = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])
        assert relation == "next"
        answer = await caller.get(url)
        seen += [item["id"] for item in answer.json]
    assert seen == expected
    too_far = await caller.call(row, query="page=50001&per_page=1")
    assert (too_far.status, "Offset pagination has a maximum" in too_far.json["error"]) == (405, True)
