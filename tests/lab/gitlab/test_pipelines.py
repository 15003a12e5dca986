"""How jobs follow from one another and what a pipeline is called meanwhile; on the core alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.gitlab import jobs, pipelines, progress
from lab.gitlab.errors import Forbidden, Invalid
from lab.gitlab.states import FINISHED, TRANSITIONS, ImpossibleTransitionError, JobEvent, JobStatus, after, combined
from tests.lab.gitlab.core import Core, statuses

STAGES = """
build: {stage: build, script: [x]}
test: {stage: test, script: [x]}
rescue: {stage: test, script: [x], when: on_failure}
sweep: {stage: deploy, script: [x], when: always}
ship: {stage: deploy, script: [x]}
"""


def test_stages_run_one_after_the_other() -> None:
    core = Core()
    runner, pipeline = core.runner(), core.pipeline(STAGES)
    assert statuses(pipeline) == {
        "build": "pending",
        "test": "created",
        "rescue": "created",
        "sweep": "created",
        "ship": "created",
    }
    assert progress.status_of(pipeline) == "pending"
    core.finish(runner)
    assert statuses(pipeline)["test"] == "pending"
    assert statuses(pipeline)["rescue"] == "skipped"
    assert progress.status_of(pipeline) == "running"
    assert [core.finish(runner) for _ in range(3)] == ["test", "sweep", "ship"]
    assert progress.status_of(pipeline) == "success"
    assert pipeline.finished_at == core.now


def test_after_a_failure_only_on_failure_and_always_run() -> None:
    core = Core()
    runner, pipeline = core.runner(), core.pipeline(STAGES)
    core.finish(runner, reason="script_failure", exit_code=1)
    assert statuses(pipeline)["test"] == "skipped"
    assert [core.finish(runner), core.finish(runner)] == ["rescue", "sweep"]
    assert statuses(pipeline)["ship"] == "skipped"
    assert progress.status_of(pipeline) == "failed"


def test_needs_do_not_wait_for_stages_and_skip_with_what_they_need() -> None:
    core = Core()
    runner = core.runner()
    pipeline = core.pipeline("""
slow: {stage: build, script: [x], tags: [slow]}
quick: {stage: build, script: [x]}
after: {stage: deploy, script: [x], needs: [quick]}
last: {stage: deploy, script: [x], needs: [slow]}
""")
    assert core.finish(runner) == "quick"
    assert statuses(pipeline) == {"slow": "pending", "quick": "success", "after": "pending", "last": "created"}
    slow = next(job for job in pipeline.jobs if job.spec.name == "slow")
    jobs.cancel(core.state, slow)
    assert statuses(pipeline)["last"] == "skipped"


def test_allow_failure_lets_the_pipeline_pass_also_by_exit_code() -> None:
    core = Core()
    runner = core.runner()
    pipeline = core.pipeline("a: {script: [x], allow_failure: {exit_codes: [3]}}\nb: {stage: deploy, script: [x]}")
    core.finish(runner, reason="script_failure", exit_code=3)
    assert core.finish(runner) == "b"
    assert progress.status_of(pipeline) == "success"


def test_a_manual_job_that_blocks_is_played() -> None:
    core = Core()
    runner = core.runner()
    pipeline = core.pipeline("a: {script: [x], when: manual, allow_failure: false}\nb: {stage: deploy, script: [x]}")
    assert (progress.status_of(pipeline), statuses(pipeline)["b"]) == ("manual", "created")
    jobs.play(core.state, pipeline.jobs[0])
    with pytest.raises(Invalid):
        jobs.play(core.state, pipeline.jobs[0])
    assert [core.finish(runner), core.finish(runner)] == ["a", "b"]


def test_retry_keyword_makes_new_attempts_for_the_reasons_it_names() -> None:
    core = Core()
    runner = core.runner()
    pipeline = core.pipeline("""
a: {script: [x], retry: {max: 2, when: [runner_system_failure]}}
b: {stage: deploy, script: [x]}
""")
    for _ in range(2):
        core.finish(runner, reason="runner_system_failure")
        assert statuses(pipeline) == {"a": "pending", "b": "created"}
    core.finish(runner, reason="script_failure")
    assert statuses(pipeline) == {"a": "failed", "b": "skipped"}
    assert len(pipeline.jobs) == 4


def test_retrying_a_failed_job_by_hand_brings_skipped_ones_back() -> None:
    core = Core()
    runner, pipeline = core.runner(), core.pipeline("a: {script: [x]}\nb: {stage: deploy, script: [x]}")
    core.finish(runner, reason="script_failure")
    pipelines.retry(core.state, pipeline)
    assert statuses(pipeline) == {"a": "pending", "b": "created"}
    assert [core.finish(runner), core.finish(runner)] == ["a", "b"]
    with pytest.raises(Forbidden):
        jobs.retry(core.state, pipeline.jobs[0])


def test_a_faulty_file_makes_a_failed_pipeline_that_says_why() -> None:
    pipeline = Core().pipeline("job: {script: [x], tag: arm64}")
    assert progress.status_of(pipeline) == "failed"
    assert pipeline.yaml_errors == "jobs:job config contains unknown keys: tag"


def test_canceling_is_graceful_where_the_runner_can() -> None:
    core = Core()
    runner, pipeline = core.runner(), core.pipeline("a: {script: [x]}\nb: {stage: deploy, script: [x]}")
    job = core.request(runner)
    assert job is not None
    pipelines.cancel(core.state, pipeline)
    assert (job.status, statuses(pipeline)["b"]) == ("canceling", "canceled")
    jobs.update(core.state, job, jobs.Update("success"))
    assert (job.status, progress.status_of(pipeline)) == ("canceled", "canceled")


def test_an_unlisted_transition_raises() -> None:
    with pytest.raises(ImpossibleTransitionError, match="a success job cannot run"):
        after(JobStatus.SUCCESS, JobEvent.RUN)


@given(st.lists(st.tuples(st.sampled_from(JobStatus), st.booleans())))
def test_a_pipeline_is_finished_exactly_when_nothing_in_it_can_move(found: list[tuple[JobStatus, bool]]) -> None:
    waiting = [status for status, may_fail in found if status not in FINISHED and not (status == "manual" and may_fail)]
    assert (combined(found) in FINISHED) is (not waiting)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(JobStatus)
