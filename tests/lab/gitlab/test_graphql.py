"""Demand by GraphQL: who sees which jobs, in which pages, and what is said to a query that will not do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from lab.gitlab import jobs, pipelines, projects, runners
from lab.gitlab.model import Commit, Project, Runner
from tests.lab.gitlab.conftest import BRIDGE_TOKEN, ROOT_TOKEN, Site
from tests.lab.gitlab.core import INFO

Answer = tuple[int, dict[str, Any]]
Ask = Callable[..., Coroutine[Any, Any, Answer]]

ALL_FIELDS = """
query($first: Int, $after: String) {
  jobs(statuses: [PENDING], first: $first, after: $after) {
    nodes {
      id name status tags stuck queuedAt createdAt refName webPath
      runner { id } project { id fullPath } pipeline { id }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture
async def ask(site: Site) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession() as session:

        async def one(query: str, token: str = BRIDGE_TOKEN, **variables: object) -> Answer:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            body = {"query": query, "variables": variables}
            async with session.post(f"{site.url}/api/graphql", json=body, headers=headers) as response:
                return response.status, await response.json()

        yield one


def push(site: Site, text: str, path: str = "app") -> Project:
    state = site.shell.state
    found = [project for project in state.projects.values() if project.path == path]
    project = found[0] if found else projects.create_project(state, path)
    assert pipelines.create(state, project, Commit("a1" * 20), pipelines.Trigger("main"), text)
    return project


def runner(site: Site, *tags: str) -> Runner:
    return runners.create(site.shell.state, "instance_type", runners.RunnerSettings(tags=tags))


async def test_all_pending_jobs_with_what_a_scaler_asks_for(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x], tags: [arm64]}\nb: {stage: deploy, script: [x]}")
    status, answer = await ask(ALL_FIELDS)
    assert status == 200
    [job] = answer["data"]["jobs"]["nodes"]
    assert job.pop("queuedAt") >= job.pop("createdAt")
    assert job == {
        "id": "gid://gitlab/Ci::Build/1",
        "name": "a",
        "status": "PENDING",
        "tags": ["arm64"],
        "stuck": True,
        "refName": "main",
        "webPath": "/root/app/-/jobs/1",
        "runner": None,
        "project": {"id": "gid://gitlab/Project/1", "fullPath": "root/app"},
        "pipeline": {"id": "gid://gitlab/Ci::Pipeline/1"},
    }


async def test_pages_by_cursor_stay_where_they_are_while_jobs_arrive(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x], parallel: 5}")
    _, answer = await ask(ALL_FIELDS, first=2)
    seen = [node["id"] for node in answer["data"]["jobs"]["nodes"]]
    push(site, "new: {script: [x]}")
    while answer["data"]["jobs"]["pageInfo"]["hasNextPage"]:
        _, answer = await ask(ALL_FIELDS, first=2, after=answer["data"]["jobs"]["pageInfo"]["endCursor"])
        seen += [node["id"] for node in answer["data"]["jobs"]["nodes"]]
    assert seen == [f"gid://gitlab/Ci::Build/{number}" for number in (5, 4, 3, 2, 1)]
    _, answer = await ask("{ jobs(last: 2) { count nodes { id } pageInfo { hasPreviousPage hasNextPage } } }")
    assert answer["data"]["jobs"] == {
        "count": 6,
        "nodes": [{"id": "gid://gitlab/Ci::Build/2"}, {"id": "gid://gitlab/Ci::Build/1"}],
        "pageInfo": {"hasPreviousPage": True, "hasNextPage": False},
    }


async def test_a_page_has_a_hundred_jobs_at_most(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x], parallel: 120}")
    _, answer = await ask("{ all: jobs(first: 500) { nodes { id } } default: jobs { nodes { id } } }")
    assert [len(answer["data"][name]["nodes"]) for name in ("all", "default")] == [100, 100]


async def test_a_compatible_runner_narrows_to_what_it_may_take(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x], tags: [arm64]}\nb: {script: [x], tags: [windows]}\nc: {script: [x]}")
    arm = runner(site, "arm64")
    query = "query($r: CiRunnerID!) { jobs(statuses: [PENDING], compatibleRunnerId: $r) { nodes { name } } }"
    _, answer = await ask(query, r=f"gid://gitlab/Ci::Runner/{arm.id}")
    assert [node["name"] for node in answer["data"]["jobs"]["nodes"]] == ["c", "a"]
    for wrong, message in (
        ("nonsense", "is not a valid Global ID"),
        ("gid://gitlab/Project/1", "does not represent an instance of Ci::Runner"),
        ("gid://gitlab/Ci::Runner/99", "does not exist"),
    ):
        status, answer = await ask(query, r=wrong)
        assert (status, answer["data"]) == (200, {"jobs": None})
        assert message in answer["errors"][0]["message"]
    _, answer = await ask(query.replace("[PENDING]", "[PENDING, RUNNING]"), r=f"gid://gitlab/Ci::Runner/{arm.id}")
    assert "can only be used when" in answer["errors"][0]["message"]
    assert answer["errors"][0]["path"] == ["jobs"]


