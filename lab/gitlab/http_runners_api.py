"""REST for people and programs that own runners: created, listed, changed, paused, reset, deleted; their jobs and
managers."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, runners
from lab.gitlab.errors import Forbidden, Missing, NotFound
from lab.gitlab.http_users import require_admin
from lab.gitlab.matching import serves
from lab.gitlab.model import Job, Project, Runner
from lab.gitlab.paging import Keyset, page
from lab.gitlab.roles import Role, may_create_runner, may_manage_runner, may_see_runner
from lab.gitlab.shell import Parameters, group_of, in_project, number_of, parameters, project_of, require, shell_of
from lab.gitlab.state import State
from lab.gitlab.states import JobStatus
from lab.gitlab.views import job_view, manager_view, project_view, runner_status, runner_token_view, runner_view

_SETTABLE = {
    "description",
    "active",
    "paused",
    "tag_list",
    "run_untagged",
    "locked",
    "access_level",
    "maximum_timeout",
    "maintenance_note",
}


def _settings(body: Parameters) -> runners.RunnerSettings:
    paused, active = body.boolean("paused"), body.boolean("active")
    return runners.RunnerSettings(
        description=body.text("description") if "description" in body.values else None,
        tags=body.words("tag_list"),
        run_untagged=body.boolean("run_untagged"),
        is_locked=body.boolean("locked"),
        is_paused=paused if paused is not None or active is None else not active,
        access_level=body.text("access_level") or None,
        maximum_timeout_seconds=body.number("maximum_timeout"),
        maintenance_note=body.text("maintenance_note") if "maintenance_note" in body.values else None,
    )


async def create_runner(request: web.Request) -> web.Response:
    user = require(request, access.CREATE_RUNNER).user
    state, body = shell_of(request).state, await parameters(request)
    group = state.group(body.text("group_id")) if body.text("group_id") else None
    project = state.project(body.text("project_id")) if body.text("project_id") else None
    if not may_create_runner(user, group, project):
        raise Forbidden()
    runner = runners.create(state, body.text("runner_type"), _settings(body), group=group, project=project)
    return web.json_response({"id": runner.id, **runner_token_view(runner)}, status=HTTPStatus.CREATED)


def _visible_runner(request: web.Request) -> Runner:
    token, state = require(request, access.READ_RUNNER), shell_of(request).state
    runner = state.runner(number_of(request, "runner"))
    if not may_see_runner(token.user, runner, _projects(state, runner)):
        raise Forbidden("No access granted")
    return runner


def _managed_runner(request: web.Request, scopes: tuple[str, ...] = access.MANAGE_RUNNER) -> Runner:
    token, state = require(request, scopes), shell_of(request).state
    runner = state.runner(number_of(request, "runner"))
    if not may_manage_runner(token.user, runner, _projects(state, runner)):
        raise Forbidden("No access granted")
    return runner


def _projects(state: State, runner: Runner) -> list[Project]:
    return [project for project in state.projects.values() if project.id in runner.project_ids]


async def list_own_runners(request: web.Request) -> web.Response:
    """Those of groups and projects that are the caller's; never the instance's."""
    user = require(request, access.READ_API).user
    state, asked = shell_of(request).state, await parameters(request)
    found = [
        runner
        for runner in state.runners.values()
        if runner.runner_type != "instance_type" and may_manage_runner(user, runner, _projects(state, runner))
    ]
    return _page(request, asked, found)


async def list_runners(request: web.Request) -> web.Response:
    """All there are, for administrators."""
    require_admin(request, access.READ_API)
    state, asked = shell_of(request).state, await parameters(request)
    return _page(request, asked, list(state.runners.values()))


async def list_project_runners(request: web.Request) -> web.Response:
    project, asked = project_of(request, least=Role.MAINTAINER), await parameters(request)
    return _page(request, asked, [r for r in shell_of(request).state.runners.values() if serves(r, project)])


async def list_group_runners(request: web.Request) -> web.Response:
    group = group_of(request, least=Role.OWNER)
    state, asked = shell_of(request).state, await parameters(request)
    return _page(request, asked, [runner for runner in state.runners.values() if runner.group is group])


def _page(request: web.Request, asked: Parameters, found: list[Runner]) -> web.Response:
    state = shell_of(request).state
    kind, status, paused = asked.text("type"), asked.text("status"), asked.boolean("paused")
    tags = set(asked.words("tag_list") or ())
    chosen = [
        runner
        for runner in sorted(found, key=lambda runner: -runner.id)
        if (not kind or runner.runner_type == kind)
        and (not status or runner_status(runner.contacted_at, state.clock()) == status)
        and (paused is None or runner.is_paused == paused)
        and tags <= set(runner.tags)
    ]
    return page(request, chosen, lambda runner: runner_view(state, runner))


async def get_runner(request: web.Request) -> web.Response:
    runner = _visible_runner(request)
    return web.json_response(runner_view(shell_of(request).state, runner, details=True))


async def update_runner(request: web.Request) -> web.Response:
    runner = _managed_runner(request)
    state, body = shell_of(request).state, await parameters(request)
    if not _SETTABLE & {name.removesuffix("[]") for name in body.values}:
        raise Missing(f"{', '.join(sorted(_SETTABLE))} are missing, at least one parameter must be provided")
    runners.update(state, runner, _settings(body))
    return web.json_response(runner_view(state, runner, details=True))


async def delete_runner(request: web.Request) -> web.Response:
    runners.delete(shell_of(request).state, _managed_runner(request))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def reset_token(request: web.Request) -> web.Response:
    runner = _managed_runner(request)
    runners.reset_token(shell_of(request).state, runner)
    return web.json_response(runner_token_view(runner), status=HTTPStatus.CREATED)


async def list_managers(request: web.Request) -> web.Response:
    """All in one answer: GitLab does not page this list."""
    runner = _visible_runner(request)
    state = shell_of(request).state
    newest_first = sorted(runner.managers.values(), key=lambda manager: -manager.id)
    return web.json_response([manager_view(state, runner, manager) for manager in newest_first])


async def list_runner_jobs(request: web.Request) -> web.Response:
    """Jobs assigned to the runner: never the queue."""
    runner = _managed_runner(request, access.READ_RUNNER)
    state = shell_of(request).state
    status, system_id = request.query.get("status", ""), request.query.get("system_id", "")
    if status and status not in set(JobStatus):
        raise Missing("status does not have a valid value")
    if system_id and system_id not in runner.managers:
        raise NotFound("Runner manager")
    chosen = [
        job
        for job in sorted(state.jobs.values(), key=lambda job: -job.id)
        if job.runner is runner
        and (not status or job.status == status)
        and (not system_id or (job.manager is not None and job.manager.system_id == system_id))
    ]

    def view(job: Job) -> dict[str, object]:
        return {**job_view(state, job), "project": project_view(state.site, job.project)}

    by_id: Keyset[Job] = Keyset("Ci::Build", lambda job: job.id)
    return page(request, chosen, view, with_total=not system_id, keyset=by_id)


async def assign_to_project(request: web.Request) -> web.Response:
    """Enables a project runner in another project, unless it is locked to the first."""
    project, body = project_of(request, access.API, Role.MAINTAINER), await parameters(request)
    state = shell_of(request).state
    body.required("runner_id")
    runner = state.runner(body.number("runner_id") or 0)
    runners.assign(state, runner, project)
    return web.json_response(runner_view(state, runner), status=HTTPStatus.CREATED)


async def unassign_from_project(request: web.Request) -> web.Response:
    """Takes a project runner away from one of its projects; the last one keeps it."""
    project, state = project_of(request, access.API, Role.MAINTAINER), shell_of(request).state
    runner = state.runner(number_of(request, "runner"))
    runners.unassign(state, runner, project)
    return web.Response(status=HTTPStatus.NO_CONTENT)


ROUTES = [
    web.post("/api/v4/user/runners", create_runner),
    web.get("/api/v4/runners", list_own_runners),
    web.get("/api/v4/runners/all", list_runners),
    web.get(r"/api/v4/runners/{runner:\d+}", get_runner),
    web.put(r"/api/v4/runners/{runner:\d+}", update_runner),
    web.delete(r"/api/v4/runners/{runner:\d+}", delete_runner),
    web.post(r"/api/v4/runners/{runner:\d+}/reset_authentication_token", reset_token),
    web.get(r"/api/v4/runners/{runner:\d+}/managers", list_managers),
    web.get(r"/api/v4/runners/{runner:\d+}/jobs", list_runner_jobs),
    web.get("/api/v4/projects/{project}/runners", list_project_runners),
    web.post("/api/v4/projects/{project}/runners", assign_to_project),
    web.delete(in_project(r"/runners/{runner:\d+}"), unassign_from_project),
    web.get("/api/v4/groups/{group}/runners", list_group_runners),
]
