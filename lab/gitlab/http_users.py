"""REST for who uses this GitLab: the caller, users, access tokens, and members of groups and projects."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, projects
from lab.gitlab.errors import Forbidden, Missing, NotFound
from lab.gitlab.model import AccessToken, Group, Project, User
from lab.gitlab.paging import page
from lab.gitlab.roles import Role
from lab.gitlab.shell import group_of, in_project, number_of, parameters, project_of, require, shell_of
from lab.gitlab.views import member_view, token_view, user_view


def require_admin(request: web.Request, scopes: tuple[str, ...]) -> AccessToken:
    """The caller's token, if it is an administrator's and has one of the scopes."""
    token = require(request, scopes)
    if not token.user.is_admin:
        raise Forbidden()
    return token


async def get_own_user(request: web.Request) -> web.Response:
    user = require(request, access.READ_USER).user
    url = shell_of(request).state.site.url
    mail = "admin@example.com" if user.username == "root" else f"{user.username}@example.com"
    return web.json_response({**user_view(user, details=True), "email": mail, "web_url": f"{url}/{user.username}"})


async def list_users(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    asked = await parameters(request)
    wanted = asked.text("username").lower()
    users = [u for u in shell_of(request).state.users.values() if wanted in ("", u.username.lower())]
    return page(request, users[::-1], user_view)


async def get_user(request: web.Request) -> web.Response:
    require(request, access.READ_USER)
    return web.json_response(user_view(shell_of(request).state.user(str(number_of(request, "user")))))


async def create_user(request: web.Request) -> web.Response:
    require_admin(request, access.API)
    body = await parameters(request)
    body.required("email")
    user = projects.create_user(
        shell_of(request).state,
        body.required("username"),
        body.required("name"),
        is_admin=body.boolean("admin") is True,
    )
    return web.json_response(user_view(user, details=True), status=HTTPStatus.CREATED)


async def get_own_token(request: web.Request) -> web.Response:
    return web.json_response(token_view(require(request, access.ANY)))


async def create_token(request: web.Request) -> web.Response:
    require_admin(request, access.API)
    state, body = shell_of(request).state, await parameters(request)
    user = state.user(str(number_of(request, "user")))
    expires_at = _day(body.text("expires_at"))
    token = projects.create_token(state, body.required("name"), frozenset(body.words("scopes") or ()), user=user)
    token.expires_at = expires_at
    return web.json_response({**token_view(token), "token": token.value}, status=HTTPStatus.CREATED)


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
    except ValueError:
        raise Missing("expires_at is invalid") from None


async def list_tokens(request: web.Request) -> web.Response:
    """One's own; all of them for an administrator."""
    user = require(request, access.READ_API).user
    tokens = [t for t in shell_of(request).state.tokens.values() if user.is_admin or t.user is user]
    return page(request, tokens, token_view)


async def revoke_token(request: web.Request) -> web.Response:
    user = require(request, access.API).user
    wanted = number_of(request, "token")
    for token in shell_of(request).state.tokens.values():
        if token.id == wanted and (user.is_admin or token.user is user):
            token.is_revoked = True
            return web.Response(status=HTTPStatus.NO_CONTENT)
    raise NotFound()


async def list_project_members(request: web.Request) -> web.Response:
    return _members(request, project_of(request))


async def list_group_members(request: web.Request) -> web.Response:
    return _members(request, group_of(request))


def _members(request: web.Request, place: Project | Group) -> web.Response:
    users = shell_of(request).state.users
    return page(request, list(place.members.items()), lambda member: member_view(users[member[0]], member[1]))


async def add_project_member(request: web.Request) -> web.Response:
    return await _add_member(request, project_of(request, access.API, Role.MAINTAINER))


async def add_group_member(request: web.Request) -> web.Response:
    return await _add_member(request, group_of(request, access.API, Role.OWNER))


async def _add_member(request: web.Request, place: Project | Group) -> web.Response:
    state, body = shell_of(request).state, await parameters(request)
    user: User = state.user(body.required("user_id"))
    level = int(body.required("access_level")) if body.text("access_level").isdecimal() else 0
    projects.add_member(place, user, level)
    return web.json_response(member_view(user, level), status=HTTPStatus.CREATED)


ROUTES = [
    web.get("/api/v4/user", get_own_user),
    web.get("/api/v4/users", list_users),
    web.post("/api/v4/users", create_user),
    web.get(r"/api/v4/users/{user:\d+}", get_user),
    web.post(r"/api/v4/users/{user:\d+}/personal_access_tokens", create_token),
    web.get("/api/v4/personal_access_tokens", list_tokens),
    web.get("/api/v4/personal_access_tokens/self", get_own_token),
    web.delete(r"/api/v4/personal_access_tokens/{token:\d+}", revoke_token),
    web.get(in_project("/members"), list_project_members),
    web.post(in_project("/members"), add_project_member),
    web.get("/api/v4/groups/{group}/members", list_group_members),
    web.post("/api/v4/groups/{group}/members", add_group_member),
]
