"""Any interleaving of jobs, pods, failures and looks: the bounds hold at every step, and in the end every job is run.

The model is GitLab (gives the oldest pending job to whoever asks) and the cluster (pods start, leave, fail in any
order), with demand.decide between them.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.demand import decide
from bridge.observed import Bounds, Fleet, Observed, PendingJob, Phase, RunnerPod
from bridge.profiles import Profile

ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",), max=4)
KEPT = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",), max=4, min=2, idle=1)
BOUNDS = Bounds(burst_max=3, start_timeout_seconds=600, wait_timeout_seconds=120)


class Crew(RuleBasedStateMachine):
    """One profile, its queue and its pods."""

    profile = ARM

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.pushed = 0
        self.pending: list[int] = []
        self.work: dict[str, int] = {}  # system id -> CI job
        self.ended: list[int] = []
        self.pods: dict[str, RunnerPod] = {}

    def in_phase(self, *phases: Phase) -> list[RunnerPod]:
        """Pods in these phases, by name."""
        return sorted((pod for pod in self.pods.values() if pod.phase in phases), key=lambda pod: pod.job)

    def change(self, pod: RunnerPod, phase: Phase) -> None:
        """Let a pod go on."""
        is_end = phase in (Phase.SUCCEEDED, Phase.FAILED)
        started_at = self.now if phase is Phase.RUNNING else pod.started_at
        self.pods[pod.job] = replace(pod, phase=phase, started_at=started_at, finished_at=self.now if is_end else None)

    @rule(count=st.integers(1, 4))
    def push(self, count: int) -> None:
        """New jobs."""
        self.pending += range(self.pushed + 1, self.pushed + count + 1)
        self.pushed += count

    @rule()
    def look(self) -> None:
        """The bridge looks and creates what it wants; a name that exists is refused by the API server."""
        pending = [PendingJob(job, "p", "j", frozenset({"arm64"})) for job in self.pending]
        observed = Observed(frozenset(self.work), pending, Fleet(list(self.pods.values())), {"arm64": "t"})
        (wish,) = decide((self.profile,), observed, BOUNDS, self.now).demands
        for pod in wish.expired:
            assert pod.system_id not in self.work
            del self.pods[pod.job]
        for wanted in wish.create:
            name = f"{wanted.ci_job}-{wanted.attempt}"
            assert name not in self.pods, "a new runner needs a new name"
            self.pods[name] = RunnerPod(
                name, name, "arm64", wanted.ci_job, wanted.attempt, f"r_{name}", "t", Phase.STARTING, self.now
            )

    @rule(seconds=st.integers(1, 700))
    def pass_time(self, seconds: int) -> None:
        """Time passes; finished pods are forgotten after their time to live."""
        self.now += timedelta(seconds=seconds)
        for pod in self.in_phase(Phase.SUCCEEDED, Phase.FAILED):
            if pod.finished_at and self.now - pod.finished_at > timedelta(seconds=900):
                del self.pods[pod.job]

    @precondition(lambda self: self.in_phase(Phase.STARTING))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """A pod comes up."""
        self.change(data.draw(st.sampled_from(self.in_phase(Phase.STARTING))), Phase.RUNNING)

    @precondition(lambda self: self.in_phase(Phase.RUNNING))
    @rule(data=st.data())
    def poll(self, data: st.DataObject) -> None:
        """A runner asks for a job, or goes on with the one it has."""
        self.serve(data.draw(st.sampled_from(self.in_phase(Phase.RUNNING))))

    def serve(self, pod: RunnerPod) -> None:
        """Give the oldest job to a runner without one."""
        if pod.system_id not in self.work and self.pending:
            self.work[pod.system_id] = self.pending.pop(0)

    @precondition(lambda self: self.in_phase(Phase.RUNNING))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A runner finishes its job, or has waited long enough."""
        self.end(data.draw(st.sampled_from(self.in_phase(Phase.RUNNING))), Phase.SUCCEEDED)

    @precondition(lambda self: self.in_phase(Phase.STARTING, Phase.RUNNING))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """A pod dies, and its job with it."""
        self.end(data.draw(st.sampled_from(self.in_phase(Phase.STARTING, Phase.RUNNING))), Phase.FAILED)

    def end(self, pod: RunnerPod, phase: Phase) -> None:
        """A pod is over, however."""
        if job := self.work.pop(pod.system_id, None):
            self.ended.append(job)
        self.change(pod, phase)

    @invariant()
    def max_is_kept(self) -> None:
        """Never more runners than the profile allows."""
        assert len(self.in_phase(Phase.STARTING, Phase.RUNNING)) <= self.profile.runners_max

    @invariant()
    def no_job_is_lost_or_run_twice(self) -> None:
        """Every job is in exactly one place."""
        assert sorted([*self.pending, *self.work.values(), *self.ended]) == list(range(1, self.pushed + 1))

    def teardown(self) -> None:
        """In a calm cluster, looks every 10 s and pods that work bring the queue to nothing."""
        rounds = 0
        while self.pending:
            rounds += 1
            assert rounds < 200, f"starved: {self.pending}"
            self.pass_time(10)
            self.look()
            for pod in self.in_phase(Phase.STARTING):
                self.change(pod, Phase.RUNNING)
            for pod in self.in_phase(Phase.RUNNING):
                self.serve(pod)
            for pod in self.in_phase(Phase.RUNNING):
                self.end(pod, Phase.SUCCEEDED)
            self.max_is_kept()
            self.no_job_is_lost_or_run_twice()
        self.no_pods_are_missing()

    def no_pods_are_missing(self) -> None:
        """With nothing to do, min and idle are there after a while."""
        wanted = max(self.profile.runners_min, self.profile.idle)
        for _ in range(100):
            self.pass_time(10)
            self.look()
            for pod in self.in_phase(Phase.STARTING):
                self.change(pod, Phase.RUNNING)
            if len(self.in_phase(Phase.RUNNING)) >= wanted:
                return
        raise AssertionError("the kept runners never came")


class KeptCrew(Crew):
    """The same with runners that are always there."""

    profile = KEPT


for machine in (Crew, KeptCrew):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCrew = Crew.TestCase
TestKeptCrew = KeptCrew.TestCase
