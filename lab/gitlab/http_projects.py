"""REST for the server itself, groups, projects and their CI/CD variables, commits and branches."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, projects
from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import Forbidden, Invalid, NotFound
from lab.gitlab.model import Project
from lab.gitlab.paging import Keyset, page
from lab.gitlab.predefined import REVISION, VERSION
from lab.gitlab.roles import Role, is_member, role_in
from lab.gitlab.shell import group_of, in_project, parameters, project_of, require, shell_of
from lab.gitlab.views import commit_view, group_view, project_view


async def get_version(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    return web.json_response({"version": VERSION, "revision": REVISION})


async def get_metadata(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return web.json_response({"version": VERSION, "revision": REVISION, "kas": kas, "enterprise": False})


async def list_groups(request: web.Request) -> web.Response:
    user, state = require(request, access.READ_API).user, shell_of(request).state
    found = [g for g in state.groups.values() if g.kind == "group" and role_in(user, g) >= Role.GUEST]
    return page(request, found, group_view)


async def create_group(request: web.Request) -> web.Response:
    user = require(request, access.API).user
    state, body = shell_of(request).state, await parameters(request)
    parent = state.group(body.text("parent_id")) if body.text("parent_id") else None
    if parent is not None and role_in(user, parent) < Role.MAINTAINER:
        raise Forbidden()
    body.required("name")
    group = projects.create_group(state, body.required("path"), parent)
    projects.add_member(group, user, Role.OWNER)
    return web.json_response(group_view(group), status=HTTPStatus.CREATED)


async def get_group(request: web.Request) -> web.Response:
    return web.json_response(group_view(group_of(request)))


async def list_group_projects(request: web.Request) -> web.Response:
    group, user = group_of(request), require(request, access.READ_API).user
    state, asked = shell_of(request).state, await parameters(request)
    below = f"{group.full_path}/"
    deep = asked.boolean("include_subgroups")
    found = [
        project
        for project in state.projects.values()
        if (project.group is group or (deep and project.full_path.startswith(below)))
        and role_in(user, project) >= Role.GUEST
    ]
    return page(request, found, lambda project: project_view(state.site, project))


async def list_projects(request: web.Request) -> web.Response:
    """Newest first; those the caller may see, or with `membership` those that are the caller's own."""
    user = require(request, access.READ_API).user
    state, asked = shell_of(request).state, await parameters(request)
    search, own = asked.text("search").lower(), asked.boolean("membership")
    found = [
        project
        for project in sorted(state.projects.values(), key=lambda project: -project.id)
        if search in project.full_path.lower()
        and (is_member(user, project) if own else role_in(user, project) >= Role.GUEST)
    ]
    by_id: Keyset[Project] = Keyset("Project", lambda project: project.id, is_order_needed=True, cursor_name="id_after")
    return page(request, found, lambda project: project_view(state.site, project), keyset=by_id)


async def create_project(request: web.Request) -> web.Response:
    user, shell, body = require(request, access.API).user, shell_of(request), await parameters(request)
    path, name, namespace = body.text("path"), body.text("name"), body.number("namespace_id")
    place = shell.state.groups.get(namespace) if namespace else projects.namespace_of(shell.state, user)
    if place is None or role_in(user, place) < Role.MAINTAINER:
        raise Invalid({"namespace": ["is not valid"]})
    project = projects.create_project(shell.state, path, name, place.id)
    project.visibility = body.text("visibility", project.visibility)
    project.default_branch = body.text("default_branch", project.default_branch)
    await shell.repositories.create(project.id, project.default_branch)
    return web.json_response(project_view(shell.state.site, project), status=HTTPStatus.CREATED)


async def get_project(request: web.Request) -> web.Response:
    return web.json_response(project_view(shell_of(request).state.site, project_of(request, least=Role.GUEST)))


async def update_project(request: web.Request) -> web.Response:
    project, body = project_of(request, access.API, Role.MAINTAINER), await parameters(request)
    keep = body.boolean("keep_latest_artifact")
    project.keep_latest_artifact = project.keep_latest_artifact if keep is None else keep
    shared, timeout = body.boolean("shared_runners_enabled"), body.number("build_timeout")
    project.shared_runners_enabled = project.shared_runners_enabled if shared is None else shared
    project.build_timeout_seconds = timeout or project.build_timeout_seconds
    project.visibility = body.text("visibility", project.visibility)
    state = shell_of(request).state
    state.touch_queues(state.runners.values())
    return web.json_response(project_view(state.site, project))


async def delete_project(request: web.Request) -> web.Response:
    project, shell = project_of(request, access.API, Role.OWNER), shell_of(request)
    projects.delete_project(shell.state, project)
    shell.repositories.delete(project.id)
    return web.json_response({"message": "202 Accepted"}, status=HTTPStatus.ACCEPTED)


def _variable_view(variable: Variable) -> dict[str, object]:
    return {
        "variable_type": "file" if variable.file else "env_var",
        "key": variable.key,
        "value": variable.value,
        "masked": variable.masked,
        "protected": False,
        "raw": variable.raw,
        "environment_scope": "*",
    }


async def list_variables(request: web.Request) -> web.Response:
    return page(request, list(project_of(request, access.READ_API, Role.MAINTAINER).variables.values()), _variable_view)


async def create_variable(request: web.Request) -> web.Response:
    project, body = project_of(request, access.API, Role.MAINTAINER), await parameters(request)
    key = body.required("key")
    if key in project.variables:
        raise Invalid({"key": [f"({key}) has already been taken"]})
    masked = body.boolean("masked") is True
    variable = Variable(
        key,
        body.text("value"),
        public=False,
        masked=masked,
        file=body.text("variable_type") == "file",
        raw=body.boolean("raw") is True,
    )
    project.variables[key] = variable
    return web.json_response(_variable_view(variable), status=HTTPStatus.CREATED)


async def get_commit(request: web.Request) -> web.Response:
    project, shell = project_of(request), shell_of(request)
    commit = await shell.repositories.commit(project.id, request.match_info["revision"])
    if commit is None:
        raise NotFound("Commit")
    return web.json_response(commit_view(shell.state.site, project, commit))


async def list_branches(request: web.Request) -> web.Response:
    project, shell = project_of(request), shell_of(request)
    refs = await shell.repositories.refs(project.id)
    names = sorted(name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/"))

    def view(name: str) -> dict[str, object]:
        is_default = name == project.default_branch
        return {
            "name": name,
            "default": is_default,
            "protected": is_default,
            "commit": {"id": refs[f"refs/heads/{name}"]},
        }

    return page(request, names, view)


ROUTES = [
    web.get("/api/v4/version", get_version),
    web.get("/api/v4/metadata", get_metadata),
    web.get("/api/v4/groups", list_groups),
    web.post("/api/v4/groups", create_group),
    web.get("/api/v4/groups/{group}", get_group),
    web.get("/api/v4/groups/{group}/projects", list_group_projects),
    web.get("/api/v4/projects", list_projects),
    web.post("/api/v4/projects", create_project),
    web.get(in_project(""), get_project),
    web.put(in_project(""), update_project),
    web.delete(in_project(""), delete_project),
    web.get(in_project("/variables"), list_variables),
    web.post(in_project("/variables"), create_variable),
    web.get(in_project("/repository/commits/{revision}"), get_commit),
    web.get(in_project("/repository/branches"), list_branches),
]
