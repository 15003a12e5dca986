"""Which runner may take which job: GitLab's rules, pure. Tags are compared exactly; there is no "or" and no
exclusion."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from lab.gitlab.model import Group, Job, Project, Runner
from lab.gitlab.states import JobStatus

ONLINE_WITHIN = timedelta(
    hours=2
)  # GitLab's ONLINE_CONTACT_TIMEOUT; shorter would call idle fleets offline between heartbeats
STALE_AFTER = timedelta(days=7)  # GitLab's; managers older than this are forgotten


def may_take(runner: Runner, job: Job) -> bool:
    """Whether the runner, unpaused, would be given this job."""
    return (
        not runner.is_paused
        and serves(runner, job.project)
        and _accepts_tags(runner, job.spec.tags)
        and (runner.access_level != "ref_protected" or is_protected(job))
    )


def serves(runner: Runner, project: Project) -> bool:
    """Whether the project is within the runner's scope."""
    if runner.runner_type == "instance_type":
        return project.shared_runners_enabled
    if runner.runner_type == "group_type":
        return runner.group is not None and _is_within(project.group, runner.group)
    return project.id in runner.project_ids


def _is_within(group: Group | None, ancestor: Group) -> bool:
    return group is not None and (group is ancestor or _is_within(group.parent, ancestor))


def _accepts_tags(runner: Runner, tags: tuple[str, ...]) -> bool:
    return set(tags) <= set(runner.tags) if tags else runner.run_untagged


def is_protected(job: Job) -> bool:
    """Whether the job's ref is protected: the default branch alone is, as in a new project."""
    return not job.pipeline.is_tag and job.pipeline.ref == job.project.default_branch


def is_online(runner: Runner, now: datetime) -> bool:
    """Contacted within the last two hours."""
    return runner.contacted_at is not None and now - runner.contacted_at < ONLINE_WITHIN


def is_stuck(job: Job, runners: Iterable[Runner], now: datetime) -> bool:
    """Pending, and no runner that is online would take it."""
    if job.status != JobStatus.PENDING or job.runner is not None:
        return False
    return not any(is_online(runner, now) and may_take(runner, job) for runner in runners)


def queue_of(runner: Runner, jobs: Iterable[Job]) -> list[Job]:
    """Jobs this runner may take now, oldest first."""
    waiting = [job for job in jobs if job.status == JobStatus.PENDING and job.runner is None and may_take(runner, job)]
    return sorted(waiting, key=lambda job: job.id)
