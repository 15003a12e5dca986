"""Demand: a table of situations, and properties that hold in all of them."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.demand import Plan, ProfileDemand, decide
from bridge.observed import Bounds, Fleet, Observed, PendingJob, Phase, RunnerPod
from bridge.profiles import Profile
from bridge.routing import route

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOUNDS = Bounds(burst_max=10, start_timeout_seconds=600, wait_timeout_seconds=120)
ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64", "aarch64"), max=5)
GPU = Profile(name="gpu", os="linux", arch="arm64", tags=("arm64", "aarch64", "gpu"), max=5)
WINDOWS = Profile(name="windows", os="windows", arch="amd64", tags=("windows",), max=5)


def waiting(number: int, *tags: str) -> PendingJob:
    return PendingJob(number, "group/app", f"build {number}", frozenset(tags or ("arm64",)))


def runner(number: int, phase: Phase = Phase.RUNNING, attempt: int = 0, ago: float = 60, token: str = "t") -> RunnerPod:
    when = NOW - timedelta(seconds=ago)
    return RunnerPod(
        job=f"isthmus-arm64-{number}-{attempt}",
        uid=f"uid-{number}-{attempt}",
        profile="arm64",
        ci_job=number,
        attempt=attempt,
        system_id=f"r_{number}_{attempt}",
        token=token,
        phase=phase,
        created_at=when,
        finished_at=when if phase in (Phase.SUCCEEDED, Phase.FAILED) else None,
    )


def plan(
    pending: list[PendingJob],
    pods: list[RunnerPod] | None = None,
    busy: frozenset[str] = frozenset(),
    profiles: tuple[Profile, ...] = (ARM, WINDOWS),
    token: str = "t",
    bounds: Bounds = BOUNDS,
) -> Plan:
    tokens = {profile.name: token for profile in profiles if token}
    return decide(profiles, Observed(busy, pending, Fleet(pods or []), tokens), bounds, NOW)


def arm(plan: Plan) -> ProfileDemand:
    return next(wish for wish in plan.demands if wish.profile.name == "arm64")


def created(plan: Plan) -> list[tuple[int, int]]:
    return [(wanted.ci_job, wanted.attempt) for wanted in arm(plan).create]


@pytest.mark.parametrize(
    ("situation", "pending", "pods", "busy", "expected"),
    [
        ("nothing waits", [], [], [], []),
        ("one waits", [1], [], [], [(1, 0)]),
        ("a starting pod will take it", [1], [runner(1, Phase.STARTING)], [], []),
        ("an idle pod made for another job will take it", [2], [runner(1)], [], []),
        ("a busy pod will not", [2], [runner(1)], ["r_1_0"], [(2, 0)]),
        ("the pod made for it took another: next attempt", [1], [runner(1)], ["r_1_0"], [(1, 1)]),
        ("a finished pod does not count", [1], [runner(1, Phase.SUCCEEDED)], [], [(1, 1)]),
        ("a pod with an older token can take nothing", [1], [runner(1, token="old")], [], [(1, 1)]),
        ("two wait, one pod free: the newer gets its own", [1, 2], [runner(9)], [], [(2, 0)]),
        ("a pod counts first for the job it was made for", [1, 2], [runner(2, Phase.STARTING)], [], [(1, 0)]),
    ],
)
def test_situations(
    situation: str, pending: list[int], pods: list[RunnerPod], busy: list[str], expected: list[tuple[int, int]]
) -> None:
    assert created(plan([waiting(number) for number in pending], pods, frozenset(busy))) == expected, situation


def test_trap_1_6_a_pending_job_with_a_runner_is_not_demand() -> None:
    taken = replace(waiting(1), is_assigned=True, taken_by="r_7_0")
    assert created(plan([taken])) == []
    # The runner that has it is not free either: another job needs another runner.
    assert created(plan([taken, waiting(2)], [runner(7)])) == [(2, 0)]


def test_never_more_than_max_nor_burst() -> None:
    jobs = [waiting(number) for number in range(20)]
    assert len(created(plan(jobs, [runner(100)]))) == 4
    assert arm(plan(jobs, [runner(n) for n in range(100, 105)])).held == "the profile is at its max"
    assert (
        len(created(plan(jobs, bounds=Bounds(burst_max=2, start_timeout_seconds=600, wait_timeout_seconds=120)))) == 2
    )


def test_a_job_is_counted_once_for_the_most_specific_profile() -> None:
    assert route((GPU, ARM), frozenset({"arm64"})) is ARM
    assert route((ARM, GPU), frozenset({"arm64", "gpu"})) is GPU
    counted = plan([waiting(1, "aarch64")], profiles=(GPU, ARM))
    assert [len(wish.pending) for wish in counted.demands] == [0, 1]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (frozenset[str](), "no tags"),
        (frozenset({"sparc"}), r"no profile has the tags \[sparc\]"),
        (frozenset({"arm64", "gpu"}), r"the nearest, arm64, lacks \[gpu\]"),
    ],
)
def test_a_job_nobody_takes_is_reported_with_the_reason(tags: frozenset[str], reason: str) -> None:
    lost = plan([replace(waiting(1), tags=tags)]).unroutable
    assert [found.job.id for found in lost] == [1]
    assert re.search(reason, lost[0].reason)


def test_a_pod_that_never_starts_is_given_up_and_replaced() -> None:
    late = runner(1, Phase.STARTING, ago=601)
    wish = arm(plan([waiting(1)], [late]))
    assert wish.expired == (late,)
    assert [(wanted.ci_job, wanted.attempt) for wanted in wish.create] == [(1, 1)]
    # GitLab says that it works: the news from the target is late, the pod is not.
    assert arm(plan([waiting(1)], [late], busy=frozenset({"r_1_0"}))).expired == ()


def test_an_idle_pod_that_should_have_left_is_not_waited_for() -> None:
    idle = runner(1)
    unreachable = replace(idle, started_at=NOW - timedelta(seconds=241))
    assert created(plan([waiting(2)], [replace(idle, started_at=NOW - timedelta(seconds=239))])) == []
    assert created(plan([waiting(2)], [unreachable])) == [(2, 0)]
    assert arm(plan([waiting(2)], [unreachable])).expired == (), "it may be at work where we cannot see it"


def test_attempts_that_end_without_the_job_gone_wait_longer_each_time() -> None:
    ended = [runner(1, Phase.SUCCEEDED, attempt=0, ago=200), runner(1, Phase.SUCCEEDED, attempt=1, ago=5)]
    held = arm(plan([waiting(1)], ended))
    assert held.create == ()
    assert "waiting before the next attempt" in held.held
    assert created(plan([waiting(1)], [ended[0], replace(ended[1], finished_at=NOW - timedelta(seconds=11))])) == [
        (1, 2)
    ]


def test_a_profile_whose_pods_keep_failing_is_probed_with_one_pod() -> None:
    jobs = [waiting(number) for number in range(10, 15)]
    failed = [runner(number, Phase.FAILED, ago=60 - number) for number in range(3)]
    assert len(created(plan(jobs, failed))) == 1
    assert created(plan(jobs, [*failed, runner(99, Phase.STARTING)])) == []
    recovered = [*failed, runner(4, Phase.SUCCEEDED, ago=1)]
    assert len(created(plan(jobs, recovered))) == 5


KEPT = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",), max=5, min=2, idle=1)


def spare(number: int, phase: Phase = Phase.RUNNING, ago: float = 60, lived: float = 40) -> RunnerPod:
    pod = runner(0, phase, number, ago + lived if phase is Phase.SUCCEEDED else ago)
    return replace(pod, finished_at=NOW - timedelta(seconds=ago)) if phase is Phase.SUCCEEDED else pod


@pytest.mark.parametrize(
    ("situation", "pending", "pods", "busy", "expected"),
    [
        ("min is made when nothing waits", [], [], [], [(0, 0), (0, 1)]),
        ("and no more than min", [], [spare(0), spare(1, Phase.STARTING)], [], []),
        ("busy ones count for min, idle asks for a free one", [], [spare(0), runner(7)], ["r_0_0", "r_7_0"], [(0, 1)]),
        ("a waiting job comes first, then the idle one", [1], [], [], [(1, 0), (0, 0)]),
        ("a free one is the waiting job's; another is made ready", [1], [spare(0)], [], [(0, 1)]),
        ("those that left are made again, with new numbers", [], [spare(0, Phase.SUCCEEDED), spare(1)], [], [(0, 2)]),
    ],
)
def test_min_and_idle(
    situation: str, pending: list[int], pods: list[RunnerPod], busy: list[str], expected: list[tuple[int, int]]
) -> None:
    found = plan([waiting(number) for number in pending], pods, frozenset(busy), (KEPT,))
    assert created(found) == expected, situation


def test_idle_never_goes_beyond_max() -> None:
    pods = [runner(number) for number in range(1, 6)]
    full = plan([], pods, frozenset(pod.system_id for pod in pods), (KEPT,))
    assert (created(full), arm(full).held) == ([], "the profile is at its max")


def test_spare_runners_that_leave_as_soon_as_they_come_are_made_more_slowly() -> None:
    early = [spare(number, Phase.SUCCEEDED, ago=5, lived=2) for number in range(2)]
    held = arm(plan([], early, profiles=(KEPT,)))
    assert held.create == ()
    assert "left as soon as they had come" in held.held
    later = [replace(pod, created_at=NOW - timedelta(20), finished_at=NOW - timedelta(seconds=11)) for pod in early]
    assert created(plan([], later, profiles=(KEPT,))) == [(0, 2), (0, 3)]


def test_a_spare_runner_waits_longer_than_one_made_for_a_job() -> None:
    for seconds, is_free in ((3600, True), (3721, False)):
        old = replace(spare(0), started_at=NOW - timedelta(seconds=seconds))
        assert arm(plan([], [old], profiles=(KEPT,))).free == int(is_free)


def test_the_system_id_of_a_spare_runner_is_new_although_its_name_is_not() -> None:
    (first, _) = arm(plan([], profiles=(KEPT,))).create
    (later, _) = arm(
        decide((KEPT,), Observed(frozenset(), [], Fleet(), {"arm64": "t"}), BOUNDS, NOW + timedelta(1))
    ).create
    assert first.attempt == later.attempt == 0
    assert first.seed != later.seed


def test_nothing_is_created_without_a_token_and_the_reason_is_told() -> None:
    assert arm(plan([waiting(1)], token="")).held == "the profile has no runner token yet"


jobs_drawn = st.lists(
    st.builds(waiting, st.integers(1, 40), st.sampled_from(["arm64", "aarch64"])), unique_by=lambda job: job.id
)
pods_drawn = st.lists(
    st.builds(
        runner,
        st.integers(0, 40),
        st.sampled_from(list(Phase)),
        st.integers(0, 3),
        st.floats(0, 2000),
        st.sampled_from(["t", "old"]),
    ),
    unique_by=lambda pod: pod.job,
)


@given(jobs_drawn, pods_drawn, st.data())
def test_bounds_hold_and_names_are_new(jobs: list[PendingJob], pods: list[RunnerPod], data: st.DataObject) -> None:
    ids = sorted({pod.system_id for pod in pods})
    busy = frozenset(data.draw(st.sets(st.sampled_from(ids)))) if ids else frozenset[str]()
    profile = data.draw(st.sampled_from([ARM, KEPT]))
    wish = arm(plan(jobs, pods, busy, (profile,)))
    active = [pod for pod in pods if not pod.is_finished]
    assert len(wish.create) + len(active) <= max(ARM.runners_max, len(active))
    assert len([wanted for wanted in wish.create if wanted.job]) <= max(0, len(jobs) - wish.free)
    made = {(wanted.ci_job, wanted.attempt) for wanted in wish.create}
    assert len(made) == len(wish.create)
    assert not made & {(pod.ci_job, pod.attempt) for pod in pods}
    assert all(pod.system_id not in busy for pod in wish.expired)


@given(jobs_drawn, pods_drawn, st.sampled_from([ARM, KEPT]))
def test_what_was_created_is_enough_and_a_second_look_adds_nothing(
    jobs: list[PendingJob], pods: list[RunnerPod], profile: Profile
) -> None:
    first = arm(plan(jobs, pods, profiles=(profile,)))
    fresh = [
        replace(runner(wanted.ci_job, Phase.STARTING, wanted.attempt), job=f"new-{wanted.ci_job}-{wanted.attempt}")
        for wanted in first.create
    ]
    second = arm(plan(jobs, [*pods, *fresh], profiles=(profile,)))
    assert second.free == first.free + len(first.create)
    if not first.held and len(jobs) + profile.idle <= second.free and profile.runners_min <= second.active:
        assert second.create == ()


@given(jobs_drawn, pods_drawn)
def test_a_crash_before_any_write_is_seen_repeats_the_same_names(jobs: list[PendingJob], pods: list[RunnerPod]) -> None:
    assert created(plan(jobs, pods)) == created(plan(list(reversed(jobs)), list(reversed(pods))))
