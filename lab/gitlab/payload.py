"""The JSON of a job as POST /jobs/request hands it to a runner. The job's tags are not in it: a runner never learns
them."""

from __future__ import annotations

from dataclasses import replace

from lab.gitlab.artifacts import ARCHIVE, sources_of
from lab.gitlab.ci.keywords import FAILURE_REASONS
from lab.gitlab.ci.spec import Artifacts
from lab.gitlab.ci.variables import Variable, as_values, expand, expanded
from lab.gitlab.matching import is_protected
from lab.gitlab.model import Job
from lab.gitlab.predefined import instance_variables, job_variables, pipeline_variables, repository_url
from lab.gitlab.state import ROOT_USER_ID, Site

Payload = dict[str, object]
GIT_DEPTH_DEFAULT = 20  # ci_default_git_depth of a new project


def variables_of(site: Site, job: Job) -> tuple[Variable, ...]:
    """All variables of the job, one per name, highest precedence kept, and those in their values filled in."""
    pipeline = job.pipeline
    layers = (
        *job_variables(site, job),
        *pipeline_variables(site, pipeline),
        *instance_variables(site),
        *job.spec.variables,
        *job.project.variables.values(),
        *pipeline.variables,
    )
    kept = {variable.key: variable for variable in layers}
    # A file's place is known to the runner only: `$CERTIFICATE` in a value stays for it to fill in.
    texts = [variable for variable in kept.values() if not variable.file]
    values = expanded(as_values(texts), frozenset(variable.key for variable in texts if variable.raw))
    return tuple(replace(variable, value=values.get(variable.key, variable.value)) for variable in kept.values())


def job_payload(site: Site, job: Job, time_in_queue_seconds: float = 0, queue_size: int = 0) -> Payload:
    """The whole payload for the runner that has just been given the job."""
    variables = variables_of(site, job)
    values = as_values(variables)
    image = job.spec.image
    return {
        "id": job.id,
        "token": job.token,
        "allow_git_fetch": True,
        "job_info": _job_info(job, time_in_queue_seconds, queue_size),
        "git_info": _git_info(site, job, values),
        "runner_info": {"timeout": job.timeout_seconds, "runner_session_url": None},
        "inputs": [],
        "variables": [_variable(variable) for variable in variables],
        "steps": _steps(job),
        "hooks": [],
        "image": None if image is None else {"name": image.name, "entrypoint": image.entrypoint, "ports": []},
        "services": [],
        "artifacts": _artifacts(job.spec.artifacts, values),
        "cache": [],
        "credentials": _credentials(site, job),
        "dependencies": _dependencies(job),
        "features": {
            "trace_sections": True,
            "token_mask_prefixes": ["glpat-", "glrt-", "glcbt-"],
            "failure_reasons": [reason for reason in FAILURE_REASONS if reason != "always"],
        },
    }


def _job_info(job: Job, time_in_queue_seconds: float, queue_size: int) -> Payload:
    project = job.project
    return {
        "id": job.id,
        "name": job.spec.name,
        "stage": job.spec.stage,
        "pipeline_id": job.pipeline.id,
        "project_id": project.id,
        "project_name": project.path,
        "project_full_path": project.full_path,
        "namespace_id": project.group.id,
        "root_namespace_id": project.group.root.id,
        "organization_id": 1,
        "instance_id": "isthmus-lab",
        "user_id": ROOT_USER_ID,
        "time_in_queue_seconds": round(time_in_queue_seconds, 3),
        "project_jobs_running_on_instance_runners_count": "0",
        "queue_size": queue_size,
        "queue_depth": 0,
    }


def _git_info(site: Site, job: Job, values: dict[str, str]) -> Payload:
    pipeline = job.pipeline
    kind, remote = ("tags", "tags") if pipeline.is_tag else ("heads", "remotes/origin")
    depth = values.get("GIT_DEPTH", "")
    kept = f"refs/pipelines/{pipeline.id}"
    return {
        "repo_url": repository_url(site, job),
        "repo_object_format": "sha1",
        "ref": pipeline.ref,
        "sha": pipeline.commit.sha,
        "before_sha": pipeline.commit.before_sha,
        "ref_type": "tag" if pipeline.is_tag else "branch",
        "refspecs": [f"+{kept}:{kept}", f"+refs/{kind}/{pipeline.ref}:refs/{remote}/{pipeline.ref}"],
        "depth": int(depth) if depth.isdigit() else GIT_DEPTH_DEFAULT,
        "protected": is_protected(job),
    }


def _variable(variable: Variable) -> Payload:
    shown: Payload = {
        "key": variable.key,
        "value": variable.value,
        "public": variable.public,
        "masked": variable.masked,
    }
    if variable.file:
        shown["file"] = True
    if variable.raw:
        shown["raw"] = True
    return shown


def _steps(job: Job) -> list[Payload]:
    script = [*job.spec.before_script, *job.spec.script]
    steps = [_step("script", script, job.timeout_seconds, "on_success", allow_failure=False)]
    if job.spec.after_script:
        steps.append(
            _step("after_script", list(job.spec.after_script), job.timeout_seconds, "always", allow_failure=True)
        )
    return steps


def _step(name: str, script: list[str], timeout: int, when: str, *, allow_failure: bool) -> Payload:
    return {"name": name, "script": script, "timeout": timeout, "when": when, "allow_failure": allow_failure}


def _artifacts(artifacts: Artifacts | None, values: dict[str, str]) -> list[Payload] | None:
    if artifacts is None:
        return None
    wanted = [_archive(artifacts, values)] if artifacts.paths or artifacts.untracked else []
    return [*wanted, _junit(artifacts)] if artifacts.junit else wanted


def _junit(artifacts: Artifacts) -> Payload:
    """A report goes up whatever became of the job: failed tests are what it is for."""
    return {
        "name": "junit.xml",
        "paths": list(artifacts.junit),
        "when": "always",
        "artifact_type": "junit",
        "artifact_format": "gzip",
        "expire_in": artifacts.expire_in or None,
    }


def _archive(artifacts: Artifacts, values: dict[str, str]) -> Payload:
    return {
        "name": expand(artifacts.name, values) or None,
        "untracked": artifacts.untracked,
        "paths": list(artifacts.paths),
        "exclude": list(artifacts.exclude),
        "when": artifacts.when,
        "artifact_type": "archive",
        "artifact_format": "zip",
        "expire_in": artifacts.expire_in or None,
    }


def _credentials(site: Site, job: Job) -> list[Payload]:
    if not site.registry:
        return []
    return [{"type": "registry", "url": site.registry, "username": "gitlab-ci-token", "password": job.token}]


def _dependencies(job: Job) -> list[Payload]:
    """Jobs whose artifacts this one gets; it fetches them with its own token."""
    return [
        {
            "id": other.id,
            "name": other.spec.name,
            "token": job.token,
            "artifacts_file": {"filename": archive.filename, "size": archive.size},
        }
        for other in sources_of(job)
        if (archive := other.artifacts.get(ARCHIVE)) is not None
    ]
