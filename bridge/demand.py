"""How many one-job runners each profile needs now: pure, from what was read to what to create.

A pod is *active* until it is finished, *busy* while GitLab says that its system id runs a job, and otherwise *free*,
unless it cannot take a job any more (older token, never started, should have left). Each free pod will take one
pending job, whichever GitLab gives it; so only pending jobs beyond the free pods need new ones. `idle` asks for so many
free pods beyond those, `min` for so many active ones; they get *spare* runners, made for no job in particular. Nothing
is ever deleted to shrink: an idle runner leaves by its own wait timeout, and no job can be lost.

Read busy before pending. A job that starts in between is then missed in both (one runner too few until the next
look); the other order would count it twice (one runner too many).

Hysteresis: attempts that ended without the job being gone wait longer each time, spare runners that leave at once are
made again more slowly, and a profile whose pods keep failing (wrong image, no rights) is probed with one pod at a
time. All is read from the finished Jobs in the cluster, so a restarted bridge remembers.

Profiles in deployment mode are decided in replicas.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge import replicas
from bridge.observed import Bounds, Observed, PendingJob, Phase, RunnerPod
from bridge.profiles import Mode, Profile
from bridge.replicas import Scaling
from bridge.routing import Unroutable, routed

_RETRY_SECONDS_MIN = 10.0  # a pod that came and went without its job: GitLab may need a moment
_RETRY_SECONDS_MAX = 300.0  # less than the time finished Jobs are kept, or we would forget and start over
_LEAVING_SECONDS = 120.0  # GitLab's long poll (50 s), the way back of the news, clocks that differ a little
_FAILURES_TOLERATED = 3  # one or two evictions are normal; more in a row are the profile's fault
_SHORT_LIFE = timedelta(seconds=30)  # a spare runner that ended sooner was not waiting for jobs


@dataclass(frozen=True, slots=True)
class WantedRunner:
    """One runner to create: for a job, or a spare one (`job` None), whose `attempt` is its number."""

    profile: Profile
    job: PendingJob | None
    attempt: int
    seed: str = ""  # makes the system id of a spare runner its own, although its name may have been used before

    @property
    def ci_job(self) -> int:
        """The CI job's id; 0 for a spare runner."""
        return self.job.id if self.job else 0


