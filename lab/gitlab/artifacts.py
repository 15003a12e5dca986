"""Artifacts of jobs: taken in, offered to later jobs, kept, erased, expired. The bytes are the shell's.

What a pipeline left behind on a ref stays available beyond its expiry until a later pipeline on that ref succeeds, as
GitLab keeps "the most recent successful" artifacts; `is_locked` says so. Everything else goes when its time has come
(`expire`), and a job that would need it fails instead of running without.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lab.gitlab.ci.durations import seconds_of
from lab.gitlab.errors import Forbidden, GitLabError, Invalid, Missing, NotFound
from lab.gitlab.model import Artifact, Job, Pipeline, Project
from lab.gitlab.progress import jobs_before, status_of
from lab.gitlab.state import State
from lab.gitlab.states import FINISHED, JobStatus

ARCHIVE, JUNIT = "archive", "junit"
FILE_TYPES = (ARCHIVE, "metadata", "trace", JUNIT, "coverage", "codequality", "performance", "terraform")
FORMATS = ("raw", "zip", "gzip")
NEVER = ("never", "0")


class TooLarge(GitLabError):
    """GitLab's maximum artifacts size."""

    status = 413


@dataclass(frozen=True, slots=True)
class Upload:
    """What came with the file of POST /jobs/:id/artifacts."""

    filename: str
    size: int
    sha256: str
    file_type: str = ARCHIVE
    file_format: str = "zip"
    expire_in: str = ""


def check_size(state: State, size: int | None) -> None:
    """Refuses a file that is larger than this GitLab takes."""
    if size is not None and size > state.site.artifact_bytes_max:
        raise TooLarge("file size has reached maximum size limit")


def check_type(file_type: str) -> None:
    if file_type not in FILE_TYPES:
        raise Missing("artifact_type does not have a valid value")


def add(state: State, job: Job, upload: Upload) -> bool:
    """Records the file; False when it is there already, byte for byte. One of each type and no second."""
    check_type(upload.file_type)
    if upload.file_format not in FORMATS:
        raise Missing("artifact_format does not have a valid value")
    check_size(state, upload.size)
    lifetime = _lifetime(state, upload.expire_in)
    there = job.artifacts.get(upload.file_type)
    if there is not None:
        if there.sha256 == upload.sha256:
            return False
        raise Invalid("another artifact of the same type already exists")
    job.artifacts[upload.file_type] = Artifact(
        upload.file_type, upload.file_format, upload.filename, upload.size, upload.sha256
    )
    job.artifacts_expire_at = None if lifetime is None else state.clock() + lifetime
    return True


def _lifetime(state: State, expire_in: str) -> timedelta | None:
    if expire_in in NEVER:
        return None
    if not expire_in:
        return state.site.artifacts_lifetime
    seconds = seconds_of(expire_in)
    if seconds is None:
        raise Invalid("expire_in is not a duration")
    return timedelta(seconds=seconds)


def is_locked(state: State, pipeline: Pipeline) -> bool:
    """Whether the pipeline's artifacts outlive their expiry: no later one on its ref has succeeded."""
    return pipeline.project.keep_latest_artifact and not any(
        later.id > pipeline.id
        and later.project is pipeline.project
        and (later.ref, later.is_tag) == (pipeline.ref, pipeline.is_tag)
        and status_of(later) == JobStatus.SUCCESS
        for later in state.pipelines.values()
    )


def has_expired(state: State, job: Job) -> bool:
    """Whether the job's artifacts are, or should be, gone for their age."""
    ends = job.artifacts_expire_at
    return ends is not None and ends <= state.clock() and not is_locked(state, job.pipeline)


def archive_of(state: State, job: Job) -> Artifact | None:
    """The job's archive, if it can still be had."""
    return None if has_expired(state, job) else job.artifacts.get(ARCHIVE)


def needed_archive(state: State, job: Job) -> Artifact:
    """The archive; raises NotFound."""
    found = archive_of(state, job)
    if found is None:
        raise NotFound()
    return found


def sources_of(job: Job) -> list[Job]:
    """The jobs whose artifacts this one gets: by `dependencies`, by `needs`, or all of earlier stages."""
    before = jobs_before(job.pipeline, job)
    return [other for other in before if other.status != JobStatus.SKIPPED and _wants(job, other)]


def _wants(job: Job, other: Job) -> bool:
    names = {other.spec.name, other.spec.group}
    if job.spec.dependencies is not None:
        return bool(names & set(job.spec.dependencies))
    if job.spec.needs is not None:
        return any(need.artifacts for need in job.spec.needs if need.job in names)
    return True


def is_missing_any(state: State, job: Job) -> bool:
    """Whether something this job depends on was erased or has expired."""
    return any(other.erased_at is not None or has_expired(state, other) for other in sources_of(job))


def keep(job: Job) -> None:
    """Takes the expiry away."""
    if not job.artifacts:
        raise NotFound()
    job.artifacts_expire_at = None


def remove(state: State, job: Job) -> None:
    """Takes the job's files away."""
    for file_type in list(job.artifacts):
        del job.artifacts[file_type]
        state.on_artifact_gone(job.id, file_type)


def erase(state: State, job: Job) -> None:
    """Takes artifacts and trace away, for good and visibly."""
    if job.status not in FINISHED or job.erased_at is not None or not (job.artifacts or job.trace):
        raise Forbidden("Job is not erasable!")
    remove(state, job)
    job.trace.clear()
    job.erased_at = state.clock()


def expire(state: State) -> None:
    """Removes what has outlived its time."""
    for job in state.jobs.values():
        if job.artifacts and has_expired(state, job):
            remove(state, job)


def latest(state: State, project: Project, ref: str, job_name: str) -> Job:
    """The job of that name in the latest successful pipeline on the ref that has an archive of it."""
    for pipeline in sorted(state.pipelines.values(), key=lambda pipeline: -pipeline.id):
        if pipeline.project is project and pipeline.ref == ref and status_of(pipeline) == JobStatus.SUCCESS:
            for job in pipeline.current_jobs:
                if job.spec.name == job_name and archive_of(state, job) is not None:
                    return job
    raise NotFound()
