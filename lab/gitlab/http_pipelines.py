"""REST for pipelines and jobs: listed, read, started, canceled, retried, played; traces and CI lint."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from lab.gitlab import access, artifacts, jobs, pipelines
from lab.gitlab.ci.spec import JobSpec
from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import Invalid, Missing, NotFound, Unauthorized
from lab.gitlab.model import Commit, Job, Pipeline, Project
from lab.gitlab.paging import Keyset, page
from lab.gitlab.progress import status_of
from lab.gitlab.roles import Role
from lab.gitlab.shell import Parameters, in_project, job_of, number_of, parameters, project_of, shell_of
from lab.gitlab.states import JobStatus
from lab.gitlab.views import job_view, pipeline_view


def _scopes(asked: Parameters) -> set[str]:
    scopes = set(asked.words("scope") or ())
    unknown = scopes - set(JobStatus)
    if unknown:
        raise Missing("scope does not have a valid value")
    return scopes


async def list_jobs(request: web.Request) -> web.Response:
    """Newest first, earlier attempts too; no totals, as in GitLab; keyset pages on demand."""
    project, asked, state = project_of(request), await parameters(request), shell_of(request).state
    scopes = _scopes(asked)
    chosen = [
        job
        for job in sorted(state.jobs.values(), key=lambda job: -job.id)
        if job.project is project and (not scopes or job.status in scopes)
    ]
    by_id: Keyset[Job] = Keyset("Ci::Build", lambda job: job.id)
    return page(request, chosen, lambda job: job_view(state, job), with_total=False, keyset=by_id)


async def list_pipeline_jobs(request: web.Request) -> web.Response:
    pipeline, state = _pipeline(request), shell_of(request).state
    asked = await parameters(request)
    scopes = _scopes(asked)
    found = pipeline.jobs if asked.boolean("include_retried") else pipeline.current_jobs
    chosen = [job for job in sorted(found, key=lambda job: -job.id) if not scopes or job.status in scopes]
    return page(request, chosen, lambda job: job_view(state, job))


async def get_job(request: web.Request) -> web.Response:
    return _job_response(request, job_of(request), HTTPStatus.OK)


def _job_response(request: web.Request, job: Job, status: HTTPStatus = HTTPStatus.CREATED) -> web.Response:
    return web.json_response(job_view(shell_of(request).state, job), status=status)


async def get_trace(request: web.Request) -> web.Response:
    trace = bytes(job_of(request).trace)
    return web.Response(body=trace, content_type="text/plain", charset="utf-8")


async def get_own_job(request: web.Request) -> web.Response:
    """The job whose token is shown."""
    state = shell_of(request).state
    job = jobs.by_token(state, request.headers.get("JOB-TOKEN", ""))
    if job is None:
        raise NotFound("Job") if access.find_token(state, request.headers) else Unauthorized()
    return _job_response(request, job, HTTPStatus.OK)


async def cancel_job(request: web.Request) -> web.Response:
    force = (await parameters(request)).boolean("force") is True
    job = job_of(request, access.API, Role.MAINTAINER if force else Role.DEVELOPER)
    jobs.cancel(shell_of(request).state, job, force=force)
    return _job_response(request, job)


async def retry_job(request: web.Request) -> web.Response:
    return _job_response(request, jobs.retry(shell_of(request).state, job_of(request, access.API, Role.DEVELOPER)))


async def play_job(request: web.Request) -> web.Response:
    job = job_of(request, access.API, Role.DEVELOPER)
    jobs.play(shell_of(request).state, job)
    return _job_response(request, job, HTTPStatus.OK)


def _pipeline(request: web.Request, scopes: tuple[str, ...] = access.READ_API, least: Role = Role.REPORTER) -> Pipeline:
    project = project_of(request, scopes, least)
    return shell_of(request).state.pipeline(project, number_of(request, "pipeline"))


async def list_pipelines(request: web.Request) -> web.Response:
    project, asked, state = project_of(request), await parameters(request), shell_of(request).state
    wanted = {key: asked.text(key) for key in ("ref", "sha", "status", "source") if asked.text(key)}
    views = [pipeline_view(state.site, p) for p in reversed(state.pipelines.values()) if p.project is project]
    chosen = [view for view in views if all(view[key] == value for key, value in wanted.items())]
    return page(request, chosen, lambda view: view)


async def get_pipeline(request: web.Request) -> web.Response:
    pipeline = _pipeline(request)
    return web.json_response(pipeline_view(shell_of(request).state.site, pipeline))


async def cancel_pipeline(request: web.Request) -> web.Response:
    pipeline = _pipeline(request, access.API, Role.DEVELOPER)
    pipelines.cancel(shell_of(request).state, pipeline)
    return web.json_response(pipeline_view(shell_of(request).state.site, pipeline))


async def retry_pipeline(request: web.Request) -> web.Response:
    pipeline = _pipeline(request, access.API, Role.DEVELOPER)
    pipelines.retry(shell_of(request).state, pipeline)
    return web.json_response(pipeline_view(shell_of(request).state.site, pipeline), status=HTTPStatus.CREATED)


async def delete_pipeline(request: web.Request) -> web.Response:
    pipeline, state = _pipeline(request, access.API, Role.OWNER), shell_of(request).state
    if status_of(pipeline) in ("running", "canceling"):
        pipelines.cancel(state, pipeline)
    del state.pipelines[pipeline.id]
    for job in pipeline.jobs:
        artifacts.remove(state, job)
        state.jobs.pop(job.id, None)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def create_pipeline(request: web.Request) -> web.Response:
    project, shell = project_of(request, access.API, Role.DEVELOPER), shell_of(request)
    body = await parameters(request)
    commit, is_tag = await _commit_at(request, project, body.required("ref"))
    trigger = pipelines.Trigger(body.text("ref"), is_tag, "api", _variables(body.values.get("variables")))
    text = await shell.repositories.ci_text(project.id, commit.sha)
    pipeline = pipelines.create_or_refuse(shell.state, project, commit, trigger, text)
    await shell.repositories.keep(project.id, pipeline.id, commit.sha)
    return web.json_response(pipeline_view(shell.state.site, pipeline), status=HTTPStatus.CREATED)


async def _commit_at(request: web.Request, project: Project, ref: str) -> tuple[Commit, bool]:
    """The commit of a branch or tag, and whether it is a tag."""
    repositories = shell_of(request).repositories
    refs = await repositories.refs(project.id)
    for full in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
        commit = await repositories.commit(project.id, full) if full in refs else None
        if commit is not None:
            return commit, full.startswith("refs/tags/")
    raise Invalid({"base": ["Reference not found"]})


def _variables(value: object) -> tuple[Variable, ...]:
    rows = value if isinstance(value, list) else []
    return tuple(
        Variable(str(row["key"]), str(row.get("value", "")), public=False, file=row.get("variable_type") == "file")
        for row in rows
        if isinstance(row, dict) and "key" in row
    )


async def lint(request: web.Request) -> web.Response:
    """The text sent (POST), or the project's own at a ref (GET)."""
    project, shell, body = project_of(request), shell_of(request), await parameters(request)
    ref = body.text("ref") or body.text("dry_run_ref") or body.text("content_ref") or project.default_branch
    commit = await shell.repositories.commit(project.id, ref) or Commit(sha="0" * 40)
    text = (
        body.text("content") if request.method == "POST" else await shell.repositories.ci_text(project.id, commit.sha)
    )
    if not text:
        raise Missing("content is missing") if request.method == "POST" else NotFound()
    errors, found = pipelines.lint(shell.state, project, commit, pipelines.Trigger(ref), text)
    answer: dict[str, object] = {
        "valid": not errors,
        "errors": errors,
        "warnings": [],
        "includes": [],
        "merged_yaml": text,
    }
    if body.boolean("include_jobs"):
        answer["jobs"] = [_lint_view(spec) for spec in found]
    return web.json_response(answer)


