"""The REST subset, driven by python-gitlab as the bridge and the demo drive it."""

from __future__ import annotations

import gitlab
import pytest
from gitlab.v4.objects import CurrentUserRunnerManager, Project

from tests.lab.gitlab.conftest import BRIDGE_TOKEN, CI_FILE, ROOT_TOKEN, Site, git

TAGGED = {"runner_type": "instance_type", "tag_list": ["arm64", "linux"], "run_untagged": False}


async def _project(site: Site, path: str = "app") -> Project:
    client = site.client()
    return await site.call(lambda: client.projects.create({"name": path}))


async def test_the_server_says_who_it_and_the_caller_are(site: Site) -> None:
    client = site.client()
    assert await site.call(lambda: client.http_get("/version")) == {"version": "19.3.0", "revision": "isthmus-lab"}
    await site.call(client.auth)
    assert client.user is not None
    assert client.user.username == "root"
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401 Unauthorized"):
        await site.call(site.client("glpat-wrong").auth)


async def test_a_runners_life_with_the_bridges_minimal_scopes(site: Site) -> None:
    client = site.client(BRIDGE_TOKEN)
    created = await site.call(lambda: CurrentUserRunnerManager(client).create({**TAGGED, "maximum_timeout": 3600}))
    assert created.token.startswith("glrt-")
    runner = await site.call(lambda: client.runners.get(created.id))
    assert (runner.tag_list, runner.status, runner.maximum_timeout) == (["arm64", "linux"], "never_contacted", 3600)
    body = {"token": created.token, "system_id": "r_bridge000000", "info": {"version": "1"}}
    await site.call(lambda: client.http_post("/runners/verify", post_data=body))
    managers = await site.call(lambda: list(client.http_list(f"/runners/{runner.id}/managers", get_all=True)))
    assert [(m["system_id"], m["status"], m["version"]) for m in managers] == [("r_bridge000000", "online", "1")]

    runner.paused, runner.description = True, "managed-by=bridge"
    await site.call(runner.save)
    found = await site.call(lambda: client.runners_all.list(tag_list=["arm64"], paused=True, get_all=True))
    assert [(r.id, r.description) for r in found] == [(runner.id, "managed-by=bridge")]
    assert await site.call(lambda: client.runners_all.list(tag_list=["windows"], get_all=True)) == []

    reset = await site.call(lambda: client.http_post(f"/runners/{runner.id}/reset_authentication_token"))
    assert isinstance(reset, dict)
    with pytest.raises(gitlab.GitlabVerifyError):
        await site.call(lambda: client.runners.verify(created.token))
    await site.call(lambda: client.runners.verify(reset["token"]))
    await site.call(lambda: client.http_delete("/runners", post_data={"token": reset["token"]}))
    with pytest.raises(gitlab.GitlabGetError, match="404"):
        await site.call(lambda: client.runners.get(runner.id))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"runner_type": "wrong_type"}, "runner_type does not have a valid value"),
        ({"runner_type": "group_type"}, "group_id is missing"),
        ({**TAGGED, "maximum_timeout": 30}, "at least 10 minutes"),
        ({"runner_type": "instance_type", "run_untagged": False}, "tags_list"),
        ({**TAGGED, "access_level": "open"}, "access_level does not have a valid value"),
    ],
)
async def test_a_runner_that_cannot_be_is_a_bad_request(site: Site, body: dict[str, object], message: str) -> None:
    client = site.client()
    with pytest.raises(gitlab.GitlabCreateError, match=message) as raised:
        await site.call(lambda: CurrentUserRunnerManager(client).create(body))
    assert raised.value.response_code == 400


async def test_scopes_are_checked(site: Site) -> None:
    project = await _project(site)
    root, bridge = site.client(), site.client(BRIDGE_TOKEN)
    with pytest.raises(gitlab.GitlabCreateError, match="insufficient_scope"):
        await site.call(lambda: bridge.projects.create({"name": "no"}))
    await site.call(lambda: bridge.projects.get(project.id))
    manager = root.users.get(1, lazy=True).personal_access_tokens
    made = await site.call(
        lambda: manager.create({"name": "reader", "scopes": ["read_api"], "expires_at": "2027-01-01"})
    )
    reader = site.client(made.token)
    assert await site.call(lambda: reader.projects.list(get_all=True))
    with pytest.raises(gitlab.GitlabCreateError) as raised:
        await site.call(lambda: CurrentUserRunnerManager(reader).create(TAGGED))
    assert raised.value.response_code == 403


