"""The part of GitLab's GraphQL schema that finds jobs: root `jobs`, and those of one project or one runner.

Names, arguments, nullability, ids and refusals are GitLab's, a surprise among them: `Project.jobs` may be asked for one
project per query, `CiRunner.jobs` for one runner. A field that is not in here is an error that names it, never a null.
What the query's author may see is decided here; whether the token may ask at all is decided by `http_graphql`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, GraphQLObjectType, GraphQLResolveInfo, build_schema

from lab.gitlab.errors import NotFound
from lab.gitlab.matching import is_stuck, may_take
from lab.gitlab.model import Job, Pipeline, Project, Runner, RunnerManager, User
from lab.gitlab.predefined import REVISION, VERSION
from lab.gitlab.progress import status_of
from lab.gitlab.roles import Role, role_in
from lab.gitlab.state import State
from lab.gitlab.views import moment, runner_status

PAGE_MAX = 100  # GitLab's default and most; a larger `first` is cut to it
_ONLY_ONE = '"jobs" field can be requested only for 1 {}(s) at a time.'
_ONLY_PENDING = 'compatibleRunnerId can only be used when the `statuses` argument is set to "PENDING"'

_JOB_FIELDS = """
  id: JobID
  name: String
  status: CiJobStatus
  tags: [String!]
  stuck: Boolean
  allowFailure: Boolean
  retried: Boolean
  createdAt: Time
  queuedAt: Time
  startedAt: Time
  finishedAt: Time
  queuedDuration: Duration
  refName: String
  webPath: String
  failureMessage: String
  detailedStatus: DetailedStatus
  runner: CiRunner
  pipeline: Pipeline
  project: Project
"""
_SDL = f"""
scalar Time
scalar Duration
scalar JobID
scalar CiRunnerID
scalar CiRunnerManagerID
scalar CiPipelineID
scalar ProjectID
scalar UserID
enum CiJobStatus {{
  CANCELED CANCELING CREATED FAILED MANUAL PENDING PREPARING RUNNING SCHEDULED SKIPPED SUCCESS
  WAITING_FOR_CALLBACK WAITING_FOR_RESOURCE
}}
enum CiRunnerType {{ INSTANCE_TYPE GROUP_TYPE PROJECT_TYPE }}
enum CiRunnerStatus {{ ONLINE OFFLINE STALE NEVER_CONTACTED }}
enum PipelineStatusEnum {{ CANCELED CANCELING CREATED FAILED MANUAL PENDING PREPARING RUNNING SCHEDULED SKIPPED SUCCESS
  WAITING_FOR_CALLBACK WAITING_FOR_RESOURCE }}
