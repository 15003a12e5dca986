"""Everything this GitLab knows, in memory, with the two things it cannot make up itself: the time and secrets.

`State` is handed to every function of the core. It has no logic beyond look-ups, numbering and telling listeners that
something a waiting runner may care about has changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import NotFound
from lab.gitlab.model import AccessToken, Group, Job, Pipeline, Project, Runner, User

ROOT_USER_ID = 1


@dataclass(frozen=True, slots=True)
class Site:
    """What the administrator of this GitLab has set; the same for all projects."""

    url: str  # as clients reach it, without a slash at the end
    registry: str = ""  # host:port shown as CI_REGISTRY; empty: no registry
    two_phase_commit: bool = False
    artifacts_lifetime: timedelta | None = timedelta(days=30)  # where a job names none; None: for ever
    artifact_bytes_max: int = 100 * 1024 * 1024  # GitLab's default for an instance
    runner_token_lifetime: timedelta | None = None  # of tokens made from now on; None: for ever, as in a new GitLab
    variables: tuple[Variable, ...] = ()  # instance CI/CD variables


@dataclass(slots=True)
class State:
    """`clock` gives the time (UTC, aware); `mint` gives a fresh secret with the prefix it is called with."""

    site: Site
    clock: Callable[[], datetime]
    mint: Callable[[str], str]
    users: dict[int, User] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    runners: dict[int, Runner] = field(default_factory=dict)
    pipelines: dict[int, Pipeline] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    on_queue_change: Callable[[], None] = lambda: None
    on_artifact_gone: Callable[[int, str], None] = lambda _job_id, _file_type: None
    _numbers: dict[str, Iterator[int]] = field(default_factory=dict)

    def number(self, kind: str) -> int:
        """The next id of its kind, from 1."""
        return next(self._numbers.setdefault(kind, itertools.count(1)))

    def user(self, id_or_name: str) -> User:
        """A user by number or name."""
        for user in self.users.values():
            if id_or_name in (str(user.id), user.username):
                return user
        raise NotFound("User")

    def project(self, id_or_path: str) -> Project:
        """A project by number or full path; the case of a path does not matter, as in GitLab."""
        for project in self.projects.values():
            if id_or_path.lower() in (str(project.id), project.full_path.lower()):
                return project
        raise NotFound("Project")

    def group(self, id_or_path: str) -> Group:
        """A group by number or full path."""
        for group in self.groups.values():
            if group.kind == "group" and id_or_path.lower() in (str(group.id), group.full_path.lower()):
                return group
        raise NotFound("Group")

    def job(self, project: Project, job_id: int) -> Job:
        job = self.jobs.get(job_id)
        if job is None or job.project is not project:
            raise NotFound()
        return job

    def pipeline(self, project: Project, pipeline_id: int) -> Pipeline:
        pipeline = self.pipelines.get(pipeline_id)
        if pipeline is None or pipeline.project is not project:
            raise NotFound("Pipeline")
        return pipeline

    def runner(self, runner_id: int) -> Runner:
        if runner_id not in self.runners:
            raise NotFound("Runner")
        return self.runners[runner_id]

    def touch_queues(self, runners: Iterable[Runner]) -> None:
        """Gives these runners' queues a new value and wakes who waits for one."""
        for runner in runners:
            runner.queue_value = self.mint("")
        self.on_queue_change()