async def test_projects_are_found_by_number_and_path_and_listed_by_group(site: Site) -> None:
    client = site.client()
    team = await site.call(lambda: client.groups.create({"name": "team", "path": "team"}))
    inner = await site.call(lambda: client.groups.create({"name": "in", "path": "in", "parent_id": team.id}))
    await site.call(lambda: client.projects.create({"name": "one", "namespace_id": team.id}))
    await site.call(lambda: client.projects.create({"name": "two", "namespace_id": inner.id}))
    found = await site.call(lambda: client.projects.get("team/in/two"))
    assert found.path_with_namespace == "team/in/two"
    assert (await site.call(lambda: client.projects.get("Team/In/Two"))).id == found.id
    found.shared_runners_enabled = False
    await site.call(found.save)
    assert not (await site.call(lambda: client.projects.get(found.id))).shared_runners_enabled
    listed = await site.call(lambda: client.groups.get("team").projects.list(include_subgroups=True, get_all=True))
    assert [project.name for project in listed] == ["one", "two"]
    with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
        await site.call(lambda: client.projects.create({"name": "one", "namespace_id": team.id}))
    await site.call(found.delete)
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        await site.call(lambda: client.projects.get("team/in/two"))


async def test_project_jobs_are_paged_without_totals_by_offset_and_by_key(site: Site) -> None:
    project = await _project(site)
    await site.push("root/app", {CI_FILE: "job: {script: [x], parallel: 45}"})
    everything = await site.call(lambda: list(project.jobs.list(scope=["pending"], iterator=True, per_page=20)))
    assert len({job.id for job in everything}) == 45
    pages = project.jobs.list
    by_key = await site.call(lambda: list(pages(scope=["pending"], iterator=True, per_page=20, pagination="keyset")))
    assert [job.id for job in by_key] == sorted((job.id for job in everything), reverse=True)
    first = await site.call(lambda: project.manager.gitlab.http_request("get", f"/projects/{project.id}/jobs"))
    assert first.headers["X-Next-Page"] == "2"
    assert "X-Total" not in first.headers
    assert await site.call(lambda: project.jobs.list(scope=["running", "failed"], get_all=True)) == []


async def test_runner_jobs_show_what_is_assigned_by_manager_and_never_the_queue(site: Site) -> None:
    project = await _project(site)
    client = site.client()
    created = await site.call(lambda: CurrentUserRunnerManager(client).create(TAGGED))
    await site.push("root/app", {CI_FILE: "job: {script: [x], parallel: 2, tags: [arm64]}"})
    runner = await site.call(lambda: client.runners.get(created.id))
    assert await site.call(lambda: runner.jobs.list(get_all=True)) == []
    body = {"token": created.token, "system_id": "r_pod000000001"}
    taken = await site.call(lambda: client.http_post("/jobs/request", post_data=body))
    assert isinstance(taken, dict)
    [job] = await site.call(lambda: runner.jobs.list(status="running", system_id="r_pod000000001", get_all=True))
    assert (job.id, job.project["path_with_namespace"]) == (taken["id"], "root/app")
    shown = await site.call(lambda: project.jobs.get(job.id))
    assert (shown.runner["id"], shown.runner_manager["system_id"]) == (runner.id, "r_pod000000001")
    await site.call(shown.cancel)
    assert (await site.call(lambda: project.jobs.get(job.id))).status == "canceled"
    assert (await site.call(shown.retry))["status"] == "pending"


