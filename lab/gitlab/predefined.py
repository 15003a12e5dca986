"""The predefined CI/CD variables, named and valued as GitLab does, in three layers: site, pipeline, job.

A runner adds its own (`CI_PROJECT_DIR`, `CI_BUILDS_DIR`, `CI_SERVER`, ...). Secrets are masked and not public.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from lab.gitlab.ci.variables import Variable
from lab.gitlab.model import Job, Pipeline
from lab.gitlab.state import ROOT_USER_ID, Site

VERSION = "19.3.0"
REVISION = "isthmus-lab"


def slug(text: str) -> str:
    """GitLab's slug: lower-case, 63 characters, only `0-9a-z-`, no dash at the ends."""
    return re.sub(r"[^a-z0-9]", "-", text.lower())[:63].strip("-")


def instance_variables(site: Site) -> tuple[Variable, ...]:
    """What is the same in every job: the server, the registry, and the administrator's own variables."""
    address = urlsplit(site.url)
    values = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{site.url}/api/v4",
        "CI_API_GRAPHQL_URL": f"{site.url}/api/graphql",
        "CI_SERVER_URL": site.url,
        "CI_SERVER_HOST": address.hostname or "",
        "CI_SERVER_PORT": str(address.port or (443 if address.scheme == "https" else 80)),
        "CI_SERVER_PROTOCOL": address.scheme,
        "CI_SERVER_FQDN": address.netloc,
        "CI_SERVER_NAME": "GitLab",
        "CI_SERVER_VERSION": VERSION,
        "CI_SERVER_VERSION_MAJOR": VERSION.split(".", maxsplit=1)[0],
        "CI_SERVER_VERSION_MINOR": VERSION.split(".")[1],
        "CI_SERVER_VERSION_PATCH": VERSION.split(".")[2],
        "CI_SERVER_REVISION": REVISION,
        "GITLAB_FEATURES": "",
    }
    return (*_variables(values), *site.variables)


def pipeline_variables(site: Site, pipeline: Pipeline) -> tuple[Variable, ...]:
    """What every job of the pipeline shares: project, commit, ref."""
    project, commit = pipeline.project, pipeline.commit
    is_branch = not pipeline.is_tag
    values = {
        "CI_PROJECT_ID": str(project.id),
        "CI_PROJECT_NAME": project.path,
        "CI_PROJECT_TITLE": project.name,
        "CI_PROJECT_PATH": project.full_path,
        "CI_PROJECT_PATH_SLUG": slug(project.full_path),
        "CI_PROJECT_NAMESPACE": project.group.full_path,
        "CI_PROJECT_NAMESPACE_ID": str(project.group.id),
        "CI_PROJECT_ROOT_NAMESPACE": project.group.root.path,
        "CI_PROJECT_URL": f"{site.url}/{project.full_path}",
        "CI_PROJECT_VISIBILITY": project.visibility,
        "CI_DEFAULT_BRANCH": project.default_branch,
        "CI_CONFIG_PATH": ".gitlab-ci.yml",
        "CI_PIPELINE_ID": str(pipeline.id),
        "CI_PIPELINE_IID": str(pipeline.iid),
        "CI_PIPELINE_SOURCE": pipeline.source,
        "CI_PIPELINE_URL": f"{site.url}/{project.full_path}/-/pipelines/{pipeline.id}",
        "CI_PIPELINE_CREATED_AT": pipeline.created_at.isoformat().replace("+00:00", "Z"),
        "CI_COMMIT_SHA": commit.sha,
        "CI_COMMIT_SHORT_SHA": commit.sha[:8],
        "CI_COMMIT_BEFORE_SHA": commit.before_sha,
        "CI_COMMIT_REF_NAME": pipeline.ref,
        "CI_COMMIT_REF_SLUG": slug(pipeline.ref),
        "CI_COMMIT_REF_PROTECTED": str(is_branch and pipeline.ref == project.default_branch).lower(),
        "CI_COMMIT_TITLE": commit.title,
        "CI_COMMIT_MESSAGE": commit.message,
        "CI_COMMIT_DESCRIPTION": commit.message.partition("\n")[2].strip(),
        "CI_COMMIT_AUTHOR": f"{commit.author_name} <{commit.author_email}>",
        "CI_COMMIT_TIMESTAMP": commit.created_at,
        ("CI_COMMIT_BRANCH" if is_branch else "CI_COMMIT_TAG"): pipeline.ref,
        "GITLAB_USER_ID": str(ROOT_USER_ID),
        "GITLAB_USER_LOGIN": "root",
        "GITLAB_USER_NAME": "Administrator",
        "GITLAB_USER_EMAIL": "admin@example.com",
    }
    if site.registry:
        values["CI_REGISTRY"] = site.registry
        values["CI_REGISTRY_IMAGE"] = f"{site.registry}/{project.registry_path}"
    return _variables(values)


def job_variables(site: Site, job: Job) -> tuple[Variable, ...]:
    """What only this job has: its name, its runner, its token."""
    spec, runner = job.spec, job.runner
    values = {
        "CI_JOB_ID": str(job.id),
        "CI_JOB_NAME": spec.name,
        "CI_JOB_NAME_SLUG": slug(spec.name),
        "CI_JOB_STAGE": spec.stage,
        "CI_JOB_URL": f"{site.url}/{job.project.full_path}/-/jobs/{job.id}",
        "CI_JOB_STARTED_AT": (job.started_at or job.created_at).isoformat().replace("+00:00", "Z"),
        "CI_JOB_TIMEOUT": str(job.timeout_seconds),
        "CI_JOB_IMAGE": spec.image.name if spec.image else "",
        "CI_JOB_GROUP_NAME": spec.group,
        "CI_JOB_MANUAL": "true" if spec.when == "manual" else "",
        "CI_NODE_TOTAL": "1",
        "CI_RUNNER_ID": str(runner.id) if runner else "",
        "CI_RUNNER_DESCRIPTION": runner.description if runner else "",
        "CI_RUNNER_TAGS": str(list(runner.tags)).replace("'", '"') if runner else "",
    }
    named = _variables({key: value for key, value in values.items() if value})
    return (*named, *_secrets(site, job))


def _secrets(site: Site, job: Job) -> tuple[Variable, ...]:
    values = {"CI_JOB_TOKEN": job.token, "CI_REPOSITORY_URL": repository_url(site, job)}
    secret = tuple(Variable(key, value, public=False, masked=True) for key, value in values.items())
    if not site.registry:
        return secret
    password = Variable("CI_REGISTRY_PASSWORD", job.token, public=False, masked=True)
    return (*secret, Variable("CI_REGISTRY_USER", "gitlab-ci-token"), password)


def repository_url(site: Site, job: Job) -> str:
    """Where the job clones from, with its token in it."""
    scheme, _, rest = site.url.partition("://")
    return f"{scheme}://gitlab-ci-token:{job.token}@{rest}/{job.project.full_path}.git"


def _variables(values: dict[str, str]) -> tuple[Variable, ...]:
    return tuple(Variable(key, value) for key, value in values.items())