type DetailedStatus {{ text: String label: String group: String }}
type Metadata {{ version: String! revision: String! }}
type CurrentUser {{ id: UserID! username: String! name: String! }}
type PageInfo {{ hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }}
type CiRunner {{
  id: CiRunnerID! description: String runnerType: CiRunnerType! status: CiRunnerStatus! paused: Boolean!
  tagList: [String!]
  jobs(statuses: [CiJobStatus!], first: Int, last: Int, after: String, before: String): CiJobInterfaceConnection
}}
type CiRunnerManager {{ id: CiRunnerManagerID! systemId: String! }}
type Pipeline {{ id: CiPipelineID! iid: String! status: PipelineStatusEnum! ref: String sha: String path: String }}
interface CiJobInterface {{ {_JOB_FIELDS} }}
type CiJob implements CiJobInterface {{ {_JOB_FIELDS} runnerManager: CiRunnerManager }}
type CiJobEdge {{ cursor: String! node: CiJob }}
type CiJobConnection {{ count(limit: Int = 1000): Int! edges: [CiJobEdge] nodes: [CiJob] pageInfo: PageInfo! }}
type CiJobInterfaceEdge {{ cursor: String! node: CiJobInterface }}
type CiJobInterfaceConnection {{
  count(limit: Int = 1000): Int! edges: [CiJobInterfaceEdge] nodes: [CiJobInterface] pageInfo: PageInfo!
}}
type Project {{
  id: ID! name: String! path: String! fullPath: ID! webUrl: String
  jobs(statuses: [CiJobStatus!], withArtifacts: Boolean, first: Int, last: Int, after: String, before: String):
    CiJobConnection
}}
type Query {{
  currentUser: CurrentUser
  metadata: Metadata
  project(fullPath: ID!): Project
  runner(id: CiRunnerID!): CiRunner
  jobs(statuses: [CiJobStatus!], runnerTypes: [CiRunnerType!], compatibleRunnerId: CiRunnerID,
    first: Int, last: Int, after: String, before: String): CiJobInterfaceConnection
}}
"""
Values = dict[str, Any]
NOBODY = User(0, "", "")  # who shows no token


@dataclass(slots=True)
class Asking:
    """One query: on what, for whom, and how often it has asked for a project's or a runner's jobs."""

    state: State
    user: User
    project_jobs_asked: int = 0
    runner_jobs_asked: int = 0


Info = GraphQLResolveInfo[Asking]


def _current_user(_root: object, info: Info) -> Values | None:
    user = info.context.user
    return None if user is NOBODY else {"id": _gid("User", user.id), "username": user.username, "name": user.name}


def _project(_root: object, info: Info, *, fullPath: str) -> Project | None:  # noqa: N803 - GraphQL's
    """Null for what is not there and for what the user may not see: nobody can tell the two apart."""
    asking = info.context
    try:
        found = asking.state.project(fullPath)
    except NotFound:
        return None
    is_named = found.full_path.lower() == fullPath.lower()
    return found if is_named and role_in(asking.user, found) >= Role.GUEST else None


def _project_jobs(project: Project, info: Info, **asked: Any) -> Values | None:
    asking = info.context
    asking.project_jobs_asked += 1
    if asking.project_jobs_asked > 1:
        raise GraphQLError(_ONLY_ONE.format("Project"))
    if role_in(asking.user, project) < Role.REPORTER:
        return None
    found = (job for job in asking.state.jobs.values() if job.project is project)
    if asked.get("withArtifacts"):
        found = (job for job in found if job.artifacts)
    return _connection(_with_status(found, asked), asking.state, asked)


def _one_runner(_root: object, info: Info, *, id: str) -> Values | None:  # noqa: A002 - GraphQL's
    """Null for one that is not there, or not for this user to see (the lab: administrators only)."""
    runner = _runner_of(info.context.state, id)
    return _runner(info.context.state, runner) if runner and info.context.user.is_admin else None


def _runner_jobs(runner: Values, info: Info, **asked: Any) -> Values:
    asking = info.context
    asking.runner_jobs_asked += 1
    if asking.runner_jobs_asked > 1:
        raise GraphQLError(_ONLY_ONE.format("CiRunner"))
    mine = _runner_of(asking.state, runner["id"])
    found = (job for job in asking.state.jobs.values() if mine is not None and job.runner is mine)
    return _connection(_with_status(found, asked), asking.state, asked)


def _all_jobs(_root: object, info: Info, **asked: Any) -> Values:
    """Every job of the instance for an administrator, none for others."""
    asking = info.context
    runner = _compatible_runner(asking.state, asked) if "compatibleRunnerId" in asked else None
    jobs = _with_status(asking.state.jobs.values() if asking.user.is_admin else (), asked)
    if asked.get("runnerTypes"):
        jobs = [job for job in jobs if job.runner and job.runner.runner_type.upper() in asked["runnerTypes"]]
    if runner is not None:
        jobs = [job for job in jobs if may_take(runner, job)]
    return _connection(jobs, asking.state, asked)


def _compatible_runner(state: State, asked: Values) -> Runner:
    if asked.get("statuses") != ["PENDING"]:
        raise GraphQLError(_ONLY_PENDING)
    runner = _runner_of(state, str(asked["compatibleRunnerId"]))
    if runner is None:
        raise GraphQLError("The resource that you are attempting to access does not exist")
    return runner


def _runner_of(state: State, text: str) -> Runner | None:
    """The runner of a global id, if there is one."""
    kind, _, number = text.removeprefix("gid://gitlab/").rpartition("/")
    if not text.startswith("gid://gitlab/") or not number.isdecimal():
        raise GraphQLError(f'"{text}" is not a valid Global ID')
    if kind != "Ci::Runner":
        raise GraphQLError(f'"{text}" does not represent an instance of Ci::Runner')
    return state.runners.get(int(number))


def _with_status(jobs: Iterable[Job], asked: Values) -> list[Job]:
    statuses = asked.get("statuses")
    chosen = [job for job in jobs if statuses is None or job.status.upper() in statuses]
    return sorted(chosen, key=lambda job: -job.id)


def _connection(jobs: list[Job], state: State, asked: Values) -> Values:
    """One page of jobs, newest first. Cursors are places in the order, so that new jobs do not shift pages."""
    after, before = _id_at(asked.get("after")), _id_at(asked.get("before"))
    window = [job for job in jobs if (after is None or job.id < after) and (before is None or job.id > before)]
    if "first" in asked and "last" in asked:
        raise GraphQLError("Can only provide either `first` or `last`, not both")
    size = min(max(asked.get("first") or asked.get("last") or PAGE_MAX, 0), PAGE_MAX)
    shown = window[-size:] if asked.get("last") else window[:size]
    edges = [{"cursor": _cursor(job), "node": _job(state, job)} for job in shown]
    page = {
        "hasNextPage": bool(shown) and shown[-1] is not jobs[-1],
        "hasPreviousPage": bool(shown) and shown[0] is not jobs[0],
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"count": _counter(len(jobs)), "edges": edges, "nodes": [edge["node"] for edge in edges], "pageInfo": page}


def _counter(total: int) -> Callable[..., int]:
    """The count, that says `limit + 1` for all beyond the limit."""
    return lambda _info, limit: min(total, limit + 1)


def _cursor(job: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps({"id": str(job.id)}).encode()).rstrip(b"=").decode()


def _id_at(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        return int(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))["id"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise GraphQLError("Please provide a valid cursor") from None


def _gid(kind: str, number: int) -> str:
    return f"gid://gitlab/{kind}/{number}"


def _job(state: State, job: Job) -> Values:
    ended = job.started_at or job.finished_at or state.clock()
    return {
        "__typename": "CiJob",
        "id": _gid("Ci::Build", job.id),
        "name": job.spec.name,
        "status": job.status.upper(),
        "tags": list(job.spec.tags),
        "stuck": is_stuck(job, state.runners.values(), state.clock()),
        "allowFailure": job.may_fail,
        "retried": job.is_retried,
        "createdAt": moment(job.created_at),
        "queuedAt": moment(job.queued_at),
        "startedAt": moment(job.started_at),
        "finishedAt": moment(job.finished_at),
        "queuedDuration": (ended - job.queued_at).total_seconds() if job.queued_at else None,
        "refName": job.pipeline.ref,
        "webPath": f"/{job.project.full_path}/-/jobs/{job.id}",
        "failureMessage": job.failure_reason or None,
        "detailedStatus": {"text": job.status.capitalize(), "label": job.status, "group": job.status},
        "runner": _runner(state, job.runner) if job.runner else None,
        "runnerManager": _manager(job.manager) if job.manager else None,
        "pipeline": _pipeline(job.pipeline),
        "project": job.project,
    }


def _runner(state: State, runner: Runner) -> Values:
    return {
        "id": _gid("Ci::Runner", runner.id),
        "description": runner.description,
        "runnerType": runner.runner_type.upper(),
        "status": runner_status(runner.contacted_at, state.clock()).upper(),
        "paused": runner.is_paused,
        "tagList": list(runner.tags),
    }


def _manager(manager: RunnerManager) -> Values:
    return {"id": _gid("Ci::RunnerManager", manager.id), "systemId": manager.system_id}


def _pipeline(pipeline: Pipeline) -> Values:
    return {
        "id": _gid("Ci::Pipeline", pipeline.id),
        "iid": str(pipeline.iid),
        "status": status_of(pipeline).upper(),
        "ref": pipeline.ref,
        "sha": pipeline.commit.sha,
        "path": f"/{pipeline.project.full_path}/-/pipelines/{pipeline.id}",
    }


SCHEMA = build_schema(_SDL)


def _resolve(kind: str, **resolvers: Callable[..., object]) -> None:
    found = SCHEMA.type_map[kind]
    assert isinstance(found, GraphQLObjectType)
    for name, resolver in resolvers.items():
        found.fields[name].resolve = resolver


_resolve(
    "Query",
    jobs=_all_jobs,
    project=_project,
    runner=_one_runner,
    currentUser=_current_user,
    metadata=lambda _root, _info: {"version": VERSION, "revision": REVISION},
)
_resolve("CiRunner", jobs=_runner_jobs)
_resolve(
    "Project",
    jobs=_project_jobs,
    id=lambda project, _info: _gid("Project", project.id),
    fullPath=lambda project, _info: project.full_path,
    webUrl=lambda project, info: f"{info.context.state.site.url}/{project.full_path}",
)
