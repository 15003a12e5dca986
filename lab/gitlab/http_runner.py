"""The runner protocol under /api/v4: verify, request, update, trace, and the runner's own goodbye.

`jobs/request` is held without looking again and again: a runner that knows the queue's value waits for the bell, and
is answered as soon as something changed (GitLab's Workhorse answers 204 then and lets the runner ask again; we answer
with the job at once).
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

from aiohttp import web

from lab.gitlab import jobs, matching, runners
from lab.gitlab.errors import GitLabError, Missing
from lab.gitlab.model import Job
from lab.gitlab.payload import job_payload
from lab.gitlab.shell import Parameters, Shell, number_of, parameters, shell_of
from lab.gitlab.views import runner_token_view

TRACE_INTERVAL_SECONDS = 3  # what GitLab asks for while somebody watches the job; as recorded
_CONTENT_RANGE = re.compile(r"^(\d+)-(\d*)$")


class NotEnabled(GitLabError):
    status = HTTPStatus.NOT_IMPLEMENTED


class GoneForGood(GitLabError):
    status = HTTPStatus.GONE


async def verify(request: web.Request) -> web.Response:
    state, body = shell_of(request).state, await parameters(request)
    runner = runners.by_token(state, body.required("token"))
    runners.heartbeat(state, runner, body.text("system_id"), body.hash("info"))
    return web.json_response({"id": runner.id, **runner_token_view(runner)})


async def request_job(request: web.Request) -> web.Response:
    shell, body = shell_of(request), await parameters(request)
    job = _take(shell, body)
    ends = asyncio.get_running_loop().time() + shell.long_poll_seconds
    while job is None and _knows_queue(shell, body) and request.transport is not None:
        left = ends - asyncio.get_running_loop().time()
        if left <= 0 or not await shell.bell.rung(left):
            break
        job = _take(shell, body)
    if job is None:
        runner = runners.by_token(shell.state, body.text("token"))
        return web.Response(status=HTTPStatus.NO_CONTENT, headers={"X-GitLab-Last-Update": runner.queue_value})
    return web.json_response(_payload(shell, job), status=HTTPStatus.CREATED)


def _take(shell: Shell, body: Parameters) -> Job | None:
    return jobs.request(shell.state, body.text("token"), body.text("system_id"), body.hash("info"))


def _knows_queue(shell: Shell, body: Parameters) -> bool:
    """Whether the runner has seen the queue as it is; otherwise it is answered at once with the new value."""
    runner = runners.by_token(shell.state, body.text("token"))
    return not runner.is_paused and body.text("last_update") == runner.queue_value


def _payload(shell: Shell, job: Job) -> dict[str, object]:
    waited = shell.state.clock() - (job.queued_at or job.created_at)
    size = len(matching.queue_of(job.runner, shell.state.jobs.values())) if job.runner else 0
    return job_payload(shell.state.site, job, waited.total_seconds(), size)


async def update_job(request: web.Request) -> web.Response:
    shell, body = shell_of(request), await parameters(request)
    token = request.headers.get("JOB-TOKEN") or body.text("token")
    job = jobs.authenticate(shell.state, number_of(request, "job"), token)
    output = body.hash("output")
    size = output.get("bytesize")
    change = jobs.Update(
        state=body.text("state"),
        failure_reason=body.text("failure_reason"),
        exit_code=body.number("exit_code"),
        trace_checksum=str(output.get("checksum") or body.text("checksum")),
        trace_bytes=size if isinstance(size, int) else None,
    )
    jobs.update(shell.state, job, change)
    return web.json_response(int(HTTPStatus.OK), headers=_job_headers(job))


def _job_headers(job: Job) -> dict[str, str]:
    return {"Job-Status": job.status, "X-GitLab-Trace-Update-Interval": str(TRACE_INTERVAL_SECONDS)}


async def append_trace(request: web.Request) -> web.Response:
    shell = shell_of(request)
    job = jobs.authenticate(shell.state, number_of(request, "job"), request.headers.get("JOB-TOKEN", ""))
    content_range = request.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.match(content_range)
    if match is None:
        raise Missing("400 Missing header Content-Range")
    data = await request.read()
    accepted = jobs.append_trace(job, int(match[1]), data)
    headers = {**_job_headers(job), "Range": f"0-{len(job.trace)}"}
    if not accepted:
        return web.Response(
            status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers, text="416 Range Not Satisfiable"
        )
    return web.json_response(int(HTTPStatus.ACCEPTED), status=HTTPStatus.ACCEPTED, headers=headers)


async def delete_runner(request: web.Request) -> web.Response:
    state, body = shell_of(request).state, await parameters(request)
    runners.delete(state, runners.by_token(state, body.required("token")))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def delete_manager(request: web.Request) -> web.Response:
    state, body = shell_of(request).state, await parameters(request)
    runners.delete_manager(runners.by_token(state, body.required("token")), body.text("system_id"))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def reset_own_token(request: web.Request) -> web.Response:
    state, body = shell_of(request).state, await parameters(request)
    runner = runners.by_token(state, body.required("token"))
    runners.reset_token(state, runner)
    return web.json_response(runner_token_view(runner), status=HTTPStatus.CREATED)


async def discover_router(request: web.Request) -> web.Response:
    raise NotEnabled("501 Not Implemented - the job router is not enabled")


async def register_legacy(request: web.Request) -> web.Response:
    raise GoneForGood("410 Gone - registration tokens are not supported; create the runner with POST /user/runners")


ROUTES = [
    web.post("/api/v4/runners/verify", verify),
    web.post("/api/v4/runners/reset_authentication_token", reset_own_token),
    web.get("/api/v4/runners/router/discovery", discover_router),
    web.post("/api/v4/runners", register_legacy),
    web.delete("/api/v4/runners/managers", delete_manager),
    web.delete("/api/v4/runners", delete_runner),
    web.post("/api/v4/jobs/request", request_job),
    web.put(r"/api/v4/jobs/{job:\d+}", update_job),
    web.patch(r"/api/v4/jobs/{job:\d+}/trace", append_trace),
]
