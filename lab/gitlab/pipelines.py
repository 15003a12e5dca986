"""Pipelines: made from a commit and the text of its `.gitlab-ci.yml`, canceled, retried."""

from __future__ import annotations

from dataclasses import dataclass

from lab.gitlab import jobs, progress
from lab.gitlab.ci.config import parse
from lab.gitlab.ci.rules import Occasion, select
from lab.gitlab.ci.spec import JobSpec
from lab.gitlab.ci.variables import Variable, as_values
from lab.gitlab.errors import CiConfigError, Invalid
from lab.gitlab.model import Commit, Job, Pipeline, Project
from lab.gitlab.predefined import instance_variables, pipeline_variables
from lab.gitlab.state import State
from lab.gitlab.states import FINISHED, JobStatus

NOTHING_TO_RUN = (
    "Pipeline will not run for the selected trigger. "
    "The rules configuration prevented any jobs from being added to the pipeline."
)
SKIP_MARKS = ("[ci skip]", "[skip ci]")


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a pipeline is made: a push, or a call of the API with variables of its own."""

    ref: str
    is_tag: bool = False
    source: str = "push"
    variables: tuple[Variable, ...] = ()


def create(state: State, project: Project, commit: Commit, trigger: Trigger, text: str) -> Pipeline | None:
    """The pipeline, running; with `yaml_errors` when the text is at fault; None when no job is to run."""
    if trigger.source == "push" and any(mark in commit.message.lower() for mark in SKIP_MARKS):
        return None
    pipeline = _blank(state, project, commit, trigger)
    specs: tuple[JobSpec, ...] = ()
    try:
        config = parse(text)
        pipeline.stages = config.stages
        specs = select(config, _occasion(state, pipeline))
    except CiConfigError as error:
        pipeline.yaml_errors = "\n".join(error.messages)
        pipeline.finished_at = state.clock()
    if not specs and not pipeline.yaml_errors:
        return None
    state.pipelines[pipeline.id] = pipeline
    in_order = sorted(specs, key=lambda spec: pipeline.stages.index(spec.stage))
    pipeline.jobs = [jobs.create(state, pipeline, spec) for spec in in_order]
    progress.advance(state, pipeline)
    return pipeline


def create_or_refuse(state: State, project: Project, commit: Commit, trigger: Trigger, text: str | None) -> Pipeline:
    """The same for the API, where a pipeline that cannot run is an error of the caller."""
    if text is None:
        raise Invalid({"base": ["Missing CI config file"]})
    pipeline = create(state, project, commit, trigger, text)
    if pipeline is None:
        raise Invalid({"base": [NOTHING_TO_RUN]})
    if pipeline.yaml_errors:
        raise Invalid({"base": pipeline.yaml_errors.split("\n")})
    return pipeline


def lint(
    state: State, project: Project, commit: Commit, trigger: Trigger, text: str
) -> tuple[list[str], list[JobSpec]]:
    """(errors, jobs) for the text, without making anything that is kept."""
    pipeline = Pipeline(0, 0, project, trigger.ref, trigger.is_tag, trigger.source, commit, state.clock())
    try:
        return [], list(select(parse(text), _occasion(state, pipeline)))
    except CiConfigError as error:
        return list(error.messages), []


def _blank(state: State, project: Project, commit: Commit, trigger: Trigger) -> Pipeline:
    return Pipeline(
        id=state.number("pipeline"),
        iid=state.number(f"pipeline of project {project.id}"),
        project=project,
        ref=trigger.ref,
        is_tag=trigger.is_tag,
        source=trigger.source,
        commit=commit,
        created_at=state.clock(),
        variables=trigger.variables,
    )


def _occasion(state: State, pipeline: Pipeline) -> Occasion:
    known = (*pipeline_variables(state.site, pipeline), *instance_variables(state.site))
    return Occasion(
        ref=pipeline.ref,
        is_tag=pipeline.is_tag,
        source=pipeline.source,
        values=as_values(known),
        overrides=as_values((*pipeline.project.variables.values(), *pipeline.variables)),
        changed_paths=pipeline.commit.changed_paths,
    )


def cancel(state: State, pipeline: Pipeline) -> None:
    """Cancels every job that is not finished: gracefully where the runner can."""
    for job in pipeline.current_jobs:
        if job.status not in FINISHED:
            jobs.cancel(state, job, advance=False)
    progress.advance(state, pipeline)


def retry(state: State, pipeline: Pipeline) -> list[Job]:
    """New attempts of all failed and canceled jobs."""
    again = [job for job in pipeline.current_jobs if job.status in (JobStatus.FAILED, JobStatus.CANCELED)]
    return [jobs.retry(state, job) for job in again]
