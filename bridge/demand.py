"""How many runners each profile needs now: pure, from what was read to what to create.

A pod is *active* until it is finished, *busy* while GitLab says that its system id runs a job, and otherwise *free*,
unless it cannot take a job any more (older token, never started, should have left). Each free pod will take one
pending job, whichever GitLab gives it; so only pending jobs beyond the free pods need new ones. Nothing is ever
deleted to shrink: an idle runner leaves by its own wait timeout, and no job can be lost.

Read busy before pending. A job that starts in between is then missed in both (one runner too few until the next
look); the other order would count it twice (one runner too many).

Hysteresis: attempts that ended without the job being gone wait longer each time, and a profile whose pods keep
failing (wrong image, no rights) is probed with one pod at a time. Both are read from the finished Jobs in the
cluster, so a restarted bridge remembers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.profiles import Profile

_RETRY_SECONDS_MIN = 10.0  # a pod that came and went without its job: GitLab may need a moment
_RETRY_SECONDS_MAX = 300.0  # less than the time finished Jobs are kept, or we would forget and start over
_LEAVING_SECONDS = 120.0  # GitLab's long poll (50 s), the way back of the news, clocks that differ a little
_FAILURES_TOLERATED = 3  # one or two evictions are normal; more in a row are the profile's fault


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A CI job that waits. `taken_by` is a system id if a runner has it already but has not yet acknowledged."""

    id: int
    project: str
    name: str
    tags: frozenset[str]
    url: str = ""
    is_assigned: bool = False
    taken_by: str = ""


class Phase(StrEnum):
    """Where a runner pod is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunnerPod:
    """A runner we made: the Kubernetes Job and what its pod reports."""

    job: str
    uid: str
    profile: str
    ci_job: int
    attempt: int
    system_id: str
    token: str
    phase: Phase
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    pod: str = ""
    node: str = ""
    detail: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether it will never take a job again."""
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read, in this order: busy system ids, pending jobs, pods; and the token each usable profile has."""

    busy: frozenset[str]
    pending: Sequence[PendingJob]
    pods: Sequence[RunnerPod]
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How fast and how patient. An idle runner leaves after `wait_timeout_seconds`."""

    burst_max: int
    start_timeout_seconds: float
    wait_timeout_seconds: float


@dataclass(frozen=True, slots=True)
class WantedRunner:
    """One runner to create."""

    profile: Profile
    job: PendingJob
    attempt: int


@dataclass(frozen=True, slots=True)
class Unroutable:
    """A pending job that no profile can take, and why."""

    job: PendingJob
    reason: str


@dataclass(frozen=True, slots=True)
class ProfileDemand:
    """What one profile has, needs and why it does not get more."""

    profile: Profile
    pending: tuple[PendingJob, ...]
    active: int
    busy: int
    free: int
    create: tuple[WantedRunner, ...]
    expired: tuple[RunnerPod, ...]
    held: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    demands: tuple[ProfileDemand, ...]
    unroutable: tuple[Unroutable, ...]


def decide(profiles: Sequence[Profile], observed: Observed, bounds: Bounds, now: datetime) -> Plan:
    """Return the runners to create and the pods to give up, per profile, and the jobs nobody can take."""
    routed: dict[str, list[PendingJob]] = {profile.name: [] for profile in profiles}
    unroutable = []
    for job in sorted(observed.pending, key=lambda job: job.id):
        if job.is_assigned:
            continue  # a runner has it and will acknowledge it, or GitLab puts it back
        profile = route(profiles, job.tags)
        if profile:
            routed[profile.name].append(job)
        else:
            unroutable.append(Unroutable(job, why_unroutable(profiles, job.tags)))
    busy = observed.busy | {job.taken_by for job in observed.pending if job.taken_by}
    demands = tuple(_demand(profile, routed[profile.name], busy, observed, bounds, now) for profile in profiles)
    return Plan(demands, tuple(unroutable))


def route(profiles: Sequence[Profile], tags: frozenset[str]) -> Profile | None:
    """Return the most specific profile for these tags: the one with the fewest tags the job did not ask for."""
    return min((profile for profile in profiles if profile.fits(tags)), key=lambda p: len(p.tags), default=None)


def why_unroutable(profiles: Sequence[Profile], tags: frozenset[str]) -> str:
    """Return, for a person, why no profile takes a job with these tags."""
    if not tags:
        return "the job has no tags, and no profile takes untagged jobs"
    nearest = min(profiles, key=lambda profile: len(tags - set(profile.tags)), default=None)
    if nearest is None:
        return "there are no profiles"
    missing = ", ".join(sorted(tags - set(nearest.tags)))
    if len(missing) and not tags & set(nearest.tags):
        return f"no profile has the tags [{', '.join(sorted(tags))}]"
    return f"no profile has all its tags; the nearest, {nearest.name}, lacks [{missing}]"


