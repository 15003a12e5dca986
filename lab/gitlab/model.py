"""The things a GitLab holds: users, groups, projects, tokens, runners and their managers, pipelines and jobs.

Plain mutable records; who may change what and when is decided in `runners`, `pipelines` and `jobs`, and JSON is made
in `views`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lab.gitlab.ci.spec import JobSpec
from lab.gitlab.ci.variables import Variable
from lab.gitlab.states import JobStatus


@dataclass(slots=True)
class User:
    id: int
    username: str
    name: str
    is_admin: bool = False


@dataclass(slots=True)
class Group:
    id: int
    path: str
    full_path: str
    kind: str = "group"  # "user" for the namespace of a person
    parent: Group | None = None
    members: dict[int, int] = field(default_factory=dict)  # user id -> access level

    @property
    def root(self) -> Group:
        """The top-level group this one is in, itself if it is one."""
        return self.parent.root if self.parent else self


@dataclass(slots=True)
class Project:
    id: int
    name: str
    path: str
    group: Group
    created_at: datetime
    visibility: str = "private"
    default_branch: str = "main"
    shared_runners_enabled: bool = True
    build_timeout_seconds: int = 3600
    keep_latest_artifact: bool = True
    variables: dict[str, Variable] = field(default_factory=dict)
    members: dict[int, int] = field(default_factory=dict)  # user id -> access level

    @property
    def full_path(self) -> str:
        return f"{self.group.full_path}/{self.path}"

    @property
    def registry_path(self) -> str:
        """The repository in the container registry: always lower-case, as registries accept nothing else."""
        return self.full_path.lower()


@dataclass(slots=True)
class AccessToken:
    """A personal access token: its scopes, within what its user may do."""

    id: int
    name: str
    value: str
    scopes: frozenset[str]
    created_at: datetime
    user: User
    expires_at: datetime | None = None
    is_revoked: bool = False

    def has_expired(self, now: datetime) -> bool:
        """Whether its last day is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(slots=True)
class RunnerManager:
    """One process that uses a runner's token, told apart by its system_id."""

    id: int
    system_id: str
    created_at: datetime
    contacted_at: datetime
    info: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Runner:
    id: int
    token: str
    created_at: datetime
    runner_type: str
    queue_value: str  # what X-GitLab-Last-Update says; a new value means "ask again"
    description: str = ""
    tags: tuple[str, ...] = ()
    run_untagged: bool = True
    is_locked: bool = False
    is_paused: bool = False
    access_level: str = "not_protected"
    maximum_timeout_seconds: int | None = None
    maintenance_note: str = ""
    group: Group | None = None
    project_ids: set[int] = field(default_factory=set)
    contacted_at: datetime | None = None
    token_expires_at: datetime | None = None
    managers: dict[str, RunnerManager] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a pipeline needs to know of the commit it is for; read from git by the shell."""

    sha: str
    title: str = ""
    message: str = ""
    author_name: str = ""
    author_email: str = ""
    created_at: str = ""
    before_sha: str = "0" * 40
    changed_paths: frozenset[str] | None = None  # None: not known, counts as changed


@dataclass(slots=True)
class Pipeline:
    id: int
    iid: int
    project: Project
    ref: str
    is_tag: bool
    source: str
    commit: Commit
    created_at: datetime
    variables: tuple[Variable, ...] = ()
    yaml_errors: str = ""
    jobs: list[Job] = field(default_factory=list)
    stages: tuple[str, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def current_jobs(self) -> list[Job]:
        """The latest attempt of each job."""
        return [job for job in self.jobs if not job.is_retried]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that a job's runner has sent; a job has one of each type."""

    file_type: str  # archive, junit, ...
    file_format: str  # zip, gzip, raw
    filename: str
    size: int  # bytes
    sha256: str


@dataclass(slots=True)
class Job:
    id: int
    pipeline: Pipeline
    spec: JobSpec
    token: str
    created_at: datetime
    status: JobStatus = JobStatus.CREATED
    is_retried: bool = False  # a later attempt has taken its place
    failure_reason: str = ""
    may_fail: bool = False
    exit_code: int | None = None
    runner: Runner | None = None
    manager: RunnerManager | None = None
    assigned_at: datetime | None = None
    contacted_at: datetime | None = None  # last sign of life from the runner
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    timeout_seconds: int = 0
    trace: bytearray = field(default_factory=bytearray)
    artifacts: dict[str, Artifact] = field(default_factory=dict)  # by file type
    artifacts_expire_at: datetime | None = None  # stays when they are gone
    erased_at: datetime | None = None

    @property
    def project(self) -> Project:
        return self.pipeline.project
