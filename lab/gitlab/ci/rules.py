"""Which jobs a pipeline gets: workflow, rules, only/except, against one push's facts. Pure.

A job's variables are known in order: the pipeline's own (ref, source, commit), global ones, the job's. The first rule
that matches decides; no match leaves the job out. Tags and image may hold variables and are expanded here, because
GitLab does it at the same moment.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lab.gitlab.ci.config import CiConfig, named
from lab.gitlab.ci.expressions import evaluate, matches_pattern
from lab.gitlab.ci.spec import JobSpec, RefPolicy, Rule
from lab.gitlab.ci.variables import Variable, as_values, expand, expanded
from lab.gitlab.errors import CiConfigError


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a pipeline is made for. `values`: variables known before any job; `overrides` win over all others."""

    ref: str
    is_tag: bool
    source: str
    values: Mapping[str, str]
    overrides: Mapping[str, str]
    changed_paths: frozenset[str] | None = None


def select(config: CiConfig, occasion: Occasion) -> tuple[JobSpec, ...]:
    """The jobs of this pipeline; empty when workflow or every job's rules say no. Raises CiConfigError."""
    shared = {**occasion.values, **as_values(config.variables), **occasion.overrides}
    if config.workflow is not None:
        rule = _first_match(config.workflow, shared, occasion)
        if rule is None or rule.when == "never":
            return ()
        config = replace(config, variables=(*config.variables, *rule.variables))
        shared.update(as_values(rule.variables))
    chosen = tuple(job for spec in config.jobs if (job := _decide(config, spec, shared, occasion)) is not None)
    _check_needs(config, chosen)
    return chosen


def _decide(config: CiConfig, spec: JobSpec, shared: Mapping[str, str], occasion: Occasion) -> JobSpec | None:
    values = {
        **shared,
        **as_values(spec.variables),
        **occasion.overrides,
        "CI_JOB_NAME": spec.name,
        "CI_JOB_STAGE": spec.stage,
    }
    if spec.rules is not None:
        rule = _first_match(spec.rules, values, occasion)
        if rule is None:
            return None
        spec = _with_rule(spec, rule)
        values.update({**as_values(rule.variables), **occasion.overrides})
    elif not _passes_policies(spec, values, occasion):
        return None
    if spec.when == "never":
        return None
    values = expanded(values)
    image = replace(spec.image, name=expand(spec.image.name, values)) if spec.image else None
    tags = tuple(dict.fromkeys(expand(tag, values) for tag in spec.tags))
    return replace(spec, tags=tags, image=image, variables=_merged(config.variables, spec.variables))


def _merged(*layers: tuple[Variable, ...]) -> tuple[Variable, ...]:
    return tuple({variable.key: variable for layer in layers for variable in layer}.values())


def _with_rule(spec: JobSpec, rule: Rule) -> JobSpec:
    return replace(
        spec,
        when=rule.when or spec.when,
        # A manual job from a rule blocks the pipeline unless it says otherwise; `when: manual` alone does not.
        allow_failure=_first_given(rule.allow_failure, spec.allow_failure, False if rule.when == "manual" else None),
        variables=_merged(spec.variables, rule.variables),
        needs=spec.needs if rule.needs is None else rule.needs,
    )


def _first_given(*values: bool | None) -> bool | None:
    return next((value for value in values if value is not None), None)


def _first_match(rules: tuple[Rule, ...], values: Mapping[str, str], occasion: Occasion) -> Rule | None:
    return next((rule for rule in rules if _matches(rule, values, occasion.changed_paths)), None)


def _matches(rule: Rule, values: Mapping[str, str], changed: frozenset[str] | None) -> bool:
    if rule.expression and not evaluate(rule.expression, values):
        return False
    if (
        rule.changes is None or changed is None
    ):  # unknown changes (a new branch, the API) count as changed, as in GitLab
        return True
    return any(_path_matches(path, expand(pattern, values)) for pattern in rule.changes for path in changed)


def _path_matches(path: str, pattern: str) -> bool:
    if pattern.endswith(("/**/*", "/**")):
        return path.startswith(pattern.split("/**", maxsplit=1)[0] + "/")
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(path, pattern[3:]) or fnmatch.fnmatch(path, f"*/{pattern[3:]}")
    return fnmatch.fnmatch(path, pattern) and path.count("/") == pattern.count("/")


def _passes_policies(spec: JobSpec, values: Mapping[str, str], occasion: Occasion) -> bool:
    if spec.only is not None and not _policy_holds(spec.only, values, occasion):
        return False
    return spec.except_ is None or not _policy_holds(spec.except_, values, occasion)


def _policy_holds(policy: RefPolicy, values: Mapping[str, str], occasion: Occasion) -> bool:
    by_ref = not policy.refs or any(_ref_matches(ref, occasion) for ref in policy.refs)
    by_variable = not policy.expressions or any(evaluate(text, values) for text in policy.expressions)
    return by_ref and by_variable


def _ref_matches(ref: str, occasion: Occasion) -> bool:
    words = {"branches": not occasion.is_tag, "tags": occasion.is_tag, "pushes": occasion.source == "push"}
    if ref in words:
        return words[ref]
    if ref in ("web", "api", "schedules", "triggers", "pipelines", "merge_requests"):
        return occasion.source == ref.removesuffix("s")
    return matches_pattern(ref, occasion.ref) if ref.startswith("/") else ref == occasion.ref


def _check_needs(config: CiConfig, chosen: tuple[JobSpec, ...]) -> None:
    faults = [
        f"'{job.name}' job needs '{need.job}' job, but '{need.job}' does not exist in the pipeline"
        for job in chosen
        for need in job.needs or ()
        if not need.optional and not named(chosen, need.job)
    ]
    if faults:
        raise CiConfigError(*faults)
