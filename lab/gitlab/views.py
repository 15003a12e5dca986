"""REST entities: our records as the JSON that GitLab's API gives for them. Pure; fields GitLab has and the lab has no
value for are null."""

from __future__ import annotations

from datetime import datetime

from lab.gitlab.artifacts import archive_of
from lab.gitlab.matching import ONLINE_WITHIN, STALE_AFTER
from lab.gitlab.model import AccessToken, Commit, Group, Job, Pipeline, Project, Runner, RunnerManager, User
from lab.gitlab.predefined import slug
from lab.gitlab.progress import status_of
from lab.gitlab.state import ROOT_USER_ID, Site, State
from lab.gitlab.states import WITH_RUNNER

Json = dict[str, object]
USER: Json = {"id": ROOT_USER_ID, "username": "root", "name": "Administrator", "state": "active", "is_admin": True}


def user_view(user: User, details: bool = False) -> Json:
    """The short form of lists and creators; with `details` that of GET /user."""
    view: Json = {"id": user.id, "username": user.username, "name": user.name, "state": "active"}
    return {**view, "is_admin": user.is_admin} if details else view


def member_view(user: User, level: int) -> Json:
    return {**user_view(user), "access_level": int(level), "expires_at": None}


def moment(value: datetime | None) -> str | None:
    """ISO 8601 with milliseconds and Z, GitLab's form."""
    return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None


def group_view(group: Group) -> Json:
    parent = None if group.parent is None else group.parent.id
    return {
        "id": group.id,
        "name": group.path,
        "path": group.path,
        "full_path": group.full_path,
        "full_name": group.full_path.replace("/", " / "),
        "kind": group.kind,
        "parent_id": parent,
        "visibility": "private",
    }


def project_view(site: Site, project: Project) -> Json:
    url = f"{site.url}/{project.full_path}"
    prefix = f"{site.registry}/" if site.registry else ""
    return {
        "id": project.id,
        "name": project.name,
        "path": project.path,
        "path_with_namespace": project.full_path,
        "name_with_namespace": f"{project.group.full_path} / {project.name}",
        "description": None,
        "default_branch": project.default_branch,
        "visibility": project.visibility,
        "archived": False,
        "created_at": moment(project.created_at),
        "web_url": url,
        "http_url_to_repo": f"{url}.git",
        "ssh_url_to_repo": "",
        "namespace": group_view(project.group),
        "shared_runners_enabled": project.shared_runners_enabled,
        "build_timeout": project.build_timeout_seconds,
        "jobs_enabled": True,
        "builds_access_level": "enabled",
        "container_registry_enabled": bool(site.registry),
        "container_registry_image_prefix": f"{prefix}{project.registry_path}",
        "keep_latest_artifact": project.keep_latest_artifact,
        "ci_config_path": None,
    }


def token_view(token: AccessToken) -> Json:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "user_id": token.user.id,
        "active": not token.is_revoked,
        "revoked": token.is_revoked,
        "created_at": moment(token.created_at),
        "expires_at": token.expires_at.date().isoformat() if token.expires_at else None,
    }


def runner_token_view(runner: Runner) -> Json:
    """A runner's token as it is shown to its owner, and to the runner itself."""
    return {"token": runner.token, "token_expires_at": moment(runner.token_expires_at)}


def runner_status(contacted_at: datetime | None, now: datetime) -> str:
    """GitLab's four words for it."""
    if contacted_at is None:
        return "never_contacted"
    silent = now - contacted_at
    return "online" if silent < ONLINE_WITHIN else "stale" if silent > STALE_AFTER else "offline"


def runner_view(state: State, runner: Runner, details: bool = False) -> Json:
    """The short form of lists; with `details` that of GET /runners/:id."""
    status = runner_status(runner.contacted_at, state.clock())
    busy = any(job.runner is runner and job.status in WITH_RUNNER for job in state.jobs.values())
    view: Json = {
        "id": runner.id,
        "description": runner.description,
        "ip_address": "127.0.0.1" if runner.contacted_at else None,
        "active": not runner.is_paused,
        "paused": runner.is_paused,
        "is_shared": runner.runner_type == "instance_type",
        "runner_type": runner.runner_type,
        "name": "gitlab-runner" if runner.contacted_at else None,
        "online": status == "online" if runner.contacted_at else None,
        "status": status,
        "job_execution_status": "active" if busy else "idle",
        "created_by": USER,
        "created_at": moment(runner.created_at),
    }
    return {**view, **_runner_details(state, runner)} if details else view


