"""GitLab, as far as the bridge needs it. The only file that knows python-gitlab.

python-gitlab is synchronous: every call runs in a thread, one at a time (its session is not made for several), so
that nothing here blocks the loop. Tries again what got no answer or a passing failure, except the creation of a
runner: an answer that was lost may have made one, so its caller looks for it first. Tokens go in headers and bodies,
never in URLs, and no message quotes one.

Lists come by keyset pages where GitLab has them (stable while jobs come and go, and no costlier at the end than at the
start), else by offset pages; which lists have them differs by version and is learnt from its answer, 405.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import gitlab
import requests
from gitlab.exceptions import GitlabError as LibraryError
from pydantic import SecretStr
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from bridge.answers import (
    CREATED,
    GRAPHQL,
    JOB,
    PROJECT,
    ROW,
    RUNNER,
    RUNNING,
    TOKEN,
    USER,
    pending_job,
    read,
    read_all,
)
from bridge.bounded_http import BoundedAdapter
from bridge.errors import (
    GitLabDenied,
    GitLabError,
    GitLabMissing,
    GitLabNotOffered,
    GitLabRefused,
    GitLabUnavailable,
    GitLabUnreadable,
    InsufficientScope,
    RunnerTokenRejected,
)
from bridge.observed import PendingJob
from bridge.runner_spec import Registered, RunnerSpec
from federation.model.reading import whole

T = TypeVar("T")

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS_MAX = 3  # then the whole look is held and tried at the next interval
_RETRY_SECONDS_MAX = 5.0
_RETRY_AFTER_SECONDS_MAX = 3600  # longer, and a slip of GitLab's would stop us for good
_ROWS_MAX = 200_000  # of one list, which a GitLab that answers without end would never let end
# What python-gitlab raises where an answer is not the JSON that it expects.
_MALFORMED = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
_PER_PAGE = 100  # GitLab's most
_KEYSET = {"pagination": "keyset", "order_by": "id", "sort": "desc"}
_LIVE = {"archived": "false", "simple": "true"}
# python-gitlab would sleep in our one thread for as long as a Retry-After says; the controller waits instead.
_NO_WAIT: dict[str, Any] = {"obey_rate_limit": False}
_RUNNER_SCOPES = {"instance": "instance_type", "group": "group_type", "project": "project_type"}


class GitLab:
    """One GitLab, spoken to with the bridge's token."""

    def __init__(self, url: str, token: SecretStr, *, ca_file: str = "", timeout_seconds: float = 10.0) -> None:
        session = requests.Session()
        session.mount("https://", BoundedAdapter())
        session.mount("http://", BoundedAdapter())
        session.trust_env = False  # a .netrc would replace our token
        session.hooks["response"].append(self._note_retry_after)
        self._retry_after_seconds = 0.0
        self._gitlab = gitlab.Gitlab(
            url,
            private_token=token.get_secret_value(),
            ssl_verify=ca_file or True,
            timeout=timeout_seconds,
            session=session,
            keep_base_url=True,
            per_page=_PER_PAGE,
        )
        self._graphql = f"{url.rstrip('/')}/api/graphql"
        self._bearer = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._one_at_a_time = asyncio.Lock()
        self._without_keyset: set[str] = set()
        self.requests_sent = 0

    async def project_paths(self, projects: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
        """Return the projects to watch: those named, those of the groups, or, with neither, all we are a member of."""
        found = list(projects)
        for group in groups:
            path = f"/groups/{quote(group, safe='')}/projects"
            found += _paths(await self._list(path, _LIVE | {"include_subgroups": "true"}, keyset="group projects"))
        if not projects and not groups:
            found += _paths(await self._list("/projects", _LIVE | {"membership": "true"}, keyset="projects"))
        return tuple(dict.fromkeys(found))

    async def all_project_paths(self) -> tuple[str, ...]:
        """Return all projects of the instance that our token may see."""
        return tuple(_paths(await self._list("/projects", _LIVE, keyset="projects")))

    async def is_administrator(self) -> bool:
        """Whether our token is an administrator's, and may say so. Raises GitLabDenied where it is not accepted."""
        try:
            row = await self._call(lambda: self._gitlab.http_get("/user", **_NO_WAIT))
        except InsufficientScope:
            return False
        return read(row, USER, "who we are").get("is_admin") is True

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the data of a GraphQL query. Raises GitLabRefused if there are `errors`, also beside some data."""
        body = {"query": query, "variables": dict(variables)}
        options = _NO_WAIT | {"extra_headers": self._bearer}
        answer = await self._call(lambda: self._gitlab.http_post(self._graphql, post_data=body, **options))
        read(answer, GRAPHQL, "a GraphQL query")
        if errors := answer.get("errors"):
            raise GitLabRefused(f"GraphQL: {'; '.join(str(error.get('message')) for error in errors)}")
        data: Mapping[str, Any] = answer.get("data") or {}
        return data

    async def pending_jobs(self, project: str) -> list[PendingJob]:
        """Return a project's jobs with status pending, also those a runner has taken and not yet acknowledged."""
        rows = await self._list(
            f"/projects/{quote(project, safe='')}/jobs",
            {"scope[]": "pending"},
            keyset="project jobs",
        )
        return [job for row in rows if (job := pending_job(project, row)) is not None]

    async def running_jobs(self, runner_id: int) -> dict[int, int]:
        """Return the jobs that a runner runs, over all its managers, each with its project's id."""
        rows = await self._list(f"/runners/{runner_id}/jobs", {"status": "running"})
        return {row["id"]: row["project"]["id"] for row in read_all(rows, RUNNING, "the jobs of a runner")}

    async def manager_of(self, project_id: int, job_id: int) -> str:
        """Return the system id of the manager that has a job; empty if none has, or GitLab does not say."""
        row = await self._call(lambda: self._gitlab.http_get(f"/projects/{project_id}/jobs/{job_id}", **_NO_WAIT))
        return str((read(row, JOB, "a job").get("runner_manager") or {}).get("system_id") or "")

    async def is_busy(self, runner_id: int, system_id: str) -> bool:
        """Whether the manager with this system id runs a job of this runner. GitLab knows it from its first call on."""
        query = {"status": "running", "system_id": system_id}
        try:
            return bool(await self._list(f"/runners/{runner_id}/jobs", query))
        except GitLabMissing:
            return False

    async def find_runners(self, scope: str, description: str) -> list[int]:
        """Return the ids of all runners with exactly this description, oldest first."""
        kind, _, number = scope.partition(":")
        path = "/runners/all" if kind == "instance" else f"/{kind}s/{number}/runners"
        rows = await self._list(path, {"type": _RUNNER_SCOPES[kind]})
        runners = read_all(rows, RUNNER, "the list of runners")
        return sorted(row["id"] for row in runners if row.get("description") == description)

    async def create_runner(self, scope: str, spec: RunnerSpec) -> Registered:
        """Create a runner. Not tried again: look with `find_runners` after a failure."""
        kind, _, number = scope.partition(":")
        body = spec.body() | {"runner_type": _RUNNER_SCOPES[kind]} | ({f"{kind}_id": int(number)} if number else {})
        row = await self._once(lambda: self._gitlab.http_post("/user/runners", post_data=body, **_NO_WAIT))
        read(row, CREATED, "the creation of a runner")
        return Registered(row["id"], SecretStr(row["token"]))

    async def runner(self, runner_id: int) -> Mapping[str, Any]:
        """Return what GitLab has on a runner. Raises GitLabMissing."""
        row = await self._call(lambda: self._gitlab.http_get(f"/runners/{runner_id}", **_NO_WAIT))
        found: Mapping[str, Any] = read(row, RUNNER, "a runner")
        return found

    async def update_runner(self, runner_id: int, spec: RunnerSpec) -> None:
        """Make a runner what `spec` says."""
        await self._call(lambda: self._gitlab.http_put(f"/runners/{runner_id}", post_data=spec.body(), **_NO_WAIT))

    async def set_paused(self, runner_id: int, *, is_paused: bool) -> None:
        """Let a runner get no more jobs, or get them again. What it runs goes on."""
        body = {"paused": is_paused}
        await self._call(lambda: self._gitlab.http_put(f"/runners/{runner_id}", post_data=body, **_NO_WAIT))

    async def delete_runner(self, runner_id: int) -> None:
        """Delete a runner and its tokens."""
        await self._call(lambda: self._gitlab.http_delete(f"/runners/{runner_id}", **_NO_WAIT))

    async def reset_token(self, runner_id: int) -> Registered:
        """Give a runner a new token; the old one stops working at once. Raises GitLabMissing."""
        path = f"/runners/{runner_id}/reset_authentication_token"
        row = await self._call(lambda: self._gitlab.http_post(path, **_NO_WAIT))
        return Registered(runner_id, SecretStr(read(row, TOKEN, "a new token")["token"]))

    async def verify(self, token: SecretStr, system_id: str, info: Mapping[str, Any]) -> int:
        """Show that a runner is alive, as its manager `system_id`, and return the runner's id.

        Raises RunnerTokenRejected. `system_id` is never a pod's own: GitLab would take our `info` for that pod's.
        """
        body = {"token": token.get_secret_value(), "system_id": system_id, "info": dict(info)}
        try:
            row = await self._call(lambda: self._gitlab.http_post("/runners/verify", post_data=body, **_NO_WAIT))
        except GitLabDenied as error:
            raise RunnerTokenRejected(f"GitLab rejects the runner's token: {error}") from error
        return int(read(row, ROW, "a sign of life")["id"])

    async def delete_manager(self, token: SecretStr, system_id: str) -> None:
        """Forget a manager. One that is not there is fine."""
        body = {"token": token.get_secret_value(), "system_id": system_id}
        try:
            await self._call(lambda: self._gitlab.http_delete("/runners/managers", post_data=body, **_NO_WAIT))
        except GitLabMissing:
            return
        except GitLabDenied as error:
            raise RunnerTokenRejected(f"GitLab rejects the runner's token: {error}") from error

    async def _list(self, path: str, query: Mapping[str, str], *, keyset: str = "") -> list[dict[str, Any]]:
        """Return all rows of a list, each once. `keyset` names the kind of list if it may have keyset pages."""
        if keyset and keyset not in self._without_keyset:
            try:
                return await self._all_pages(path, {**query, **_KEYSET})
            except GitLabNotOffered:
                self._without_keyset.add(keyset)
        rows = await self._all_pages(path, query)
        # A row that moved from one offset page to the next while we read is in both.
        return list({row["id"]: row for row in rows}.values())

    async def _all_pages(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        def all_rows() -> list[Any]:
            rows = self._gitlab.http_list(path, query_data=dict(query), iterator=True, **_NO_WAIT)
            return list(islice(rows, _ROWS_MAX + 1))

        found = await self._call(all_rows)
        if len(found) > _ROWS_MAX:
            raise GitLabUnreadable(f"GitLab's list {path} has more than {_ROWS_MAX} rows")
        return read_all(found, ROW, f"the list {path}")

    async def _call(self, function: Callable[[], T]) -> Any:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(GitLabUnavailable),
            stop=stop_after_attempt(_ATTEMPTS_MAX),
            wait=wait_random_exponential(multiplier=0.2, max=_RETRY_SECONDS_MAX),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                return await self._once(function)
        raise AssertionError("tenacity returns or raises")

    async def _once(self, function: Callable[[], T]) -> Any:
        async with self._one_at_a_time:
            self._retry_after_seconds = 0.0
            try:
                return await asyncio.to_thread(function)
            except requests.RequestException as error:
                raise GitLabUnavailable(f"no answer from GitLab: {type(error).__name__}") from error
            except LibraryError as error:
                raise self._translated(error) from error
            except _MALFORMED as error:
                raise GitLabUnreadable(f"GitLab's answer cannot be read: {type(error).__name__}") from error

    def _translated(self, error: LibraryError) -> GitLabError:
        message = f"{error.response_code}: {error.error_message}"
        match error.response_code:
            case 403 if "insufficient_scope" in str(error.response_body):
                return InsufficientScope(message)
            case 401 | 403:
                return GitLabDenied(message)
            case 405:
                return GitLabNotOffered(message)
            case 404:
                return GitLabMissing(message)
            case code if code is None or code in _PASSING or code >= 500:
                return GitLabUnavailable(message, self._retry_after_seconds)
            case _:
                return GitLabError(message)

    def _note_retry_after(self, response: requests.Response, *_: object, **__: object) -> None:
        self.requests_sent += 1
        seconds = response.headers.get("Retry-After", "")
        self._retry_after_seconds = float(min(whole(seconds), _RETRY_AFTER_SECONDS_MAX))


def _paths(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [row["path_with_namespace"] for row in read_all(rows, PROJECT, "the list of projects")]
