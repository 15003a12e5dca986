"""`/jwt/auth`: where the container registry sends its clients for a token."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab.access import Credentials, basic_credentials
from lab.gitlab.errors import NotFound
from lab.gitlab.registry_tokens import AUDIENCE, LIFETIME_SECONDS, granted
from lab.gitlab.shell import shell_of
from lab.gitlab.views import moment


async def authenticate(request: web.Request) -> web.Response:
    """A token for what the caller may do; without credentials one that allows nothing; wrong ones are refused."""
    shell = shell_of(request)
    if shell.signer is None or request.query.get("service") != AUDIENCE:
        raise NotFound()
    authorization = request.headers.get("Authorization", "")
    credentials = basic_credentials(shell.state, authorization)
    if credentials is None and authorization:
        return _denied()
    scopes = [scope for text in request.query.getall("scope", []) for scope in text.split(" ")]
    access = granted(scopes, credentials or Credentials(), shell.state.projects.values())
    now = shell.state.clock()
    token = shell.signer.token(access, _subject(credentials), now, shell.state.mint(""))
    return web.json_response({"token": token, "expires_in": LIFETIME_SECONDS, "issued_at": moment(now)})


def _subject(credentials: Credentials | None) -> str:
    if credentials is None:
        return ""
    return f"job-{credentials.job.id}" if credentials.job else "root"


def _denied() -> web.Response:
    error = {"code": "UNAUTHORIZED", "message": "HTTP Basic: Access denied", "detail": None}
    return web.json_response({"errors": [error]}, status=HTTPStatus.UNAUTHORIZED)


ROUTES = [web.get("/jwt/auth", authenticate)]