def _lint_view(spec: JobSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "stage": spec.stage,
        "before_script": list(spec.before_script),
        "script": list(spec.script),
        "after_script": list(spec.after_script),
        "tag_list": list(spec.tags),
        "environment": None,
        "when": spec.when,
        "allow_failure": spec.may_fail,
        "needs": None
        if spec.needs is None
        else [{"name": need.job, "artifacts": need.artifacts} for need in spec.needs],
    }


ROUTES = [
    web.get("/api/v4/job", get_own_job),
    web.get(in_project("/jobs"), list_jobs),
    web.get(in_project(r"/jobs/{job:\d+}"), get_job),
    web.get(in_project(r"/jobs/{job:\d+}/trace"), get_trace),
    web.post(in_project(r"/jobs/{job:\d+}/cancel"), cancel_job),
    web.post(in_project(r"/jobs/{job:\d+}/retry"), retry_job),
    web.post(in_project(r"/jobs/{job:\d+}/play"), play_job),
    web.get(in_project("/pipelines"), list_pipelines),
    web.post(in_project("/pipeline"), create_pipeline),
    web.get(in_project(r"/pipelines/{pipeline:\d+}"), get_pipeline),
    web.delete(in_project(r"/pipelines/{pipeline:\d+}"), delete_pipeline),
    web.get(in_project(r"/pipelines/{pipeline:\d+}/jobs"), list_pipeline_jobs),
    web.post(in_project(r"/pipelines/{pipeline:\d+}/cancel"), cancel_pipeline),
    web.post(in_project(r"/pipelines/{pipeline:\d+}/retry"), retry_pipeline),
    web.get(in_project("/ci/lint"), lint),
    web.post(in_project("/ci/lint"), lint),
]