def _demand(
    profile: Profile,
    pending: list[PendingJob],
    busy: frozenset[str] | set[str],
    observed: Observed,
    bounds: Bounds,
    now: datetime,
) -> ProfileDemand:
    pods = [pod for pod in observed.pods if pod.profile == profile.name]
    active = [pod for pod in pods if not pod.is_finished]
    idle = [pod for pod in active if pod.system_id not in busy]
    expired = [pod for pod in idle if _is_expired(pod, bounds, now)]
    token = observed.tokens.get(profile.name, "")
    free = [pod for pod in idle if pod not in expired and pod.token == token and not _is_overdue(pod, bounds, now)]
    uncovered = _uncovered(pending, free)
    wanted = [WantedRunner(profile, job, _next_attempt(pods, job)) for job in uncovered if _is_due(pods, job, now)]
    room = max(0, profile.runners_max - len(active))
    allowed, held = _allowance(pods, active, token, room, bounds, now)
    if not held and uncovered and not wanted:
        held = "earlier pods ended without taking the job; waiting before the next attempt"
    return ProfileDemand(
        profile=profile,
        pending=tuple(pending),
        active=len(active),
        busy=len(active) - len(idle),
        free=len(free),
        create=tuple(wanted[:allowed]),
        expired=tuple(expired),
        held=held if uncovered else "",
    )


def _is_expired(pod: RunnerPod, bounds: Bounds, now: datetime) -> bool:
    return pod.phase is Phase.STARTING and now - pod.created_at > timedelta(seconds=bounds.start_timeout_seconds)


def _is_overdue(pod: RunnerPod, bounds: Bounds, now: datetime) -> bool:
    """Whether an idle runner should have left: its cluster cannot be reached, or it has just run its job."""
    patience = timedelta(seconds=bounds.wait_timeout_seconds + _LEAVING_SECONDS)
    return pod.started_at is not None and now - pod.started_at > patience


def _uncovered(pending: Iterable[PendingJob], free: Iterable[RunnerPod]) -> list[PendingJob]:
    """Return the jobs no free pod is there for. A pod counts first for the job it was made for, then for the oldest.

    Any free pod may take any of the jobs; pairing by name only makes the names of new Jobs the same on a retry.
    """
    jobs = {job.id: job for job in pending}
    spare = sum(jobs.pop(pod.ci_job, None) is None for pod in free)
    return list(jobs.values())[spare:]


def _next_attempt(pods: Iterable[RunnerPod], job: PendingJob) -> int:
    return max((pod.attempt + 1 for pod in pods if pod.ci_job == job.id), default=0)


def _is_due(pods: Iterable[RunnerPod], job: PendingJob, now: datetime) -> bool:
    ended = [pod.finished_at or pod.created_at for pod in pods if pod.ci_job == job.id and pod.is_finished]
    return len(ended) < 2 or now >= max(ended) + _backoff(len(ended) - 1)


def _backoff(count: int) -> timedelta:
    return timedelta(seconds=min(_RETRY_SECONDS_MIN * 2.0 ** min(count - 1, 10), _RETRY_SECONDS_MAX))


def _allowance(
    pods: Sequence[RunnerPod], active: Sequence[RunnerPod], token: str, room: int, bounds: Bounds, now: datetime
) -> tuple[int, str]:
    """Return how many runners may be created now, and what holds back more."""
    if not token:
        return 0, "the profile has no runner token yet"
    failures = _failures_in_a_row(pods)
    if len(failures) >= _FAILURES_TOLERATED:
        next_probe = failures[-1] + _backoff(len(failures) - _FAILURES_TOLERATED + 1)
        reason = f"the last {len(failures)} pods failed; probing with one pod at a time"
        is_probing = any(pod.phase is Phase.STARTING for pod in active)
        return int(now >= next_probe and not is_probing and room > 0), reason
    if room == 0:
        return 0, "the profile is at its max"
    return min(room, bounds.burst_max), ""


def _failures_in_a_row(pods: Iterable[RunnerPod]) -> list[datetime]:
    """Return when pods failed since the last one that did not, oldest first."""
    ended = sorted((pod.finished_at or pod.created_at, pod.phase is Phase.FAILED) for pod in pods if pod.is_finished)
    failures: list[datetime] = []
    for when, is_failed in ended:
        failures = [*failures, when] if is_failed else []
    return failures
