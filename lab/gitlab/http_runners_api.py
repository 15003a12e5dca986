"""REST for people and programs that own runners: created, listed, changed, paused, reset, deleted; their jobs and
managers."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, runners
from lab.gitlab.errors import NotFound
from lab.gitlab.matching import serves
from lab.gitlab.model import Job, Runner
from lab.gitlab.paging import page
from lab.gitlab.shell import Parameters, number_of, parameters, project_of, require, shell_of
from lab.gitlab.views import job_view, manager_view, project_view, runner_status, runner_view


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
    require(request, access.CREATE_RUNNER)
    state, body = shell_of(request).state, await parameters(request)
    runner = runners.create(
        state,
        body.text("runner_type"),
        _settings(body),
        group=state.group(body.text("group_id")) if body.text("group_id") else None,
        project=state.project(body.text("project_id")) if body.text("project_id") else None,
    )
    shown = {"id": runner.id, "token": runner.token, "token_expires_at": None}
    return web.json_response(shown, status=HTTPStatus.CREATED)


def _runner(request: web.Request, scopes: tuple[str, ...]) -> Runner:
    require(request, scopes)
    return shell_of(request).state.runner(number_of(request, "runner"))


async def list_runners(request: web.Request) -> web.Response:
    require(request, access.READ_RUNNER)
    state, asked = shell_of(request).state, await parameters(request)
    return _page(request, asked, list(state.runners.values()))


async def list_project_runners(request: web.Request) -> web.Response:
    project, asked = project_of(request), await parameters(request)
    return _page(request, asked, [r for r in shell_of(request).state.runners.values() if serves(r, project)])


async def list_group_runners(request: web.Request) -> web.Response:
    require(request, access.READ_RUNNER)
    state, asked = shell_of(request).state, await parameters(request)
    group = state.group(request.match_info["group"])
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
    runner = _runner(request, access.READ_RUNNER)
    return web.json_response(runner_view(shell_of(request).state, runner, details=True))


async def update_runner(request: web.Request) -> web.Response:
    runner = _runner(request, access.MANAGE_RUNNER)
    state = shell_of(request).state
    runners.update(state, runner, _settings(await parameters(request)))
    return web.json_response(runner_view(state, runner, details=True))


async def delete_runner(request: web.Request) -> web.Response:
    runners.delete(shell_of(request).state, _runner(request, access.MANAGE_RUNNER))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def reset_token(request: web.Request) -> web.Response:
    runner = _runner(request, access.MANAGE_RUNNER)
    token = runners.reset_token(shell_of(request).state, runner)
    return web.json_response({"token": token, "token_expires_at": None}, status=HTTPStatus.CREATED)


async def list_managers(request: web.Request) -> web.Response:
    runner = _runner(request, access.READ_RUNNER)
    state = shell_of(request).state
    newest_first = sorted(runner.managers.values(), key=lambda manager: -manager.id)
    return page(request, newest_first, lambda manager: manager_view(state, runner, manager))


async def list_runner_jobs(request: web.Request) -> web.Response:
    """Jobs assigned to the runner: never the queue."""
    runner = _runner(request, access.READ_RUNNER)
    state = shell_of(request).state
    status, system_id = request.query.get("status", ""), request.query.get("system_id", "")
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

    return page(request, chosen, view)


async def assign_to_project(request: web.Request) -> web.Response:
    """Enables a project runner in another project, unless it is locked to the first."""
    project, body = project_of(request, access.API), await parameters(request)
    state = shell_of(request).state
    runner = state.runner(body.number("runner_id") or 0)
    runners.assign(state, runner, project)
    return web.json_response(runner_view(state, runner), status=HTTPStatus.CREATED)


ROUTES = [
    web.post("/api/v4/user/runners", create_runner),
    web.get("/api/v4/runners", list_runners),
    web.get("/api/v4/runners/all", list_runners),
    web.get(r"/api/v4/runners/{runner:\d+}", get_runner),
    web.put(r"/api/v4/runners/{runner:\d+}", update_runner),
    web.delete(r"/api/v4/runners/{runner:\d+}", delete_runner),
    web.post(r"/api/v4/runners/{runner:\d+}/reset_authentication_token", reset_token),
    web.get(r"/api/v4/runners/{runner:\d+}/managers", list_managers),
    web.get(r"/api/v4/runners/{runner:\d+}/jobs", list_runner_jobs),
    web.get("/api/v4/projects/{project}/runners", list_project_runners),
    web.post("/api/v4/projects/{project}/runners", assign_to_project),
    web.get("/api/v4/groups/{group}/runners", list_group_runners),
]
