"""How many replicas a profile's Deployment shall have, and how to get there without ending a running job. Pure.

Raising is done at once. Lowering is delayed, and done in steps, because a Deployment deletes pods of the ReplicaSet
controller's choice, and because a runner that is told to stop drops the request for a job that it has in flight, with
the job GitLab may just have put into the answer (two-phase commit would save it; most GitLabs do not have it on):

1. *pause* the runner at GitLab: nobody gets a job from now on; busy ones go on;
2. *shrink*, at a later look, whose list of busy managers was read after the pause, and only if the controller must
   choose idle pods: it deletes unassigned, then not running, then not ready pods, then those of lower deletion cost
   first, so every busy pod has to be assigned, running, ready and to carry the higher cost;
3. *resume* when the idle ones that leave are gone.

Each step is read back from the cluster (the pause is on record in an annotation of the Deployment, written before
GitLab is told), so a bridge that is killed anywhere goes on from there. A job that waits, or anything that makes the
shrinking unsafe for a minute, ends the pause.

With `replicas: N` the number is a person's: nothing here touches it. Busy pods carry the deletion cost all the same, so
that `kubectl scale` takes idle ones first; a busy one that has to go finishes its job (its grace period is longer than
any job).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.observed import Bounds, ManagerPod, Phase, RunnerDeployment
from bridge.profiles import Profile

BUSY_COST = 1000  # above anybody's own; idle pods have none, which counts as 0
# A shrink needs two looks and the news of both; longer, and waiting jobs pay for it. Idle pods leave at once.
_PAUSE_MAX = timedelta(seconds=120)


class Step(StrEnum):
    """What to do about the number of replicas."""

    KEEP = "keep"
    CREATE = "create"
    RAISE = "raise"
    PAUSE = "pause"
    SHRINK = "shrink"


@dataclass(frozen=True, slots=True)
class Scaling:
    """One look's decision: the step, the number it leads to, deletion costs to write, and what to remember.

    `resumes`: a pause of ours ends now.
    """

    step: Step
    replicas: int
    costs: tuple[tuple[ManagerPod, int], ...] = ()
    surplus_since: datetime | None = None
    resumes: bool = False
    held: str = ""


def decide(
    profile: Profile,
    pending: int,
    busy: frozenset[str],
    managers: Sequence[ManagerPod],
    deployment: RunnerDeployment | None,
    bounds: Bounds,
    now: datetime,
    surplus_since: datetime | None,
) -> Scaling:
    """Return the next step for one profile. `managers` are its pods that have not finished, also those leaving."""
    wanted = wanted_replicas(profile, pending, busy, managers, bounds, now)
    if deployment is None:
        automatic = min(wanted, max(profile.runners_min, bounds.burst_max))
        return Scaling(Step.CREATE, profile.replicas if isinstance(profile.replicas, int) else automatic)
    costs = _costs(busy, managers)
    current = deployment.replicas
    if not profile.owns_replicas or wanted == current:
        return Scaling(Step.KEEP, current, costs, None, _may_resume(deployment, busy, managers, now))
    if wanted > current:
        raised = min(wanted, max(current + bounds.burst_max, profile.runners_min))
        return Scaling(Step.RAISE, raised, costs, None, _may_resume(deployment, busy, managers, now))
    return _lower(wanted, busy, managers, deployment, costs, bounds, now, surplus_since or now)


def _lower(
    wanted: int,
    busy: frozenset[str],
    managers: Sequence[ManagerPod],
    deployment: RunnerDeployment,
    costs: tuple[tuple[ManagerPod, int], ...],
    bounds: Bounds,
    now: datetime,
    since: datetime,
) -> Scaling:
    current = deployment.replicas
    if deployment.paused_since is None:
        is_due = now - since >= timedelta(seconds=bounds.scale_down_delay_seconds)
        return Scaling(Step.PAUSE if is_due else Step.KEEP, current, costs, since)
    if obstacle := _obstacle(busy, managers, deployment, costs):
        is_over = now - deployment.paused_since > _PAUSE_MAX
        return Scaling(Step.KEEP, current, costs, now if is_over else since, is_over, f"not shrunk: {obstacle}")
    return Scaling(Step.SHRINK, wanted, costs, since)


def wanted_replicas(
    profile: Profile, pending: int, busy: frozenset[str], managers: Sequence[ManagerPod], bounds: Bounds, now: datetime
) -> int:
    """Return how many pods the profile needs: those at work, one per waiting job, the idle ones; and stand-ins.

    A pod that has not become ready in its time does not count, but is not given up: the Deployment keeps it, and a
    further one stands in. Never fewer than are at work, not even where `max` was lowered.
    """
    staying = [pod for pod in managers if not pod.is_leaving]
    at_work = sum(pod.system_id in busy for pod in staying)
    lame = sum(_is_lame(pod, busy, bounds, now) for pod in staying)
    wanted = max(profile.runners_min, at_work + pending + profile.idle) + lame
    return max(min(wanted, profile.runners_max), at_work)


def _is_lame(pod: ManagerPod, busy: frozenset[str], bounds: Bounds, now: datetime) -> bool:
    is_late = now - pod.created_at > timedelta(seconds=bounds.start_timeout_seconds)
    return is_late and not pod.is_ready and pod.system_id not in busy


def _costs(busy: frozenset[str], managers: Sequence[ManagerPod]) -> tuple[tuple[ManagerPod, int], ...]:
    wanted = [(pod, BUSY_COST if pod.system_id in busy else 0) for pod in managers if not pod.is_leaving]
    return tuple((pod, cost) for pod, cost in wanted if pod.deletion_cost != cost)


def _obstacle(
    busy: frozenset[str],
    managers: Sequence[ManagerPod],
    deployment: RunnerDeployment,
    costs: Sequence[tuple[ManagerPod, int]],
) -> str:
    """Return why the ReplicaSet controller might choose a pod at work, or nothing."""
    if not deployment.is_settled:
        return "the Deployment is still being rolled out"
    if costs:
        return "deletion costs have just changed"
    for pod in managers:
        is_first_choice = not (pod.is_assigned and pod.phase is Phase.RUNNING and pod.is_ready)
        if pod.system_id in busy and not pod.is_leaving and is_first_choice:
            return f"pod {pod.pod} runs a job and is not ready, so it would be deleted first"
    return ""


def _may_resume(
    deployment: RunnerDeployment, busy: frozenset[str], managers: Sequence[ManagerPod], now: datetime
) -> bool:
    """Whether a pause of ours can end: nobody is leaving who could still ask for a job, or it has taken too long."""
    if deployment.paused_since is None:
        return False
    are_gone = all(pod.system_id in busy for pod in managers if pod.is_leaving)
    return (are_gone and deployment.is_settled) or now - deployment.paused_since > _PAUSE_MAX
