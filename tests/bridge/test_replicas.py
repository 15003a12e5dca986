"""Replicas of a Deployment: a table of situations, properties, and a machine with a ReplicaSet controller in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.observed import Bounds, ManagerPod, Phase, RunnerDeployment
from bridge.profiles import Profile
from bridge.replicas import BUSY_COST, Scaling, Step, decide

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(seconds=301)
BOUNDS = Bounds(burst_max=3, start_timeout_seconds=600, wait_timeout_seconds=120, scale_down_delay_seconds=300)
AUTO = {"os": "linux", "arch": "arm64", "tags": ("arm64",), "mode": "deployment", "max": 6}
ARM = Profile.model_validate({"name": "arm64", **AUTO, "min": 1})
READY = Profile.model_validate({"name": "arm64", **AUTO, "idle": 2})
BY_HAND = Profile.model_validate({"name": "arm64", **AUTO, "replicas": 2})


def manager(
    number: int, ago: float = 60, *, cost: int = 0, is_ready: bool = True, is_leaving: bool = False
) -> ManagerPod:
    return ManagerPod(
        pod=f"arm64-{number}",
        uid=f"uid-{number}",
        profile="arm64",
        system_id=f"r_{number}",
        phase=Phase.RUNNING if is_ready else Phase.STARTING,
        created_at=NOW - timedelta(seconds=ago),
        is_assigned=True,
        is_ready=is_ready,
        is_leaving=is_leaving,
        deletion_cost=cost,
    )


def deployed(replicas: int, *, paused: float | None = None, is_settled: bool = True) -> RunnerDeployment:
    since = None if paused is None else NOW - timedelta(seconds=paused)
    return RunnerDeployment("arm64", "uid", "1", "arm64", "t", replicas, is_settled, since)


def look(
    managers: list[ManagerPod],
    deployment: RunnerDeployment | None,
    *,
    pending: int = 0,
    busy: tuple[int, ...] = (),
    since: datetime | None = None,
    profile: Profile = ARM,
) -> Scaling:
    at_work = frozenset(f"r_{number}" for number in busy)
    return decide(profile, pending, at_work, managers, deployment, BOUNDS, NOW, since)


def test_it_is_made_with_what_is_needed_now() -> None:
    assert look([], None) == Scaling(Step.CREATE, 1)
    assert look([], None, pending=9) == Scaling(Step.CREATE, 3), "no more than a burst"
    assert look([], None, profile=BY_HAND) == Scaling(Step.CREATE, 2)


@pytest.mark.parametrize(
    ("situation", "pending", "busy", "profile", "expected"),
    [
        ("one pod, nothing to do", 0, (), ARM, (Step.KEEP, 1)),
        ("one pod, one job: it will take it", 1, (), ARM, (Step.KEEP, 1)),
        ("one busy pod, one job", 1, (0,), ARM, (Step.RAISE, 2)),
        ("many jobs: a burst at a time", 9, (0,), ARM, (Step.RAISE, 4)),
        ("two free ones shall be ready", 0, (), READY, (Step.RAISE, 2)),
        ("and two more than the busy one", 0, (0,), READY, (Step.RAISE, 3)),
        ("and two more than the busy and the waiting", 1, (0,), READY, (Step.RAISE, 4)),
    ],
)
def test_raising(
    situation: str, pending: int, busy: tuple[int, ...], profile: Profile, expected: tuple[Step, int]
) -> None:
    found = look([manager(0, cost=BUSY_COST if busy else 0)], deployed(1), pending=pending, busy=busy, profile=profile)
    assert (found.step, found.replicas) == expected, situation


def test_lowering_waits_then_pauses_then_shrinks_then_resumes() -> None:
    pods = [manager(0, cost=BUSY_COST), manager(1), manager(2)]
    waits = look(pods, deployed(3), busy=(0,))
    assert (waits.step, waits.surplus_since) == (Step.KEEP, NOW)
    assert look(pods, deployed(3), busy=(0,), since=NOW - timedelta(seconds=299)).step is Step.KEEP
    assert look(pods, deployed(3), busy=(0,), since=LONG_AGO).step is Step.PAUSE
    shrinks = look(pods, deployed(3, paused=10), busy=(0,), since=LONG_AGO)
    assert (shrinks.step, shrinks.replicas, shrinks.resumes) == (Step.SHRINK, 1, False)
    leaving = [pods[0], replace(pods[1], is_leaving=True)]
    assert not look(leaving, deployed(1, paused=20), busy=(0,)).resumes, "an idle one may still ask for a job"
    assert look(pods[:1], deployed(1, paused=20), busy=(0,)).resumes
    assert look([pods[0], replace(pods[1], is_leaving=True)], deployed(1, paused=121), busy=(0,)).resumes


def test_a_job_that_waits_ends_the_pause() -> None:
    pods = [manager(0, cost=BUSY_COST), manager(1)]
    found = look(pods, deployed(2, paused=5), busy=(0,), pending=1, since=LONG_AGO)
    assert (found.step, found.resumes) == (Step.KEEP, True)


@pytest.mark.parametrize(
    ("why", "busy_pod", "is_settled"),
    [
        ("is not ready", manager(0, cost=BUSY_COST, is_ready=False), True),
        ("still being rolled out", manager(0, cost=BUSY_COST), False),
        ("deletion costs have just changed", manager(0), True),
    ],
)
def test_trap_1_11_it_is_not_shrunk_while_a_busy_pod_might_be_chosen(
    why: str, busy_pod: ManagerPod, is_settled: bool
) -> None:
    pods = [busy_pod, manager(1), manager(2)]
    found = look(pods, deployed(3, paused=10, is_settled=is_settled), busy=(0,), since=LONG_AGO)
    assert (found.step, found.resumes) == (Step.KEEP, False)
    assert why in found.held
    given_up = look(pods, deployed(3, paused=121, is_settled=is_settled), busy=(0,), since=LONG_AGO)
    assert (given_up.resumes, given_up.surplus_since) == (True, NOW)


def test_deletion_costs_follow_the_busy_ones() -> None:
    found = look([manager(0), manager(1, cost=BUSY_COST), manager(2, is_leaving=True)], deployed(2), busy=(0, 2))
    assert [(pod.pod, cost) for pod, cost in found.costs] == [("arm64-0", BUSY_COST), ("arm64-1", 0)]


def test_replicas_kept_by_hand_are_left_alone_but_costs_are_kept() -> None:
    found = look([manager(0)], deployed(5), busy=(0,), pending=9, since=LONG_AGO, profile=BY_HAND)
    assert (found.step, found.replicas) == (Step.KEEP, 5)
    assert [cost for _, cost in found.costs] == [BUSY_COST]


def test_a_pod_that_does_not_come_up_gets_a_stand_in_within_max() -> None:
    pods = [manager(number, ago=601, is_ready=False) for number in range(2)]
    assert look(pods, deployed(2), pending=1).replicas == 3
    assert look(pods, deployed(2), pending=9).replicas == 5, "a burst at a time"
    assert look([manager(n, ago=601, is_ready=False) for n in range(6)], deployed(6), pending=9).step is Step.KEEP


def test_fewer_than_are_at_work_are_never_wanted_even_where_max_was_lowered() -> None:
    low = Profile.model_validate({"name": "arm64", **AUTO, "max": 1})
    pods = [manager(number, cost=BUSY_COST) for number in range(3)]
    found = look(pods, deployed(4, paused=10), busy=(0, 1, 2), since=LONG_AGO, profile=low)
    assert (found.step, found.replicas) == (Step.SHRINK, 3)


def by_the_controller(pods: list[ManagerPod], count: int) -> list[ManagerPod]:
    """The pods that the ReplicaSet controller deletes, in its order (controller_utils.go), all else being equal."""
    return sorted(pods, key=lambda p: (p.is_assigned, p.phase is Phase.RUNNING, p.is_ready, p.deletion_cost))[:count]


crews = st.lists(
    st.builds(
        manager,
        st.integers(0, 7),
        st.floats(0, 900),
        cost=st.sampled_from([0, BUSY_COST, -5]),
        is_ready=st.booleans(),
        is_leaving=st.booleans(),
    ),
    unique_by=lambda pod: pod.pod,
    max_size=8,
)


@given(
    crews,
    st.sets(st.integers(0, 7)),
    st.integers(0, 20),
    st.integers(0, 8),
    st.sampled_from([None, 1.0, 130.0]),
    st.booleans(),
    st.sampled_from([ARM, READY, BY_HAND]),
)
def test_no_busy_pod_is_ever_a_victim_and_bounds_hold(
    crew: list[ManagerPod],
    busy: set[int],
    pending: int,
    replicas: int,
    paused: float | None,
    is_settled: bool,
    profile: Profile,
) -> None:
    deployment = deployed(replicas, paused=paused, is_settled=is_settled)
    found = look(crew, deployment, pending=pending, busy=tuple(busy), since=LONG_AGO, profile=profile)
    staying = [pod for pod in crew if not pod.is_leaving]
    at_work = {f"r_{number}" for number in busy}
    if found.step is Step.SHRINK:
        assert paused is not None, "never without the pause"
        assert profile.owns_replicas
        victims = by_the_controller(staying, len(staying) - found.replicas) if len(staying) > found.replicas else []
        assert not at_work & {pod.system_id for pod in victims}
        assert found.replicas >= profile.runners_min
    if found.step is Step.RAISE:
        assert replicas < found.replicas <= max(profile.runners_max, sum(pod.system_id in at_work for pod in staying))
    if found.step in (Step.KEEP, Step.PAUSE):
        assert found.replicas == replicas


@given(st.integers(0, 12), st.integers(0, 8), st.sampled_from([ARM, READY]))
def test_it_converges(pending: int, replicas: int, profile: Profile) -> None:
    """With ready pods and unchanging demand it comes to rest, unpaused, where demand and bounds say."""
    now, since, deployment = NOW, None, deployed(replicas)
    for _ in range(80):
        now += timedelta(seconds=10)
        pods = [replace(manager(number), created_at=now) for number in range(deployment.replicas)]
        found = decide(profile, pending, frozenset(), pods, deployment, BOUNDS, now, since)
        since = found.surplus_since
        paused_since = now if found.step is Step.PAUSE else None if found.resumes else deployment.paused_since
        deployment = replace(deployment, replicas=found.replicas, paused_since=paused_since)
    assert deployment.replicas == min(max(profile.runners_min, pending + profile.idle), profile.runners_max)
    assert deployment.paused_since is None
