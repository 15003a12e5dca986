"""The client against the lab's GitLab over HTTP, and against a server that only fails."""

import logging
import re
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from pydantic import SecretStr

from bridge.errors import GitLabDenied, GitLabMissing, GitLabRefused, GitLabUnavailable, RunnerTokenRejected
from bridge.gitlab_api import GitLab
from bridge.runner_spec import RunnerSpec
from tests.bridge.gitlab_site import Site

SPEC = RunnerSpec("isthmus/arm64 (isthmus bridge)", ("arm64", "aarch64"), 3600, "note")


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def served(answer: Answer, use: Callable[[GitLab], Awaitable[object]]) -> None:
    """Call a GitLab that answers everything with `answer`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0)
        await listener.start()
        await use(GitLab(f"http://127.0.0.1:{runner.addresses[0][1]}", SecretStr("glpat-x")))
    finally:
        await runner.cleanup()


async def test_a_runner_from_creation_to_deletion(site: Site) -> None:
    gitlab = site.client()
    assert await gitlab.find_runners("instance", SPEC.description) == []
    created = await gitlab.create_runner("instance", SPEC)
    assert await gitlab.find_runners("instance", SPEC.description) == [created.id]
    row = await gitlab.runner(created.id)
    assert (row["tag_list"], row["run_untagged"], row["maximum_timeout"]) == (["arm64", "aarch64"], False, 3600)
    await gitlab.update_runner(created.id, RunnerSpec(SPEC.description, ("arm64",), 7200, "note"))
    assert (await gitlab.runner(created.id))["tag_list"] == ["arm64"]

    assert await gitlab.verify(created.token, "r_bridge000000", {"name": "isthmus-bridge"}) == created.id
    renewed = await gitlab.reset_token(created.id)
    assert renewed.fingerprint != created.fingerprint
    with pytest.raises(RunnerTokenRejected):
        await gitlab.verify(created.token, "r_bridge000000", {})
    await gitlab.delete_manager(renewed.token, "r_bridge000000")
    await gitlab.delete_manager(renewed.token, "r_bridge000000")  # gone already: fine
    assert site.runners()[0].managers == {}

    await gitlab.delete_runner(created.id)
    with pytest.raises(GitLabMissing):
        await gitlab.runner(created.id)


async def test_a_runner_of_a_project_is_found_in_that_scope(site: Site) -> None:
    gitlab = site.client()
    scope = f"project:{site.project.id}"
    created = await gitlab.create_runner(scope, SPEC)
    assert await gitlab.find_runners(scope, SPEC.description) == [created.id]
    assert await gitlab.find_runners("instance", SPEC.description) == []


async def test_pending_jobs_come_over_all_pages_with_their_tags(site: Site) -> None:
    made = site.push(**{f"job-{number}": ["arm64", "big"] for number in range(130)})
    found = await site.client().pending_jobs("root/app")
    assert sorted(job.id for job in found) == [job.id for job in made]
    assert {job.tags for job in found} == {frozenset({"arm64", "big"})}
    assert not any(job.is_assigned for job in found)
    assert found[0].url.startswith(site.url)


def pages(count: int, *, has_keyset: bool) -> tuple[Answer, list[str]]:
    """A list of projects two a page, and the queries it was asked with; a row moves on while it is read."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        asked.append(query.get("pagination", "offset"))
        if query.get("pagination") == "keyset" and not has_keyset:
            error = {"error": "Keyset pagination is not yet available for this type of request"}
            return web.json_response(error, status=405)
        start = int(query.get("cursor", (int(query.get("page", "1")) - 1) * 2))
        start -= int(start > 0 and not has_keyset)  # something new came in front: the last row is seen again
        rows = [{"id": number, "path_with_namespace": f"g/p{number}"} for number in range(count)][start : start + 2]
        headers = {}
        if start + 2 < count:
            place = {"cursor": str(start + 2)} if has_keyset else {"page": str(int(query.get("page", "1")) + 1)}
            headers["Link"] = f'<{request.url.update_query(place)}>; rel="next"'
        return web.json_response(rows, headers=headers)

    return answer, asked


