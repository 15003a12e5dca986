"""Artifacts over HTTP: sent and fetched by runners under /api/v4/jobs, read and managed under /api/v4/projects.

A runner's upload goes to disk as it arrives. Whoever reads may show a personal token, or the token of a job that is
running in the same project, as scripts do with `$CI_JOB_TOKEN`.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import secrets
import zipfile
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from aiohttp import BodyPartReader, web

from lab.gitlab import access, artifacts, jobs
from lab.gitlab.errors import Forbidden, Invalid, NotFound, Unauthorized
from lab.gitlab.model import Job, Project
from lab.gitlab.roles import Role
from lab.gitlab.shell import Parameters, Shell, in_project, job_of, number_of, parameters, project_of, shell_of
from lab.gitlab.views import job_view

_CHUNK_BYTES = 256 * 1024


async def upload(request: web.Request) -> web.Response:
    shell, asked = shell_of(request), Parameters(dict(request.query))
    job = jobs.authenticate(shell.state, number_of(request, "job"), _job_token(request))
    artifacts.check_type(asked.text("artifact_type", artifacts.ARCHIVE))
    if not request.content_type.startswith("multipart/"):
        raise Invalid("400 Bad request - file is missing")
    fresh = shell.artifacts_dir / f".{secrets.token_hex(8)}.new"
    fresh.parent.mkdir(parents=True, exist_ok=True)
    try:
        sent = await _receive(request, asked, fresh, shell.state.site.artifact_bytes_max)
        if artifacts.add(shell.state, job, sent):
            fresh.replace(shell.artifact_path(job.id, sent.file_type))
    finally:
        fresh.unlink(missing_ok=True)
    return web.json_response(int(HTTPStatus.CREATED), status=HTTPStatus.CREATED)


async def _receive(request: web.Request, asked: Parameters, place: Path, size_max: int) -> artifacts.Upload:
    """The file, written down, with its parameters; those may be in the query or in the form, before or after it."""
    filename, digest, size = "", hashlib.sha256(), 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        if part.name != "file":
            asked.values[part.name or ""] = await part.text()
            continue
        filename = part.filename or "artifacts.zip"
        with place.open("wb") as target:
            while chunk := await part.read_chunk(_CHUNK_BYTES):
                size += len(chunk)
                if size > size_max:
                    raise artifacts.TooLarge("file size has reached maximum size limit")
                digest.update(chunk)
                target.write(chunk)
    if not filename:
        raise Invalid("400 Bad request - file is missing")
    return artifacts.Upload(
        filename,
        size,
        digest.hexdigest(),
        asked.text("artifact_type", artifacts.ARCHIVE),
        asked.text("artifact_format", "zip"),
        asked.text("expire_in"),
    )


async def authorize(request: web.Request) -> web.Response:
    state, asked = shell_of(request).state, await parameters(request)
    jobs.authenticate(state, number_of(request, "job"), _job_token(request))
    artifacts.check_type(asked.text("artifact_type", artifacts.ARCHIVE))
    artifacts.check_size(state, asked.number("filesize"))
    return web.json_response({"TempPath": ""})


def _job_token(request: web.Request) -> str:
    return request.headers.get("JOB-TOKEN") or request.query.get("token", "")


async def download_for_job(request: web.Request) -> web.StreamResponse:
    """The archive of any job of the project, for a job that is running in it."""
    shell = shell_of(request)
    asking = jobs.by_token(shell.state, _job_token(request))
    if asking is None:
        raise Unauthorized()
    wanted = shell.state.jobs.get(number_of(request, "job"))
    if wanted is None or wanted.project is not asking.project:
        raise Forbidden()
    return _archive(shell, wanted)


def _archive(shell: Shell, job: Job) -> web.StreamResponse:
    found = artifacts.needed_archive(shell.state, job)
    disposition = f'attachment; filename="{found.filename}"'
    headers = {"Content-Type": "application/zip", "Content-Disposition": disposition}
    return web.FileResponse(shell.artifact_path(job.id), headers=headers)


def _readable_project(request: web.Request) -> Project:
    """The project, for a reader of it or for a job that is running in it."""
    state = shell_of(request).state
    token = request.headers.get("JOB-TOKEN") or request.query.get("job_token", "")
    if not token:
        return project_of(request)
    job = jobs.by_token(state, token)
    if job is None:
        raise Unauthorized()
    project = state.project(request.match_info["project"])
    if job.project is not project:
        raise NotFound("Project")
    return project


def _readable_job(request: web.Request) -> Job:
    return shell_of(request).state.job(_readable_project(request), number_of(request, "job"))


async def _latest(request: web.Request) -> Job:
    project, asked = _readable_project(request), await parameters(request)
    name = asked.required("job")
    return artifacts.latest(shell_of(request).state, project, request.match_info["ref"], name)


async def download(request: web.Request) -> web.StreamResponse:
    return _archive(shell_of(request), _readable_job(request))


async def download_latest(request: web.Request) -> web.StreamResponse:
    return _archive(shell_of(request), await _latest(request))


async def read_file(request: web.Request) -> web.Response:
    return await _file(request, _readable_job(request))


async def read_latest_file(request: web.Request) -> web.Response:
    return await _file(request, await _latest(request))


async def _file(request: web.Request, job: Job) -> web.Response:
    """One file out of the archive."""
    shell, name = shell_of(request), request.match_info["path"]
    artifacts.needed_archive(shell.state, job)
    if ".." in PurePosixPath(name).parts or name.endswith("/"):
        raise Invalid("400 Bad request")
    content = await asyncio.to_thread(_member, shell.artifact_path(job.id), name)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return web.Response(body=content, content_type=kind)


def _member(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as source:
            return source.read(name)
    except (KeyError, zipfile.BadZipFile):
        raise NotFound() from None


async def keep(request: web.Request) -> web.Response:
    job = job_of(request, access.API, Role.DEVELOPER)
    artifacts.keep(job)
    return web.json_response(job_view(shell_of(request).state, job))


async def delete(request: web.Request) -> web.Response:
    artifacts.remove(shell_of(request).state, job_of(request, access.API, Role.MAINTAINER))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def erase(request: web.Request) -> web.Response:
    job, state = job_of(request, access.API, Role.MAINTAINER), shell_of(request).state
    artifacts.erase(state, job)
    return web.json_response(job_view(state, job), status=HTTPStatus.CREATED)


async def delete_of_project(request: web.Request) -> web.Response:
    """All but what is kept as the latest of its ref."""
    project, state = project_of(request, access.API, Role.MAINTAINER), shell_of(request).state
    for job in state.jobs.values():
        if job.project is project and not artifacts.is_locked(state, job.pipeline):
            artifacts.remove(state, job)
    return web.json_response({"message": "202 Accepted"}, status=HTTPStatus.ACCEPTED)


_JOB = r"/jobs/{job:\d+}"
ROUTES = [
    web.post(rf"/api/v4{_JOB}/artifacts/authorize", authorize),
    web.post(rf"/api/v4{_JOB}/artifacts", upload),
    web.get(rf"/api/v4{_JOB}/artifacts", download_for_job),
    web.get(in_project("/jobs/artifacts/{ref:.+}/download"), download_latest),
    web.get(in_project("/jobs/artifacts/{ref:.+}/raw/{path:.+}"), read_latest_file),
    web.get(in_project(f"{_JOB}/artifacts"), download),
    web.get(in_project(f"{_JOB}/artifacts/{{path:.+}}"), read_file),
    web.post(in_project(f"{_JOB}/artifacts/keep"), keep),
    web.delete(in_project(f"{_JOB}/artifacts"), delete),
    web.post(in_project(f"{_JOB}/erase"), erase),
    web.delete(in_project("/artifacts"), delete_of_project),
]
