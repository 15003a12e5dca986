"""Who is calling, and may they: personal access tokens by scope, job tokens by the job that is running. Pure.

A token may do what its scopes allow, within what its user may do (`roles`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from lab.gitlab import jobs
from lab.gitlab.errors import DeadToken, InsufficientScope, Unauthorized
from lab.gitlab.model import AccessToken, Job, Project
from lab.gitlab.roles import Role, role_in
from lab.gitlab.state import State

READ_API = ("read_api", "api")
API = ("api",)
CREATE_RUNNER = ("create_runner", "api")
MANAGE_RUNNER = ("manage_runner", "api")
READ_RUNNER = ("read_api", "manage_runner", "api")
READ_USER = ("read_user", "read_api", "api")
ANY = ("api", "read_api", "read_user", "create_runner", "manage_runner")
JOB_USER = "gitlab-ci-token"


def require(state: State, headers: Mapping[str, str], scopes: tuple[str, ...]) -> AccessToken:
    """The caller's token, if it has one of the scopes."""
    token = state.tokens.get(_token_value(headers))
    if token is None:
        raise Unauthorized()
    if token.is_revoked:
        raise DeadToken("Token was revoked. You have to re-authorize from the user.")
    if token.has_expired(state.clock()):
        raise DeadToken("Token is expired. You can either do re-authorization or token refresh.")
    if not token.scopes & set(scopes):
        raise InsufficientScope(scopes)
    return token


def find_token(state: State, headers: Mapping[str, str]) -> AccessToken | None:
    """The living token in PRIVATE-TOKEN or Authorization: Bearer."""
    token = state.tokens.get(_token_value(headers))
    return token if token is not None and _lives(state, token) else None


def _lives(state: State, token: AccessToken) -> bool:
    return not token.is_revoked and not token.has_expired(state.clock())


def shows_token(headers: Mapping[str, str]) -> bool:
    """Whether the caller shows a token, good or not."""
    return bool(_token_value(headers))


def _token_value(headers: Mapping[str, str]) -> str:
    kind, _, credentials = headers.get("Authorization", "").partition(" ")
    bearer = credentials.strip() if kind.lower() == "bearer" else ""
    return headers.get("PRIVATE-TOKEN", "") or bearer


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who stands behind a basic-auth header: the holder of a personal token, or a job in hand."""

    token: AccessToken | None = None
    job: Job | None = None

    def may_pull_code(self, project: Project) -> bool:
        return self._has(project, "read_repository", "write_repository", "api") or self._is_job_of(project)

    def may_push_code(self, project: Project) -> bool:
        return self._has(project, "write_repository", "api", least=Role.DEVELOPER)

    def may_pull_image(self, project: Project) -> bool:
        return self._has(project, "read_registry", "write_registry", "api") or self._is_job_of(project)

    def may_push_image(self, project: Project) -> bool:
        return self._has(project, "write_registry", "api", least=Role.DEVELOPER) or self._is_job_of(project)

    def _has(self, project: Project, *scopes: str, least: Role = Role.REPORTER) -> bool:
        token = self.token
        return token is not None and bool(token.scopes & set(scopes)) and role_in(token.user, project) >= least

    def _is_job_of(self, project: Project) -> bool:
        return self.job is not None and self.job.project is project


def basic_credentials(state: State, authorization: str) -> Credentials | None:
    """From `Authorization: Basic`; None when it is absent or wrong."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if user == JOB_USER:
        job = jobs.by_token(state, password)
        return Credentials(job=job) if job else None
    token = state.tokens.get(password)
    return Credentials(token=token) if token and _lives(state, token) else None
