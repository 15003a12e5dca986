"""Whatever runners, people and the clock do: one job, one runner; tokens live as long as jobs; no dead ends."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lab.gitlab import jobs, pipelines, progress, runners
from lab.gitlab.errors import Forbidden
from lab.gitlab.model import Job, Runner
from lab.gitlab.states import FINISHED, WITH_RUNNER, JobStatus
from tests.lab.gitlab.core import INFO, Core

TEXTS = (
    "a: {script: [x], retry: 1}\nb: {stage: deploy, script: [x]}",
    "a: {script: [x], tags: [arm]}\nb: {script: [x], needs: [a], when: on_failure}\nc: {stage: deploy, script: [x]}",
    "a: {script: [x], when: manual, allow_failure: false}\nb: {stage: deploy, script: [x], when: always}",
    "a: {script: [x], parallel: 2, allow_failure: true}\nb: {stage: deploy, script: [x], needs: []}",
)
REASONS = ("script_failure", "runner_system_failure")


class Life(RuleBasedStateMachine):
    """Two runners with different tags, a clock, and people who cancel, retry and play."""

    @initialize(two_phase=st.booleans())
    def begin(self, two_phase: bool) -> None:
        self.core = Core(two_phase_commit=two_phase)
        self.runners = [self.core.runner(), self.core.runner("arm", is_locked=True)]
        self.given: dict[int, Runner] = {}

    @rule(text=st.sampled_from(TEXTS))
    def push(self, text: str) -> None:
        self.core.pipeline(text)

    @rule(which=st.integers(0, 1), pod=st.integers(1, 2))
    def request(self, which: int, pod: int) -> None:
        runner = self.runners[which]
        job = jobs.request(self.core.state, runner.token, f"r_00000000000{pod}", INFO)
        if job is not None:
            assert job.id not in self.given or job.status == JobStatus.PENDING, (
                "given once, or again after it came back"
            )
            assert set(job.spec.tags) <= set(runner.tags)
            self.given[job.id] = runner

    def _some(self, number: int, *statuses: JobStatus) -> Job | None:
        found = [job for job in self.core.state.jobs.values() if job.status in statuses]
        return found[number % len(found)] if found else None

    @rule(number=st.integers(0, 9), outcome=st.sampled_from(("running", "success", *REASONS)))
    def report(self, number: int, outcome: str) -> None:
        job = self._some(number, *WITH_RUNNER, JobStatus.PENDING)
        if job is None or job.runner is None or (job.status == JobStatus.PENDING and outcome != "running"):
            return
        failed = outcome in REASONS
        jobs.update(self.core.state, job, jobs.Update("failed" if failed else outcome, outcome if failed else ""))

    @rule(number=st.integers(0, 9), force=st.booleans())
    def cancel(self, number: int, force: bool) -> None:
        job = self._some(number, *JobStatus)
        if job is not None:
            jobs.cancel(self.core.state, job, force=force)

    @rule(number=st.integers(0, 9))
    def retry(self, number: int) -> None:
        job = self._some(number, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.SUCCESS)
        if job is not None and not job.is_retried:
            jobs.retry(self.core.state, job)

    @rule(number=st.integers(0, 9))
    def play(self, number: int) -> None:
        job = self._some(number, JobStatus.MANUAL)
        if job is not None:
            jobs.play(self.core.state, job)

    @rule(number=st.integers(0, 9))
    def cancel_or_retry_all(self, number: int) -> None:
        made = list(self.core.state.pipelines.values())
        if made:
            chosen = made[number % len(made)]
            (pipelines.cancel if number % 2 else pipelines.retry)(self.core.state, chosen)

    @rule(minutes=st.sampled_from((1, 3, 61, 60 * 25)))
    def wait(self, minutes: int) -> None:
        self.core.pass_time(minutes=minutes)

    @rule(which=st.integers(0, 1))
    def hear_from(self, which: int) -> None:
        runners.heartbeat(self.core.state, self.runners[which], "r_bridge000000", INFO)

    @invariant()
    def tokens_live_as_long_as_their_jobs(self) -> None:
        for job in self.core.state.jobs.values():
            held = job.status in WITH_RUNNER or (job.status == JobStatus.PENDING and job.runner is not None)
            assert (jobs.by_token(self.core.state, job.token) is job) is held
            if job.status in FINISHED:
                with pytest.raises(Forbidden):
                    jobs.authenticate(self.core.state, job.id, job.token)

    @invariant()
    def a_job_with_a_runner_has_one_and_the_times_fit(self) -> None:
        for job in self.core.state.jobs.values():
            assert job.status not in WITH_RUNNER or (job.runner is not None and job.started_at is not None)
            assert (job.finished_at is not None) is (job.status in FINISHED)
            assert bool(job.failure_reason) is (job.status == JobStatus.FAILED)

    @invariant()
    def an_unfinished_pipeline_has_something_that_can_move(self) -> None:
        for pipeline in self.core.state.pipelines.values():
            if progress.status_of(pipeline) not in FINISHED:
                movable = {job.status for job in pipeline.current_jobs}
                assert movable & {*WITH_RUNNER, JobStatus.PENDING, JobStatus.MANUAL}
            else:
                assert pipeline.finished_at is not None


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
