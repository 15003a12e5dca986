"""The git repositories on disk, all through the `git` program: made bare, served over smart HTTP, read at a commit.

`git http-backend` speaks the protocol; this file only starts it and looks at refs before and after a push. A ref
`refs/pipelines/<id>` keeps each pipeline's commit fetchable after its branch has moved on, as GitLab does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from lab.gitlab.model import Commit

NO_SHA = "0" * 40
CONFIG_FILE = ".gitlab-ci.yml"
# The user's and machine's git configuration must not change how the server behaves.
_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "LC_ALL": "C"}
_CONFIG = (
    "http.receivepack=true",
    "uploadpack.allowReachableSHA1InWant=true",
    "receive.advertisePushOptions=true",
    "gc.auto=0",
)


class GitError(Exception):
    """git itself failed; the message is its standard error."""


@dataclass(frozen=True, slots=True)
class CgiRequest:
    """One request as `git http-backend` wants it; `path` is below the repository, such as info/refs."""

    method: str
    path: str
    query: str
    content_type: str
    protocol: str
    body: bytes


class Repositories:
    """All repositories, by project id: a project that moves keeps its history."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pushes: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    def pushing(self, project_id: int) -> asyncio.Lock:
        """Held from before a push until its pipelines exist, so that no two pushes claim the same new commit."""
        return self._pushes[project_id]

    def path(self, project_id: int) -> Path:
        return self._directory / f"{project_id}.git"

    async def create(self, project_id: int, default_branch: str) -> None:
        path = self.path(project_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        await self._git(None, "init", "--quiet", "--bare", f"--initial-branch={default_branch}", str(path))
        for setting in _CONFIG:
            await self._git(project_id, "config", *setting.split("="))

    def delete(self, project_id: int) -> None:
        shutil.rmtree(self.path(project_id), ignore_errors=True)

    async def refs(self, project_id: int) -> dict[str, str]:
        """Branches and tags -> the commit they point at (an annotated tag's commit, not the tag object)."""
        pattern = "--format=%(refname) %(objectname) %(*objectname)"
        listing = await self._git(project_id, "for-each-ref", pattern, "refs/heads", "refs/tags")
        rows = [line.split() for line in listing.splitlines()]
        return {row[0]: row[-1] for row in rows}

    async def commit(self, project_id: int, revision: str, before: str = NO_SHA) -> Commit | None:
        """The commit a name or sha stands for, None if there is none; with paths changed since `before` if known."""
        try:
            sha = (await self._git(project_id, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")).strip()
        except GitError:
            return None
        shown = await self._git(project_id, "show", "--no-patch", "--format=%an%x00%ae%x00%cI%x00%B", sha)
        name, email, date, message = shown.split("\0", 3)
        message = message.strip("\n")
        return Commit(
            sha=sha,
            title=message.partition("\n")[0],
            message=message,
            author_name=name,
            author_email=email,
            created_at=date,
            before_sha=before,
            changed_paths=await self._changed_paths(project_id, before, sha),
        )

    async def _changed_paths(self, project_id: int, before: str, sha: str) -> frozenset[str] | None:
        if before == NO_SHA:
            return None
        listing = await self._git(project_id, "diff", "--name-only", "-z", before, sha)
        return frozenset(filter(None, listing.split("\0")))

    async def ci_text(self, project_id: int, sha: str) -> str | None:
        """The `.gitlab-ci.yml` at a commit, None when it has none."""
        try:
            return await self._git(project_id, "show", f"{sha}:{CONFIG_FILE}")
        except GitError:
            return None

    async def keep(self, project_id: int, pipeline_id: int, sha: str) -> None:
        """Keeps the pipeline's commit reachable."""
        await self._git(project_id, "update-ref", f"refs/pipelines/{pipeline_id}", sha)

    async def _git(self, project_id: int | None, *arguments: str) -> str:
        where = () if project_id is None else ("--git-dir", str(self.path(project_id)))
        process = await asyncio.create_subprocess_exec(
            "git",
            *where,
            *arguments,
            env=_ENVIRONMENT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise GitError(errors.decode(errors="replace").strip())
        return output.decode(errors="replace")

    async def serve(self, project_id: int, request: CgiRequest) -> AsyncIterator[bytes]:
        """What `git http-backend` answers: a CGI head and body, in pieces."""
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=self._cgi_environment(project_id, request),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(_feed(process.stdin, request.body))
        try:
            while piece := await process.stdout.read(65536):
                yield piece
        finally:
            if process.returncode is None and not process.stdout.at_eof():
                process.kill()
            await feeding
            await process.wait()

    def _cgi_environment(self, project_id: int, request: CgiRequest) -> dict[str, str]:
        return {
            **_ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self._directory.resolve()),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{project_id}.git/{request.path}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query,
            "CONTENT_TYPE": request.content_type,
            "CONTENT_LENGTH": str(len(request.body)),
            "REMOTE_USER": "root",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": request.protocol,
        }


async def _feed(stdin: asyncio.StreamWriter, body: bytes) -> None:
    try:
        stdin.write(body)
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # git has read enough; its answer says what was wrong
    finally:
        stdin.close()
