"""What every HTTP handler shares: the state, the repositories, the bell that wakes held requests; and the reading of
parameters."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from lab.gitlab import access
from lab.gitlab.errors import Forbidden, Missing, NotFound
from lab.gitlab.model import AccessToken, Group, Job, Project
from lab.gitlab.registry_tokens import Signer
from lab.gitlab.repositories import Repositories
from lab.gitlab.roles import Role, role_in
from lab.gitlab.state import State


class Bell:
    """Wakes everyone who is waiting now, each time it rings; nobody looks at a clock meanwhile."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def rung(self, timeout_seconds: float) -> bool:
        """True when it rang in time."""
        waiting_for = self._next
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiting_for.wait()
        except TimeoutError:
            return False
        return True


@dataclass(slots=True)
class Shell:
    state: State
    repositories: Repositories
    artifacts_dir: Path
    long_poll_seconds: float
    signer: Signer | None = None
    bell: Bell = field(default_factory=Bell)

    def artifact_path(self, job_id: int, file_type: str = "archive") -> Path:
        return self.artifacts_dir / f"{job_id}.{file_type}"

    def delete_artifact(self, job_id: int, file_type: str) -> None:
        self.artifact_path(job_id, file_type).unlink(missing_ok=True)


SHELL = web.AppKey("shell", Shell)


def shell_of(request: web.Request) -> Shell:
    return request.app[SHELL]


def require(request: web.Request, scopes: tuple[str, ...]) -> AccessToken:
    """The caller's token, if it has one of the scopes."""
    return access.require(shell_of(request).state, request.headers, scopes)


def project_of(request: web.Request, scopes: tuple[str, ...] = access.READ_API, least: Role = Role.REPORTER) -> Project:
    """The project the path names (number or encoded path), for a caller with one of the scopes and the role in it.

    A project that the caller may not even see is not there for them.
    """
    token = require(request, scopes)
    project = shell_of(request).state.project(request.match_info["project"])
    role = role_in(token.user, project)
    if role < Role.GUEST:
        raise NotFound("Project")
    if role < least:
        raise Forbidden()
    return project


def job_of(request: web.Request, scopes: tuple[str, ...] = access.READ_API, least: Role = Role.REPORTER) -> Job:
    """The job the path names within its project."""
    project = project_of(request, scopes, least)
    return shell_of(request).state.job(project, number_of(request, "job"))


def group_of(request: web.Request, scopes: tuple[str, ...] = access.READ_API, least: Role = Role.GUEST) -> Group:
    """The group the path names, for a caller with one of the scopes and the role in it."""
    token = require(request, scopes)
    group = shell_of(request).state.group(request.match_info["group"])
    role = role_in(token.user, group)
    if role < Role.GUEST:
        raise NotFound("Group")
    if role < least:
        raise Forbidden()
    return group


def in_project(path: str) -> str:
    """The path of a route below one project, by number or encoded path."""
    return f"/api/v4/projects/{{project}}{path}"


def number_of(request: web.Request, name: str) -> int:
    """A number in the path."""
    text = request.match_info[name]
    if not text.isdecimal():
        raise NotFound()
    return int(text)


class Parameters:
    """Query, form and JSON body as one, as Rails sees them: booleans and numbers may come as text in any case."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str) -> str:
        if self.values.get(name) in (None, ""):
            raise Missing(f"{name} is missing")
        return str(self.values[name])

    def boolean(self, name: str) -> bool | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if str(value).lower() not in ("true", "false", "1", "0"):
            raise Missing(f"{name} is invalid")
        return str(value).lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not str(value).lstrip("-").isdecimal():
            raise Missing(f"{name} is invalid")
        return int(str(value))

    def words(self, name: str) -> tuple[str, ...] | None:
        """A list, or one string with commas, or repeated `name[]`; None when it was not sent."""
        value = self.values.get(name, self.values.get(f"{name}[]"))
        if value is None:
            return None
        items = value if isinstance(value, list) else str(value).split(",")
        return tuple(str(item).strip() for item in items if str(item).strip())

    def hash(self, name: str) -> dict[str, object]:
        value = self.values.get(name)
        return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


async def parameters(request: web.Request) -> Parameters:
    """All parameters of the request; a body that is not a JSON object is a bad request."""
    values: dict[str, object] = {}
    for name in request.query:
        found = request.query.getall(name)
        values[name] = list(found) if name.endswith("[]") else found[-1]
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        values.update({key: value for key, value in (await request.post()).items() if isinstance(value, str)})
    elif request.can_read_body:
        values.update(_json_object(await request.read()))
    return Parameters(values)


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body) if body.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Missing("The request body must be a JSON object")
    return value