@dataclass(frozen=True, slots=True)
class ProfileDemand:
    """What one profile has, needs and why it does not get more. `scaling` is for deployment mode only."""

    profile: Profile
    pending: tuple[PendingJob, ...]
    active: int
    busy: int
    free: int
    create: tuple[WantedRunner, ...] = ()
    expired: tuple[RunnerPod, ...] = ()
    held: str = ""
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now."""

    demands: tuple[ProfileDemand, ...]
    unroutable: tuple[Unroutable, ...]


def decide(
    profiles: Sequence[Profile],
    observed: Observed,
    bounds: Bounds,
    now: datetime,
    surplus_since: Mapping[str, datetime] | None = None,
) -> Plan:
    """Return what to create, give up and scale, per profile, and the jobs nobody can take.

    `surplus_since` tells since when a Deployment has had more replicas than needed (replicas.py).
    """
    jobs, unroutable = routed(profiles, observed.pending)
    busy = observed.busy | {job.taken_by for job in observed.pending if job.taken_by}
    demands = []
    for profile in profiles:
        if profile.mode is Mode.DEPLOYMENT:
            since = (surplus_since or {}).get(profile.name)
            demands.append(_deployed(profile, jobs[profile.name], busy, observed, bounds, now, since))
        else:
            demands.append(_demand(profile, jobs[profile.name], busy, observed, bounds, now))
    return Plan(tuple(demands), tuple(unroutable))


def _deployed(
    profile: Profile,
    pending: list[PendingJob],
    busy: frozenset[str],
    observed: Observed,
    bounds: Bounds,
    now: datetime,
    surplus_since: datetime | None,
) -> ProfileDemand:
    fleet = observed.fleet
    crew = [pod for pod in fleet.managers if pod.profile == profile.name and not pod.is_finished]
    scaling = replicas.decide(
        profile, len(pending), busy, crew, fleet.deployments.get(profile.name), bounds, now, surplus_since
    )
    at_work = sum(pod.system_id in busy for pod in crew)
    free = sum(pod.system_id not in busy and not pod.is_leaving for pod in crew)
    held = scaling.held
    if profile.name not in observed.tokens:
        held = "the profile has no runner token yet"
    elif len(pending) > free and scaling.replicas >= profile.runners_max:
        held = "the profile is at its max"
    elif len(pending) > free and not profile.owns_replicas:
        held = f"replicas of {profile.deployment_name} are kept by hand"
    return ProfileDemand(profile, tuple(pending), len(crew), at_work, free, held=held, scaling=scaling)


def _demand(
    profile: Profile,
    pending: list[PendingJob],
    busy: frozenset[str],
    observed: Observed,
    bounds: Bounds,
    now: datetime,
) -> ProfileDemand:
    pods = [pod for pod in observed.fleet.pods if pod.profile == profile.name]
    active = [pod for pod in pods if not pod.is_finished]
    unoccupied = [pod for pod in active if pod.system_id not in busy]
    expired = [pod for pod in unoccupied if _is_expired(pod, bounds, now)]
    token = observed.tokens.get(profile.name, "")
    free = [
        pod for pod in unoccupied if pod not in expired and pod.token == token and not _is_overdue(pod, bounds, now)
    ]
    uncovered = _uncovered(pending, free)
    of_job = _by_job(pods)
    due = [WantedRunner(profile, job, _next(of_job[job.id])) for job in uncovered if _is_due(of_job[job.id], now)]
    at_work = len(active) - len(unoccupied)
    wanted_free = max(len(pending) + profile.idle, profile.runners_min - at_work)
    missing = max(0, wanted_free - len(free) - len(uncovered))
    spares = _spares(profile, missing, of_job[0], now)
    room = max(0, profile.runners_max - len(active))
    allowed, held = _allowance(pods, active, token, room, bounds, now)
    if not held and uncovered and not due:
        held = "earlier pods ended without taking the job; waiting before the next attempt"
    if not held and missing and not spares:
        held = "spare runners left as soon as they had come; waiting before the next attempt"
    return ProfileDemand(
        profile=profile,
        pending=tuple(pending),
        active=len(active),
        busy=at_work,
        free=len(free),
        create=tuple([*due, *spares][:allowed]),
        expired=tuple(expired),
        held=held if uncovered or missing else "",
    )


def _is_expired(pod: RunnerPod, bounds: Bounds, now: datetime) -> bool:
    return pod.phase is Phase.STARTING and now - pod.created_at > timedelta(seconds=bounds.start_timeout_seconds)


def _is_overdue(pod: RunnerPod, bounds: Bounds, now: datetime) -> bool:
    """Whether an idle runner should have left: its cluster cannot be reached, or it has just run its job."""
    wait = bounds.idle_timeout_seconds if pod.is_spare else bounds.wait_timeout_seconds
    return pod.started_at is not None and now - pod.started_at > timedelta(seconds=wait + _LEAVING_SECONDS)


def _uncovered(pending: Iterable[PendingJob], free: Iterable[RunnerPod]) -> list[PendingJob]:
    """Return the jobs no free pod is there for. A pod counts first for the job it was made for, then for the oldest.

    Any free pod may take any of the jobs; pairing by name only makes the names of new Jobs the same on a retry.
    """
    jobs = {job.id: job for job in pending}
    spare = sum(jobs.pop(pod.ci_job, None) is None for pod in free)
    return list(jobs.values())[spare:]


def _by_job(pods: Iterable[RunnerPod]) -> dict[int, list[RunnerPod]]:
    found: dict[int, list[RunnerPod]] = defaultdict(list)
    for pod in pods:
        found[pod.ci_job].append(pod)
    return found


def _next(pods: Iterable[RunnerPod]) -> int:
    return max((pod.attempt + 1 for pod in pods), default=0)


def _is_due(pods: Iterable[RunnerPod], now: datetime) -> bool:
    ended = [pod.finished_at or pod.created_at for pod in pods if pod.is_finished]
    return len(ended) < 2 or now >= max(ended) + _backoff(len(ended) - 1)


def _spares(profile: Profile, missing: int, known: Sequence[RunnerPod], now: datetime) -> list[WantedRunner]:
    """Return so many spare runners, with numbers of their own; none while the last ones left as soon as they came."""
    left_early = [
        pod.finished_at
        for pod in known
        if pod.phase is Phase.SUCCEEDED and pod.finished_at and pod.finished_at - pod.created_at < _SHORT_LIFE
    ]
    if len(left_early) >= 2 and now < max(left_early) + _backoff(len(left_early) - 1):
        return []
    first = _next(known)
    return [WantedRunner(profile, None, first + number, now.isoformat()) for number in range(missing)]


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
