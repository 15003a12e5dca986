"""Puts the rooms of this GitLab together and serves them on 127.0.0.1."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from aiohttp import web
from loguru import logger

from lab.gitlab import (
    http_artifacts,
    http_git,
    http_graphql,
    http_pages,
    http_pipelines,
    http_projects,
    http_registry_auth,
    http_runner,
    http_runners_api,
    http_users,
    projects,
    workers,
)
from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import GitLabError
from lab.gitlab.model import User
from lab.gitlab.registry_tokens import Signer
from lab.gitlab.repositories import Repositories
from lab.gitlab.settings import Settings
from lab.gitlab.shell import SHELL, Shell
from lab.gitlab.state import Site, State

REQUEST_BYTES_MAX = 1024**3  # a push or an artifact; more is a mistake on a lab's machine
SWEEP_EVERY_SECONDS = 15  # GitLab's workers run hourly to minutely; the shortest limit they watch is two minutes
ROUTES = (
    *http_runner.ROUTES,
    *http_runners_api.ROUTES,
    *http_users.ROUTES,
    *http_projects.ROUTES,
    *http_artifacts.ROUTES,
    *http_pipelines.ROUTES,
    *http_graphql.ROUTES,
    *http_registry_auth.ROUTES,
    *http_pages.ROUTES,
    *http_git.ROUTES,  # last: its paths would match anything
)
_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def speak_gitlab(request: web.Request, handler: _Next) -> web.StreamResponse:
    """Refusals as GitLab's JSON; every answer carries the request's id."""
    try:
        response = await handler(request)
    except GitLabError as error:
        response = web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPNotFound:
        response = web.json_response({"error": "404 Not Found"}, status=HTTPStatus.NOT_FOUND)
    except web.HTTPMethodNotAllowed as error:
        allow = {"Allow": error.headers.get("Allow", "")}
        response = web.json_response({"error": "405 Not Allowed"}, status=HTTPStatus.METHOD_NOT_ALLOWED, headers=allow)
    if not response.prepared and "X-Request-Id" in request.headers:
        response.headers["X-Request-Id"] = request.headers["X-Request-Id"]
    return response


def build_shell(settings: Settings, url: str, clock: Callable[[], datetime]) -> Shell:
    """State, repositories and keys from the settings; `url` is how clients reach the server."""
    ca = settings.ca_file.read_text() if settings.ca_file else ""
    variables = [Variable("SSL_CERT_FILE", ca, file=True)] if ca else []
    variables += [
        Variable(v.key, v.value, public=not v.masked, masked=v.masked, file=v.file) for v in settings.variables
    ]
    lifetime = settings.runner_token_lifetime_seconds
    site = Site(
        url.rstrip("/"),
        settings.registry,
        settings.two_phase_commit,
        runner_token_lifetime=None if lifetime is None else timedelta(seconds=lifetime),
        variables=tuple(variables),
    )
    state = State(site, clock=clock, mint=lambda prefix: prefix + secrets.token_urlsafe(15))
    projects.create_root_namespace(state)
    projects.create_token(state, "root", projects.SCOPES, settings.root_token.get_secret_value())
    for token in settings.tokens:
        projects.create_token(
            state, token.name, token.scopes, token.token.get_secret_value(), _owner(state, token.user)
        )
    key = settings.jwt_signing_key_file
    shell = Shell(
        state,
        Repositories(settings.data_dir / "repositories"),
        settings.data_dir / "artifacts",
        settings.long_poll_seconds,
        Signer(key.read_bytes()) if key else None,
    )
    state.on_queue_change = shell.bell.ring
    state.on_artifact_gone = shell.delete_artifact
    return shell


def _owner(state: State, username: str) -> User:
    """The user of a token in the settings; a name that is new becomes a user who is no administrator."""
    found = [user for user in state.users.values() if user.username == username]
    return found[0] if found else projects.create_user(state, username)


def build_app(shell: Shell) -> web.Application:
    """The web application around a shell."""
    app = web.Application(middlewares=[speak_gitlab], client_max_size=REQUEST_BYTES_MAX)
    app[SHELL] = shell
    app.add_routes(ROUTES)
    return app


async def _sweep_for_ever(shell: Shell, every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        workers.sweep(shell.state)


@asynccontextmanager
async def serving(
    settings: Settings,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sweep_every_seconds: float = SWEEP_EVERY_SECONDS,
) -> AsyncIterator[Shell]:
    """A running server; the shell's `state.site.url` is its address. Held requests are dropped at the end.

    All of GitLab's time limits go by `clock` (UTC, aware); only a held request is held for real seconds.
    """
    listener = socket.create_server(("127.0.0.1", settings.port))
    port = listener.getsockname()[1]
    shell = build_shell(settings, settings.external_url or f"http://127.0.0.1:{port}", clock)
    runner = web.AppRunner(build_app(shell), handler_cancellation=True, shutdown_timeout=0.2, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    if settings.port_file:
        fresh = settings.port_file.with_name(f".{settings.port_file.name}.new")
        fresh.write_text(f"{port}\n")
        fresh.replace(settings.port_file)  # whoever waits for the file never reads half of it
    logger.info("GitLab of the lab is up", url=shell.state.site.url)
    expiry = asyncio.create_task(_sweep_for_ever(shell, sweep_every_seconds))
    try:
        yield shell
    finally:
        expiry.cancel()
        await runner.cleanup()
