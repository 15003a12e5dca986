"""Moves jobs along: one event at a time, then whatever follows from it in the job's pipeline.

`change` is the only place that changes a job's status. `advance` asks of every job that waits for others whether it
may go, must be skipped, or has to wait on, and repeats until nothing moves: so the order of events cannot matter.
"""

from __future__ import annotations

from lab.gitlab.matching import may_take
from lab.gitlab.model import Job, Pipeline
from lab.gitlab.state import State
from lab.gitlab.states import FINISHED, WITH_RUNNER, JobEvent, JobStatus, after, combined

# For each `when`: what the jobs before may have come to. GitLab's table; `skipped` counts for stages, not for needs.
_RUNS_AFTER = {
    "on_success": {"success", "skipped"},
    "manual": {"success", "skipped"},
    "on_failure": {"failed"},
    "always": {"success", "failed", "skipped"},
}


def status_of(pipeline: Pipeline) -> str:
    """The pipeline's status, from the latest attempt of each of its jobs."""
    if pipeline.yaml_errors:
        return "failed"
    return combined((job.status, job.may_fail) for job in pipeline.current_jobs)


def move(state: State, job: Job, event: JobEvent, reason: str = "") -> None:
    """Takes the job to its next state and its pipeline with it; raises ImpossibleTransitionError."""
    change(state, job, event, reason)
    advance(state, job.pipeline)


def change(state: State, job: Job, event: JobEvent, reason: str = "") -> None:
    """Moves this job alone; the caller advances the pipeline when it has made all its changes."""
    now = state.clock()
    job.status = after(job.status, event)
    if job.status == JobStatus.PENDING:
        job.queued_at = now
    elif job.status == JobStatus.RUNNING:
        job.started_at = job.contacted_at = now
    job.finished_at = now if job.status in FINISHED else None  # a skipped job may be looked at again
    if job.status in FINISHED:
        job.failure_reason = reason if job.status == JobStatus.FAILED else ""


def advance(state: State, pipeline: Pipeline) -> None:
    """Lets every job go whose time has come, until none moves; then brings the pipeline's times up to date."""
    moved = True
    while moved:
        moved = False
        for job in pipeline.current_jobs:
            event = _due(pipeline, job)
            if event is not None:
                change(state, job, event)
                moved = True
    _keep_times(state, pipeline)
    announce(state, pipeline)


def announce(state: State, pipeline: Pipeline) -> None:
    """Tells the runners that could take one of the pipeline's waiting jobs to ask again."""
    waiting = [job for job in pipeline.jobs if job.status == JobStatus.PENDING and job.runner is None]
    runners = [runner for runner in state.runners.values() if any(may_take(runner, job) for job in waiting)]
    if runners:
        state.touch_queues(runners)


def _due(pipeline: Pipeline, job: Job) -> JobEvent | None:
    if job.status != JobStatus.CREATED:
        return None
    outcome = _outcome_before(pipeline, job)
    if outcome is None:
        return None
    allowed = _RUNS_AFTER[job.spec.when]
    if outcome not in allowed or (outcome == "skipped" and job.spec.needs):
        return JobEvent.SKIP
    return JobEvent.BLOCK if job.spec.when == "manual" else JobEvent.ENQUEUE


def _outcome_before(pipeline: Pipeline, job: Job) -> str | None:
    """What the jobs before came to together; None while that is open."""
    before = jobs_before(pipeline, job)
    if job.spec.needs is not None:
        if any(_never_ran(other) for other in before):
            return "skipped"
        if any(other.status not in FINISHED for other in before):
            return None
    outcome = combined((other.status, other.may_fail) for other in before)
    return outcome if outcome in FINISHED else None


def _never_ran(job: Job) -> bool:
    return job.status == JobStatus.SKIPPED or (job.status == JobStatus.MANUAL and job.may_fail)


def jobs_before(pipeline: Pipeline, job: Job) -> list[Job]:
    """The jobs this one waits for: those it needs, or all of earlier stages."""
    if job.spec.needs is not None:
        names = {need.job for need in job.spec.needs}
        return [other for other in pipeline.current_jobs if names & {other.spec.name, other.spec.group}]
    stage = pipeline.stages.index(job.spec.stage)
    return [other for other in pipeline.current_jobs if pipeline.stages.index(other.spec.stage) < stage]


def _keep_times(state: State, pipeline: Pipeline) -> None:
    now = pipeline.updated_at = state.clock()
    if pipeline.started_at is None and any(job.status in WITH_RUNNER for job in pipeline.jobs):
        pipeline.started_at = now
    pipeline.finished_at = now if status_of(pipeline) in FINISHED else None
