"""A whole `.gitlab-ci.yml`: stages, defaults, global variables, workflow and jobs; all faults are reported together."""

from __future__ import annotations

from dataclasses import dataclass

from lab.gitlab.ci.document import Document, load
from lab.gitlab.ci.keywords import INHERITED, parse_job
from lab.gitlab.ci.matrix import expand_parallel
from lab.gitlab.ci.rules_keyword import parse_rules
from lab.gitlab.ci.spec import JobSpec, Need, Rule
from lab.gitlab.ci.values import strings
from lab.gitlab.ci.variables import Variable, parse_variables
from lab.gitlab.errors import CiConfigError

DEFAULT_STAGES = ("build", "test", "deploy")
_GLOBAL = {
    "default",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "types",
}
NEEDS_MAX = 50  # GitLab's own bound
_UNSUPPORTED = {"include", "spec"}


@dataclass(frozen=True, slots=True)
class CiConfig:
    """The parsed file. Jobs are expanded (`parallel`), in file order, and not yet selected by their rules."""

    stages: tuple[str, ...]
    variables: tuple[Variable, ...]
    workflow: tuple[Rule, ...] | None
    jobs: tuple[JobSpec, ...]


def parse(text: str) -> CiConfig:
    """Parses and checks the text; raises CiConfigError with every fault found."""
    document = load(text)
    unsupported = sorted(_UNSUPPORTED & set(document))
    if unsupported:
        raise CiConfigError(f"{', '.join(unsupported)}: not supported by the lab's GitLab, leave it out")
    stages = (".pre", *strings("stages", document.get("stages", list(DEFAULT_STAGES))), ".post")
    variables = parse_variables("variables", document.get("variables"))
    jobs = _jobs(document, tuple(dict.fromkeys(stages)))
    return CiConfig(tuple(dict.fromkeys(stages)), variables, _workflow(document), jobs)


def _jobs(document: Document, stages: tuple[str, ...]) -> tuple[JobSpec, ...]:
    defaults = _defaults(document)
    jobs: list[JobSpec] = []
    faults: list[str] = []
    for name, config in document.items():
        if name in _GLOBAL or name.startswith("."):
            continue
        if not isinstance(config, dict):
            faults.append(f"jobs:{name} config should be a hash")
            continue
        merged = {**defaults, **config}
        try:
            jobs += expand_parallel(parse_job(name, merged, stages), merged.get("parallel"))
        except CiConfigError as error:
            faults += error.messages
    if not jobs and not faults:
        faults.append("jobs config should contain at least one visible job")
    faults += _need_faults(tuple(jobs), stages) if not faults else []
    if faults:
        raise CiConfigError(*faults)
    return tuple(jobs)


def _defaults(document: Document) -> Document:
    default = document.get("default", {})
    if not isinstance(default, dict):
        raise CiConfigError("default config should be a hash")
    unknown = sorted(set(map(str, default)) - set(INHERITED))
    if unknown:
        raise CiConfigError(f"default config contains unknown keys: {', '.join(unknown)}")
    return {**{key: document[key] for key in INHERITED if key in document and key in _GLOBAL}, **default}


def _workflow(document: Document) -> tuple[Rule, ...] | None:
    workflow = document.get("workflow")
    if workflow is None:
        return None
    if not isinstance(workflow, dict):
        raise CiConfigError("workflow config should be a hash")
    unknown = sorted(set(map(str, workflow)) - {"rules", "name", "auto_cancel"})
    if unknown:
        raise CiConfigError(f"workflow config contains unknown keys: {', '.join(unknown)}")
    return parse_rules("workflow:rules", workflow["rules"]) if "rules" in workflow else None


def _need_faults(jobs: tuple[JobSpec, ...], stages: tuple[str, ...]) -> list[str]:
    """Needs and dependencies that name no job, a later stage, or lead back to the job itself."""
    faults = []
    for job in jobs:
        for need in job.needs or ():
            found = named(jobs, need.job)
            if not found and not need.optional:
                faults.append(f"{job.name} job: undefined need: {need.job}")
            if any(stages.index(other.stage) > stages.index(job.stage) for other in found):
                faults.append(f"{job.name} job: need {need.job} is not defined in current or prior stages")
        faults += [fault for name in job.dependencies or () if (fault := _dependency_fault(jobs, stages, job, name))]
        if job.needs is not None and len(job.needs) > NEEDS_MAX:
            faults.append(f"jobs:{job.name} needs config has {len(job.needs)} entries, the limit is {NEEDS_MAX}")
    if any(_leads_to(jobs, job.name, job.needs or (), frozenset()) for job in jobs):
        faults.append("The pipeline has circular dependencies")
    return list(dict.fromkeys(faults))


def _dependency_fault(jobs: tuple[JobSpec, ...], stages: tuple[str, ...], job: JobSpec, name: str) -> str:
    found = named(jobs, name)
    if not found:
        return f"{job.name} job: undefined dependency: {name}"
    if job.needs is not None and not {need.job for need in job.needs} & {name, *(other.group for other in found)}:
        return f"jobs:{job.name} dependencies the {name} should be part of needs"
    if job.needs is None and not all(stages.index(other.stage) < stages.index(job.stage) for other in found):
        return f"{job.name} job: dependency {name} is not defined in prior stages"
    return ""


def named(jobs: tuple[JobSpec, ...], name: str) -> list[JobSpec]:
    """The jobs a name stands for: one instance, or all instances of a parallel job."""
    return [job for job in jobs if name in (job.name, job.group)]


def _leads_to(jobs: tuple[JobSpec, ...], goal: str, needs: tuple[Need, ...], seen: frozenset[str]) -> bool:
    for need in needs:
        for job in named(jobs, need.job):
            if job.name == goal:
                return True
            if job.name not in seen and _leads_to(jobs, goal, job.needs or (), seen := seen | {job.name}):
                return True
    return False
