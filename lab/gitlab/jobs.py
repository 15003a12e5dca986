"""Jobs as users and runners act on them: requested, acknowledged, traced, finished, canceled, retried, played, given
up.

Two-phase commit: with it on, a requested job stays pending with a runner until that runner says `running`;
unacknowledged for two minutes it goes back to the queue. With it off it is running from the moment it was handed out,
as on most servers. A job's token lives exactly as long as a runner works on the job.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import timedelta

from lab.gitlab import artifacts, matching, progress, runners
from lab.gitlab.ci.keywords import FAILURE_REASONS, covered_reasons
from lab.gitlab.ci.spec import JobSpec
from lab.gitlab.errors import Conflict, Forbidden, GitLabError, Invalid, NotFound
from lab.gitlab.model import Job, Pipeline, Runner
from lab.gitlab.state import State
from lab.gitlab.states import FINISHED, WITH_RUNNER, JobEvent, JobStatus

ACKNOWLEDGE_WITHIN = timedelta(minutes=2)  # GitLab's RUNNER_ACK_QUEUE_EXPIRY_TIME
SILENT_AT_MOST = timedelta(minutes=30)  # with a runner that says nothing for so long: given up
OVER_TIMEOUT_AT_MOST = timedelta(minutes=15)  # beyond the job's timeout, which its runner should have enforced
UNMATCHED_AT_MOST = timedelta(hours=1)  # pending without an online runner that matches
MATCHED_AT_MOST = timedelta(hours=24)  # pending although a runner matches
TRACE_BYTES_MAX = 100 * 1024 * 1024  # GitLab's default limit; the trace is in memory here


@dataclass(frozen=True, slots=True)
class Update:
    """The body of PUT /jobs/:id that matters."""

    state: str
    failure_reason: str = ""
    exit_code: int | None = None
    trace_checksum: str = ""
    trace_bytes: int | None = None


class TraceMismatch(GitLabError):
    """The trace we hold is not the one the runner sent: it has to start over."""

    status = 412


def create(state: State, pipeline: Pipeline, spec: JobSpec) -> Job:
    job = Job(state.number("job"), pipeline, spec, state.mint("glcbt-64_"), state.clock(), may_fail=spec.may_fail)
    state.jobs[job.id] = job
    return job


def request(state: State, token: str, system_id: str, info: dict[str, object]) -> Job | None:
    """The oldest job this runner may take, now its own; None when there is none or the runner is paused."""
    runner = runners.by_token(state, token)
    manager = runners.heartbeat(state, runner, system_id, info)
    job = _next(state, runner)
    if job is None:
        return None
    job.runner, job.manager, job.assigned_at = runner, manager, state.clock()
    limits = [job.spec.timeout_seconds or job.project.build_timeout_seconds, runner.maximum_timeout_seconds]
    job.timeout_seconds = min(limit for limit in limits if limit)
    features = info.get("features")
    acknowledges = isinstance(features, dict) and features.get("two_phase_job_commit") is True
    if not (state.site.two_phase_commit and acknowledges):
        progress.move(state, job, JobEvent.RUN)
    return job


def _next(state: State, runner: Runner) -> Job | None:
    """The oldest job for the runner; one whose artifacts to work with are gone fails instead."""
    for job in matching.queue_of(runner, state.jobs.values()):
        if not artifacts.is_missing_any(state, job):
            return job
        drop(state, job, "missing_dependency_failure")
    return None


def authenticate(state: State, job_id: int, token: str) -> Job:
    """The job a runner speaks for; Forbidden (with the job's status) once the job is over."""
    job = state.jobs.get(job_id)
    if job is None:
        raise NotFound()
    if not token or token != job.token:
        raise Forbidden()
    if not _is_held(job):
        raise Forbidden("Job is not processing on runner", {"Job-Status": job.status})
    job.contacted_at = state.clock()
    if job.runner is not None and job.manager is not None:
        runners.heartbeat(state, job.runner, job.manager.system_id, {})
    return job


def by_token(state: State, token: str) -> Job | None:
    """The job in hand that a job token belongs to, for git and the registry."""
    return next((job for job in state.jobs.values() if job.token == token and _is_held(job)), None)


def _is_held(job: Job) -> bool:
    return job.status in WITH_RUNNER or (job.status == JobStatus.PENDING and job.runner is not None)


def update(state: State, job: Job, change: Update) -> None:
    """What the runner says of its job; raises TraceMismatch, Conflict or Invalid."""
    if change.state == "pending":
        if job.status != JobStatus.PENDING:
            raise Invalid("400 Bad request - Job is not in pending state")
    elif change.state == "running":
        if job.status == JobStatus.PENDING:
            progress.move(state, job, JobEvent.RUN)
    elif change.state in ("success", "failed"):
        _finish(state, job, change)
    else:
        raise Invalid("400 Bad request - Unknown build state")


def _finish(state: State, job: Job, change: Update) -> None:
    if job.status == JobStatus.PENDING:
        raise Conflict("409 Conflict - Job was not acknowledged")
    if change.trace_bytes is not None and not _holds_trace(job, change):
        raise TraceMismatch("412 Precondition Failed - the trace is incomplete")
    job.exit_code = change.exit_code
    if change.state == "success":
        progress.move(state, job, JobEvent.SUCCEED)
        return
    if change.exit_code is not None and change.exit_code in job.spec.allow_failure_exit_codes:
        job.may_fail = True
    known = change.failure_reason in FAILURE_REASONS
    drop(state, job, change.failure_reason if known else "unknown_failure")


def _holds_trace(job: Job, change: Update) -> bool:
    checksum = f"crc32:{zlib.crc32(job.trace):08x}"
    return len(job.trace) == change.trace_bytes and change.trace_checksum in ("", checksum)


def append_trace(job: Job, start: int, data: bytes) -> bool:
    """Adds to the trace if `start` is where it ends; False asks the runner to go on from there."""
    if start != len(job.trace):
        return False
    if start + len(data) > TRACE_BYTES_MAX:
        raise Forbidden("the trace is too long")
    job.trace += data
    return True


def drop(state: State, job: Job, reason: str) -> None:
    """Fails the job, and tries again where its `retry:` says so."""
    progress.change(state, job, JobEvent.DROP, reason)
    if job.status == JobStatus.FAILED and _wants_retry(job):
        retry(state, job)  # before the pipeline looks at the failure, which it is not yet
    else:
        progress.advance(state, job.pipeline)


def _wants_retry(job: Job) -> bool:
    attempts = sum(other.spec.name == job.spec.name for other in job.pipeline.jobs)
    wanted = job.spec.retry
    return attempts <= wanted.attempts_max and bool({"always", job.failure_reason} & covered_reasons(wanted.when))


def cancel(state: State, job: Job, force: bool = False, advance: bool = True) -> None:
    """Stops the job: at once where no runner has it or it cannot stop gracefully. A finished job stays as it is."""
    if job.status in FINISHED or (job.status == JobStatus.CANCELING and not force):
        return
    features = job.manager.info.get("features") if job.manager else None
    gracefully = isinstance(features, dict) and features.get("cancel_gracefully") is True
    graceful = job.status == JobStatus.RUNNING and gracefully and not force
    event = JobEvent.CANCEL_GRACEFULLY if graceful else JobEvent.CANCEL
    progress.move(state, job, event) if advance else progress.change(state, job, event)


def retry(state: State, job: Job) -> Job:
    """A new attempt in the old one's place; jobs that were skipped because of it are looked at again."""
    if job.status not in FINISHED - {JobStatus.SKIPPED} or job.is_retried:
        raise Forbidden("Job is not retryable")
    job.is_retried = True
    again = create(state, job.pipeline, job.spec)
    job.pipeline.jobs.append(again)
    for other in job.pipeline.current_jobs:
        if other.status == JobStatus.SKIPPED:
            progress.change(state, other, JobEvent.PROCESS)
    progress.change(state, again, JobEvent.ENQUEUE)
    progress.advance(state, job.pipeline)
    return again


def play(state: State, job: Job) -> None:
    """Starts a manual job."""
    if job.status != JobStatus.MANUAL:
        raise Invalid("400 Bad request - Unplayable Job")
    progress.move(state, job, JobEvent.ENQUEUE)


def expire(state: State) -> None:
    """What GitLab's periodic workers do: give up on the silent and the stuck, hand back the unacknowledged."""
    for job in list(state.jobs.values()):
        if job.status == JobStatus.PENDING:
            _expire_pending(state, job)
        elif job.status in WITH_RUNNER:
            _expire_held(state, job)


def _expire_held(state: State, job: Job) -> None:
    now = state.clock()
    timeout = timedelta(seconds=job.timeout_seconds) + OVER_TIMEOUT_AT_MOST
    if job.started_at is not None and now - job.started_at > timeout:
        drop(state, job, f"server_timeout_{job.status}")
    elif now - (job.contacted_at or job.created_at) > SILENT_AT_MOST:
        drop(state, job, f"no_updates_{job.status}")


def _expire_pending(state: State, job: Job) -> None:
    now = state.clock()
    if job.runner is not None:
        heard = max(moment for moment in (job.assigned_at, job.contacted_at) if moment is not None)
        if now - heard > ACKNOWLEDGE_WITHIN:
            job.runner = job.manager = job.assigned_at = job.contacted_at = None
            progress.announce(state, job.pipeline)
        return
    waited = now - (job.queued_at or job.created_at)
    if waited > MATCHED_AT_MOST:
        drop(state, job, "stuck_pending_with_matching_runners")
    elif waited > UNMATCHED_AT_MOST and matching.is_stuck(job, state.runners.values(), now):
        drop(state, job, "stuck_pending_no_matching_runners")