@pytest.mark.parametrize("has_keyset", [True, False], ids=["keyset", "offset"])
async def test_lists_come_whole_by_the_pages_that_gitlab_offers(*, has_keyset: bool) -> None:
    answer, asked = pages(5, has_keyset=has_keyset)

    async def use(gitlab: GitLab) -> None:
        for _ in range(2):
            assert await gitlab.all_project_paths() == tuple(f"g/p{number}" for number in range(5)), "each once"

    await served(answer, use)
    assert asked.count("keyset") == (6 if has_keyset else 1), "what GitLab does not have is asked for once"


async def test_who_is_an_administrator(site: Site) -> None:
    assert await site.client().is_administrator()
    with pytest.raises(GitLabDenied):
        await site.client("glpat-wrong-token").is_administrator()


async def test_what_graphql_refuses_is_an_error_although_the_answer_is_200() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"data": {"jobs": None}, "errors": [{"message": "too complex"}]})

    async def use(gitlab: GitLab) -> None:
        with pytest.raises(GitLabRefused, match="too complex"):
            await gitlab.graphql("{ jobs { nodes { id } } }", {})

    await served(answer, use)


async def test_running_jobs_are_told_per_manager(site: Site) -> None:
    gitlab = site.client()
    runner = await gitlab.create_runner("instance", SPEC)
    site.push(build=["arm64"])
    assert await gitlab.running_jobs(runner.id) == {}
    assert site.take(runner.token.get_secret_value(), "r_pod000000001") is not None
    ((job, project),) = (await gitlab.running_jobs(runner.id)).items()
    assert project == site.project.id
    assert await gitlab.manager_of(project, job) == "r_pod000000001"
    assert await gitlab.is_busy(runner.id, "r_pod000000001")
    assert not await gitlab.is_busy(runner.id, "r_pod000000002")


async def test_projects_are_named_or_found(site: Site) -> None:
    gitlab = site.client()
    assert await gitlab.project_paths(["a/b", "a/b"], []) == ("a/b",)
    assert await gitlab.project_paths([], []) == ("root/app",)


async def test_no_token_is_ever_in_an_url(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="urllib3"):
        gitlab = site.client()
        runner = await gitlab.create_runner("instance", SPEC)
        await gitlab.verify(runner.token, "r_bridge000000", {})
        await gitlab.delete_manager(runner.token, "r_bridge000000")
        await gitlab.pending_jobs("root/app")
        await gitlab.reset_token(runner.id)
    assert "/api/v4/runners/verify" in caplog.text, "the requests were seen"
    assert not re.search(r"gl(rt|pat)-", caplog.text)


async def test_a_wrong_token_is_denied_and_not_quoted(site: Site) -> None:
    with pytest.raises(GitLabDenied) as caught:
        await site.client("glpat-wrong-token").pending_jobs("root/app")
    assert "glpat-wrong" not in str(caught.value)
    with pytest.raises(GitLabMissing):
        await site.client().pending_jobs("root/none")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_passing_failures_are_tried_again_and_then_told_with_the_wait(status: int) -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"message": "later"}, status=status, headers={"Retry-After": "17"})

    async def use(gitlab: GitLab) -> None:
        with pytest.raises(GitLabUnavailable) as caught:
            await gitlab.runner(1)
        assert caught.value.retry_after_seconds == 17

    await served(answer, use)
    assert asked == 3


async def test_a_runner_is_never_created_twice_because_an_answer_was_lost() -> None:
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"message": "oops"}, status=502)

    async def use(gitlab: GitLab) -> None:
        with pytest.raises(GitLabUnavailable):
            await gitlab.create_runner("instance", SPEC)

    await served(answer, use)
    assert asked == 1


async def test_no_answer_is_unavailable() -> None:
    with pytest.raises(GitLabUnavailable, match="no answer"):
        await GitLab("http://127.0.0.1:1", SecretStr("glpat-x"), timeout_seconds=1).runner(1)
