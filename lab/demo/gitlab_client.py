"""The few requests of GitLab's REST API that the demo makes. Works with any GitLab; the lab's is on this machine."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

Json = dict[str, Any]

# Everything is on this machine: whatever takes longer than this has died.
_TIMEOUT = aiohttp.ClientTimeout(total=20)


class GitLabFailed(Exception):
    """GitLab gave no useful answer; the message has the request and what came back."""


class GitLabClient:
    """One GitLab, as the owner of a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self.url = session, url

    async def create_project(self, name: str) -> Json:
        """Make an empty project of the user's own."""
        return dict(await self._json("POST", "/projects", {"name": name, "path": name}))

    async def project(self, path: str) -> Json:
        """A project by its full path."""
        return dict(await self._json("GET", f"/projects/{quote(path, safe='')}"))

    async def metadata(self) -> Json:
        """Version and revision."""
        return dict(await self._json("GET", "/metadata"))

    async def newest_pipeline(self, project: int) -> Json | None:
        """The project's newest pipeline, if it has any."""
        found = await self._json("GET", f"/projects/{project}/pipelines?per_page=1")
        return dict(await self._json("GET", f"/projects/{project}/pipelines/{found[0]['id']}")) if found else None

    async def jobs(self, project: int, pipeline: int) -> list[Json]:
        """A pipeline's jobs in the order of the file, without those that were tried again."""
        found = await self._json("GET", f"/projects/{project}/pipelines/{pipeline}/jobs?per_page=100")
        return sorted(found, key=lambda job: int(job["id"]))

    async def trace(self, project: int, job: int) -> str:
        """A job's log so far."""
        return (await self._body("GET", f"/projects/{project}/jobs/{job}/trace")).decode(errors="replace")

    async def _json(self, method: str, path: str, body: Json | None = None) -> Any:
        return json.loads(await self._body(method, path, body))

    async def _body(self, method: str, path: str, body: Json | None = None) -> bytes:
        try:
            async with self._session.request(method, f"{self.url}/api/v4{path}", json=body) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GitLabFailed(f"GitLab: {method} {path}: {error or type(error).__name__}") from error
        if response.status >= 400:
            raise GitLabFailed(f"GitLab: {method} {path}: {response.status} {content[:300].decode(errors='replace')}")
        return content


@asynccontextmanager
async def gitlab(url: str, token: str) -> AsyncIterator[GitLabClient]:
    """A client for the length of the block."""
    async with aiohttp.ClientSession(headers={"PRIVATE-TOKEN": token}, timeout=_TIMEOUT) as session:
        yield GitLabClient(session, url)
