"""Git's smart HTTP protocol, and what a push sets off: one pipeline per branch or tag that has a `.gitlab-ci.yml`.

The pipeline exists when `git push` returns. Jobs fetch with their token; only people push.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from loguru import logger

from lab.gitlab import pipelines
from lab.gitlab.access import Credentials, basic_credentials
from lab.gitlab.errors import NotFound
from lab.gitlab.model import Project
from lab.gitlab.repositories import NO_SHA, CgiRequest
from lab.gitlab.shell import Shell, shell_of

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="GitLab"'}
Refs = dict[str, str]


async def serve(request: web.Request) -> web.StreamResponse:
    shell, service = shell_of(request), request.match_info["service"]
    credentials = basic_credentials(shell.state, request.headers.get("Authorization", ""))
    if credentials is None:
        denied = "HTTP Basic: Access denied. Use a personal access token, or gitlab-ci-token with a job's token.\n"
        return web.Response(status=HTTPStatus.UNAUTHORIZED, text=denied, headers=_CHALLENGE)
    project = shell.state.project(request.match_info["project"].removesuffix(".git"))
    is_push = "git-receive-pack" in (service, request.query.get("service"))
    if not _may(credentials, project, is_push):
        return web.Response(status=HTTPStatus.FORBIDDEN, text="You are not allowed to access this project's code.\n")
    if service != "git-receive-pack":
        return await _pass_through(request, shell, project)
    pushed = await _cgi(request)
    async with shell.repositories.pushing(project.id):
        before = await shell.repositories.refs(project.id)
        body = [piece async for piece in shell.repositories.serve(project.id, pushed)]
        await _start_pipelines(shell, project, before, await shell.repositories.refs(project.id))
    return await _answer(request, body)


def _may(credentials: Credentials, project: Project, is_push: bool) -> bool:
    return credentials.may_push_code(project) if is_push else credentials.may_pull_code(project)


async def _cgi(request: web.Request) -> CgiRequest:
    return CgiRequest(
        method=request.method,
        path=request.match_info["service"],
        query=request.query_string,
        content_type=request.headers.get("Content-Type", ""),
        protocol=request.headers.get("Git-Protocol", ""),
        body=await request.read(),
    )


async def _pass_through(request: web.Request, shell: Shell, project: Project) -> web.StreamResponse:
    head, response = b"", None
    async for piece in shell.repositories.serve(project.id, await _cgi(request)):
        if response is None:
            head += piece
            if b"\r\n\r\n" not in head:
                continue
            response, piece = _response_head(head)  # noqa: PLW2901 - what is left of the piece is body
            await response.prepare(request)
        await response.write(piece)
    if response is None:
        raise NotFound("Repository")
    await response.write_eof()
    return response


async def _answer(request: web.Request, pieces: list[bytes]) -> web.StreamResponse:
    if not pieces:
        raise NotFound("Repository")
    response, body = _response_head(b"".join(pieces))
    await response.prepare(request)
    await response.write(body)
    await response.write_eof()
    return response


def _response_head(output: bytes) -> tuple[web.StreamResponse, bytes]:
    """The response that a CGI head asks for, and the body bytes that came with it."""
    head, _, body = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.StreamResponse(status=status, headers=headers), body


async def _start_pipelines(shell: Shell, project: Project, before: Refs, after: Refs) -> None:
    for full, sha in after.items():
        if before.get(full) != sha:
            await _start_pipeline(shell, project, full, before.get(full, NO_SHA))


async def _start_pipeline(shell: Shell, project: Project, full: str, before: str) -> None:
    commit = await shell.repositories.commit(project.id, full, before)
    text = await shell.repositories.ci_text(project.id, commit.sha) if commit else None
    if commit is None or text is None:
        return
    is_tag = full.startswith("refs/tags/")
    ref = full.removeprefix("refs/tags/" if is_tag else "refs/heads/")
    pipeline = pipelines.create(shell.state, project, commit, pipelines.Trigger(ref, is_tag), text)
    if pipeline is not None:
        await shell.repositories.keep(project.id, pipeline.id, commit.sha)
        logger.info(
            "pipeline created", project=project.full_path, pipeline=pipeline.id, ref=ref, jobs=len(pipeline.jobs)
        )


_SERVICE = "{project:.+}/{service:info/refs|git-upload-pack|git-receive-pack}"
ROUTES = [web.get(f"/{_SERVICE}", serve), web.post(f"/{_SERVICE}", serve)]