def _runner_details(state: State, runner: Runner) -> Json:
    return {
        "tag_list": list(runner.tags),
        "run_untagged": runner.run_untagged,
        "locked": runner.is_locked,
        "maximum_timeout": runner.maximum_timeout_seconds,
        "access_level": runner.access_level,
        "maintenance_note": runner.maintenance_note or None,
        "contacted_at": moment(runner.contacted_at),
        "token_expires_at": moment(runner.token_expires_at),
        "version": None,
        "revision": None,
        "platform": None,
        "architecture": None,
        "projects": [
            {"id": p.id, "name": p.name, "path_with_namespace": p.full_path}
            for p in state.projects.values()
            if p.id in runner.project_ids
        ],
        "groups": [group_view(runner.group)] if runner.group else [],
    }


def manager_view(state: State, runner: Runner, manager: RunnerManager) -> Json:
    busy = any(j.runner is runner and j.manager is manager and j.status in WITH_RUNNER for j in state.jobs.values())
    return {
        "id": manager.id,
        "system_id": manager.system_id,
        **{key: manager.info.get(key) for key in ("version", "revision", "platform", "architecture")},
        "ip_address": "127.0.0.1",
        "created_at": moment(manager.created_at),
        "contacted_at": moment(manager.contacted_at),
        "status": runner_status(manager.contacted_at, state.clock()),
        "job_execution_status": "active" if busy else "idle",
    }


def commit_view(site: Site, project: Project, commit: Commit) -> Json:
    return {
        "id": commit.sha,
        "short_id": commit.sha[:8],
        "title": commit.title,
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
        "created_at": commit.created_at,
        "web_url": f"{site.url}/{project.full_path}/-/commit/{commit.sha}",
    }


def pipeline_view(site: Site, pipeline: Pipeline) -> Json:
    status = status_of(pipeline)
    return {
        "id": pipeline.id,
        "iid": pipeline.iid,
        "project_id": pipeline.project.id,
        "ref": pipeline.ref,
        "sha": pipeline.commit.sha,
        "before_sha": pipeline.commit.before_sha,
        "tag": pipeline.is_tag,
        "source": pipeline.source,
        "status": status,
        "yaml_errors": pipeline.yaml_errors or None,
        "user": USER,
        "created_at": moment(pipeline.created_at),
        "updated_at": moment(pipeline.updated_at or pipeline.created_at),
        "started_at": moment(pipeline.started_at),
        "finished_at": moment(pipeline.finished_at),
        "duration": _seconds(pipeline.started_at, pipeline.finished_at),
        "detailed_status": {"text": status, "label": status, "group": slug(status)},
        "web_url": f"{site.url}/{pipeline.project.full_path}/-/pipelines/{pipeline.id}",
    }


def job_view(state: State, job: Job) -> Json:
    pipeline, project = job.pipeline, job.project
    short = pipeline_view(state.site, pipeline)
    end = job.finished_at or (state.clock() if job.started_at else None)
    return {
        "id": job.id,
        "name": job.spec.name,
        "stage": job.spec.stage,
        "status": job.status,
        "ref": pipeline.ref,
        "tag": pipeline.is_tag,
        "tag_list": list(job.spec.tags),
        "allow_failure": job.may_fail,
        "failure_reason": job.failure_reason or None,
        "coverage": None,
        "created_at": moment(job.created_at),
        "queued_at": moment(job.queued_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "erased_at": moment(job.erased_at),
        "duration": _seconds(job.started_at, end),
        "queued_duration": _seconds(job.queued_at, job.started_at or job.finished_at or state.clock()),
        "user": USER,
        "commit": commit_view(state.site, project, pipeline.commit),
        "pipeline": {
            key: short[key] for key in ("id", "iid", "project_id", "ref", "sha", "status", "source", "web_url")
        },
        "project": {"ci_job_token_scope_enabled": True},
        "runner": None if job.runner is None else runner_view(state, job.runner),
        "runner_manager": _manager_of(state, job),
        **_artifacts_of(state, job),
        "web_url": f"{state.site.url}/{project.full_path}/-/jobs/{job.id}",
    }


def _artifacts_of(state: State, job: Job) -> Json:
    files: list[Json] = [
        {"file_type": a.file_type, "size": a.size, "filename": a.filename, "file_format": a.file_format}
        for a in job.artifacts.values()
    ]
    if job.trace:
        files.append({"file_type": "trace", "size": len(job.trace), "filename": "job.log", "file_format": None})
    view: Json = {"artifacts": files, "artifacts_expire_at": moment(job.artifacts_expire_at)}
    archive = archive_of(state, job)
    return view if archive is None else {**view, "artifacts_file": {"filename": archive.filename, "size": archive.size}}


def _manager_of(state: State, job: Job) -> Json | None:
    return manager_view(state, job.runner, job.manager) if job.runner and job.manager else None
