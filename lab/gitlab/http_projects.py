"""REST for the server itself, access tokens, groups, projects and their CI/CD variables."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, projects
from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import Invalid, NotFound
from lab.gitlab.paging import page
from lab.gitlab.predefined import REVISION, VERSION
from lab.gitlab.shell import number_of, parameters, project_of, require, shell_of
from lab.gitlab.state import ROOT_USER_ID
from lab.gitlab.views import USER, commit_view, group_view, project_view, token_view


async def get_version(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    return web.json_response({"version": VERSION, "revision": REVISION})


async def get_metadata(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return web.json_response({"version": VERSION, "revision": REVISION, "kas": kas, "enterprise": False})


async def get_user(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    url = shell_of(request).state.site.url
    return web.json_response({**USER, "email": "admin@example.com", "web_url": f"{url}/root"})


async def get_own_token(request: web.Request) -> web.Response:
    return web.json_response(token_view(require(request, access.ANY)))


async def create_token(request: web.Request) -> web.Response:
    require(request, access.API)
    if number_of(request, "user") != ROOT_USER_ID:
        raise NotFound("User")
    state, body = shell_of(request).state, await parameters(request)
    token = projects.create_token(state, body.required("name"), frozenset(body.words("scopes") or ()))
    return web.json_response({**token_view(token), "token": token.value}, status=HTTPStatus.CREATED)


async def list_tokens(request: web.Request) -> web.Response:
    require(request, access.READ_API)
    return page(request, list(shell_of(request).state.tokens.values()), token_view)


async def revoke_token(request: web.Request) -> web.Response:
    require(request, access.API)
    wanted = number_of(request, "token")
    for token in shell_of(request).state.tokens.values():
        if token.id == wanted:
            token.is_revoked = True
            return web.Response(status=HTTPStatus.NO_CONTENT)
    raise NotFound()


async def list_groups(request: web.Request) -> web.Response:
    require(request, access.READ_API)
    found = [group for group in shell_of(request).state.groups.values() if group.kind == "group"]
    return page(request, found, group_view)


async def create_group(request: web.Request) -> web.Response:
    require(request, access.API)
    state, body = shell_of(request).state, await parameters(request)
    parent = state.group(body.text("parent_id")) if body.text("parent_id") else None
    group = projects.create_group(state, body.required("path"), parent)
    return web.json_response(group_view(group), status=HTTPStatus.CREATED)


async def get_group(request: web.Request) -> web.Response:
    require(request, access.READ_API)
    return web.json_response(group_view(shell_of(request).state.group(request.match_info["group"])))


async def list_group_projects(request: web.Request) -> web.Response:
    require(request, access.READ_API)
    state, asked = shell_of(request).state, await parameters(request)
    group = state.group(request.match_info["group"])
    below = f"{group.full_path}/"
    deep = asked.boolean("include_subgroups")
    found = [p for p in state.projects.values() if p.group is group or (deep and p.full_path.startswith(below))]
    return page(request, found, lambda project: project_view(state.site, project))


async def list_projects(request: web.Request) -> web.Response:
    require(request, access.READ_API)
    state, asked = shell_of(request).state, await parameters(request)
    search = asked.text("search").lower()
    found = [p for p in state.projects.values() if search in p.full_path.lower()]
    return page(request, found[::-1], lambda project: project_view(state.site, project))


async def create_project(request: web.Request) -> web.Response:
    require(request, access.API)
    shell, body = shell_of(request), await parameters(request)
    path, name, namespace = body.text("path"), body.text("name"), body.number("namespace_id")
    project = projects.create_project(shell.state, path, name, namespace)
    project.visibility = body.text("visibility", project.visibility)
    project.default_branch = body.text("default_branch", project.default_branch)
    await shell.repositories.create(project.id, project.default_branch)
    return web.json_response(project_view(shell.state.site, project), status=HTTPStatus.CREATED)


async def get_project(request: web.Request) -> web.Response:
    return web.json_response(project_view(shell_of(request).state.site, project_of(request)))


async def update_project(request: web.Request) -> web.Response:
    project, body = project_of(request, access.API), await parameters(request)
    shared, timeout = body.boolean("shared_runners_enabled"), body.number("build_timeout")
    project.shared_runners_enabled = project.shared_runners_enabled if shared is None else shared
    project.build_timeout_seconds = timeout or project.build_timeout_seconds
    project.visibility = body.text("visibility", project.visibility)
    state = shell_of(request).state
    state.touch_queues(state.runners.values())
    return web.json_response(project_view(state.site, project))


async def delete_project(request: web.Request) -> web.Response:
    project, shell = project_of(request, access.API), shell_of(request)
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
    return page(request, list(project_of(request, access.API).variables.values()), _variable_view)


async def create_variable(request: web.Request) -> web.Response:
    project, body = project_of(request, access.API), await parameters(request)
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


def in_project(path: str) -> str:
    """The path of a route below one project, by number or encoded path."""
    return f"/api/v4/projects/{{project}}{path}"


ROUTES = [
    web.get("/api/v4/version", get_version),
    web.get("/api/v4/metadata", get_metadata),
    web.get("/api/v4/user", get_user),
    web.get("/api/v4/personal_access_tokens", list_tokens),
    web.get("/api/v4/personal_access_tokens/self", get_own_token),
    web.delete(r"/api/v4/personal_access_tokens/{token:\d+}", revoke_token),
    web.post(r"/api/v4/users/{user:\d+}/personal_access_tokens", create_token),
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