async def test_pipelines_by_the_api_with_variables_and_their_refusals(site: Site) -> None:
    project = await _project(site)
    await site.push("root/app", {"README.md": "nothing to run"})
    assert await site.call(lambda: project.pipelines.list(get_all=True)) == []
    create = project.pipelines.create
    with pytest.raises(gitlab.GitlabCreateError, match="Missing CI config file"):
        await site.call(lambda: create({"ref": "main"}))
    await site.push("root/app", {CI_FILE: "job: {script: [x], rules: [{if: '$WANTED == \"yes\"'}]}"})
    with pytest.raises(gitlab.GitlabCreateError, match="rules configuration prevented"):
        await site.call(lambda: create({"ref": "main"}))
    with pytest.raises(gitlab.GitlabCreateError, match="Reference not found"):
        await site.call(lambda: create({"ref": "ghost"}))
    variables = [{"key": "WANTED", "value": "yes"}]
    pipeline = await site.call(lambda: create({"ref": "main", "variables": variables}))
    assert [job.name for job in await site.call(lambda: pipeline.jobs.list(get_all=True))] == ["job"]
    await site.call(pipeline.cancel)
    assert (await site.call(lambda: project.pipelines.get(pipeline.id))).status == "canceled"
    await site.push("root/app", {CI_FILE: "job: {script: 1}"})
    [broken, _] = await site.call(lambda: project.pipelines.list(get_all=True))
    assert (broken.status, broken.source) == ("failed", "push")
    detail = await site.call(lambda: project.pipelines.get(broken.id))
    assert "jobs:job:script config should be a string or a nested array" in detail.yaml_errors


async def test_lint_shows_jobs_with_their_tags(site: Site) -> None:
    project = await _project(site)
    text = "job: {script: [x], tags: ['$ARCH'], parallel: {matrix: [{ARCH: [arm64, riscv]}]}}"
    result = await site.call(lambda: project.ci_lint.create({"content": text, "include_jobs": True, "dry_run": True}))
    assert (result.valid, [job["tag_list"] for job in result.jobs]) == (True, [["arm64"], ["riscv"]])
    result = await site.call(lambda: project.ci_lint.create({"content": "job: {}"}))
    assert (result.valid, result.errors) == (False, ["jobs:job config should implement the script: keyword"])


async def test_tags_branches_and_skip_marks_as_pushed(site: Site) -> None:
    project = await _project(site)
    await site.push("root/app", {CI_FILE: "job: {script: [x]}"})
    await site.push("root/app", {}, branch="topic/One")
    await site.push("root/app", {}, message="No need [ci skip]", branch="topic/One")
    tree = site.directory / "trees/root/app"
    await git(tree, "tag", "--annotate", "v1", "--message", "first", "main")
    await git(tree, "push", "--quiet", "origin", "v1")
    made = await site.call(lambda: project.pipelines.list(get_all=True))
    assert [(pipeline.ref, pipeline.source) for pipeline in made] == [
        ("v1", "push"),
        ("topic/One", "push"),
        ("main", "push"),
    ]
    assert made[0].sha == made[2].sha, "an annotated tag stands for its commit"


async def test_code_is_read_with_a_live_jobs_token_and_never_without(site: Site) -> None:
    project = await _project(site)
    await site.push("root/app", {CI_FILE: "job: {script: [x]}"})
    client = site.client()
    runner = await site.call(lambda: CurrentUserRunnerManager(client).create({"runner_type": "instance_type"}))
    body = {"token": runner.token, "system_id": "r_pod000000001"}
    job = await site.call(lambda: client.http_post("/jobs/request", post_data=body))
    assert isinstance(job, dict)
    url = job["git_info"]["repo_url"]
    assert job["git_info"]["sha"] in await git(site.directory, "ls-remote", url, f"refs/pipelines/{project.id}")
    with pytest.raises(AssertionError, match="403"):
        await git(site.directory / "trees/root/app", "push", url, "main:stolen")
    await site.call(lambda: client.projects.get(project.id).jobs.get(job["id"]).cancel())
    for dead in (url, f"{site.url}/root/app.git"):
        with pytest.raises(AssertionError, match="fatal"):
            await git(site.directory, "ls-remote", dead)
    assert ROOT_TOKEN not in str(job)