async def test_a_job_that_was_taken_shows_its_runner(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x]}")
    taker = runner(site)
    assert jobs.request(site.shell.state, taker.token, "r_pod000000001", INFO)
    _, answer = await ask("{ jobs(statuses: [RUNNING]) { nodes { runner { id status runnerType } } } }")
    shown = {"id": f"gid://gitlab/Ci::Runner/{taker.id}", "status": "ONLINE", "runnerType": "INSTANCE_TYPE"}
    assert answer["data"]["jobs"]["nodes"] == [{"runner": shown}]


async def test_one_project_at_a_time(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x]}")
    push(site, "b: {script: [x]}", "other")
    jobs_of = "jobs(statuses: [PENDING]) { nodes { name } }"
    _, answer = await ask(f'{{ p: project(fullPath: "root/APP") {{ fullPath {jobs_of} }} }}')
    assert answer == {"data": {"p": {"fullPath": "root/app", "jobs": {"nodes": [{"name": "a"}]}}}}
    one, other = (f'project(fullPath: "root/{name}") {{ {jobs_of} }}' for name in ("app", "other"))
    status, answer = await ask(f"{{ p0: {one} p1: {other} }}")
    assert status == 200
    assert answer["data"] == {"p0": {"jobs": {"nodes": [{"name": "a"}]}}, "p1": {"jobs": None}}
    [error] = answer["errors"]
    assert error["message"] == '"jobs" field can be requested only for 1 Project(s) at a time.'
    assert error["path"] == ["p1", "jobs"]


async def test_who_sees_what(site: Site, ask: Ask) -> None:
    state = site.shell.state
    project = push(site, "a: {script: [x]}")
    bob = projects.create_user(state, "bob")
    token = projects.create_token(state, "bob's", frozenset({"read_api"}), user=bob).value
    query = (
        '{ jobs { nodes { name } } project(fullPath: "root/app") { jobs { nodes { name } } } currentUser { username } }'
    )
    nothing: dict[str, list[object]] = {"nodes": []}
    _, answer = await ask(query, token)
    assert answer["data"] == {"jobs": nothing, "project": None, "currentUser": {"username": "bob"}}
    projects.add_member(project, bob, 10)
    assert (await ask(query, token))[1]["data"]["project"] == {"jobs": None}
    project.members[bob.id] = 20
    assert (await ask(query, token))[1]["data"]["project"] == {"jobs": {"nodes": [{"name": "a"}]}}
    _, answer = await ask(query, "")
    assert answer["data"] == {"jobs": nothing, "project": None, "currentUser": None}
    assert (await ask(query, ROOT_TOKEN))[1]["data"]["jobs"] == {"nodes": [{"name": "a"}]}


async def test_refusals_have_graphqls_shape(site: Site, ask: Ask) -> None:
    state = site.shell.state
    refused = (401, {"errors": [{"message": "Invalid token"}]})
    assert await ask("{ metadata { version } }", "glpat-wrong") == refused
    maker = projects.create_token(state, "maker", frozenset({"create_runner"})).value
    assert await ask("{ metadata { version } }", maker) == refused
    assert (await ask("x" * 10_001))[0] == 422
    for query, message in (
        ("{ jobs { nodes { colour } } }", "Cannot query field 'colour' on type 'CiJobInterface'"),
        ("{ jobs(statuses: [RAINY]) { count } }", "RAINY"),
        ("{ jobs(", "Syntax Error"),
        ('{ jobs(after: "here") { count } }', "Please provide a valid cursor"),
        ("", "An unexpected error occurred"),
    ):
        status, answer = await ask(query)
        assert status == 200
        assert message in answer["errors"][0]["message"]
    assert (await ask("{ metadata { version } }"))[1] == {"data": {"metadata": {"version": "19.3.0"}}}


RUNNER_JOBS = """
query($id: CiRunnerID!) {
  runner(id: $id) { jobs(statuses: [RUNNING]) { nodes { id ... on CiJob { runnerManager { systemId } } } } }
}
"""


async def test_the_jobs_of_one_runner_with_their_managers(site: Site, ask: Ask) -> None:
    push(site, "a: {script: [x], tags: [arm64]}\nb: {script: [x], tags: [arm64]}")
    mine = runner(site, "arm64")
    assert jobs.request(site.shell.state, mine.token, "r_pod000000001", INFO)
    _, answer = await ask(RUNNER_JOBS, id=f"gid://gitlab/Ci::Runner/{mine.id}")
    assert answer["data"]["runner"]["jobs"]["nodes"] == [
        {"id": "gid://gitlab/Ci::Build/1", "runnerManager": {"systemId": "r_pod000000001"}}
    ]
    _, answer = await ask(RUNNER_JOBS, id="gid://gitlab/Ci::Runner/99")
    assert answer == {"data": {"runner": None}}
    one = f'runner(id: "gid://gitlab/Ci::Runner/{mine.id}") {{ jobs {{ nodes {{ id }} }} }}'
    _, answer = await ask(f"{{ first: {one} second: {one} }}")
    assert [error["message"] for error in answer["errors"]] == [
        '"jobs" field can be requested only for 1 CiRunner(s) at a time.'
    ]
