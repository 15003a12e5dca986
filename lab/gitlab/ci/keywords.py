"""The keywords of one job: each has one reader here that returns it parsed or names what is wrong with it.

Messages begin with `jobs:<job>:<key>` as GitLab's do. A keyword of GitLab that the lab does not act on is in
`IGNORED` when leaving it out cannot change which jobs run or with what (services, cache, environment), and in
`UNSUPPORTED` otherwise; anything else is unknown.
"""

from __future__ import annotations

from collections.abc import Callable

from lab.gitlab.ci.durations import seconds_of
from lab.gitlab.ci.rules_keyword import parse_needs, parse_ref_policy, parse_rules
from lab.gitlab.ci.spec import Artifacts, Image, JobSpec, Retry
from lab.gitlab.ci.values import one_of, strings, whole_number
from lab.gitlab.ci.variables import parse_variables
from lab.gitlab.errors import CiConfigError

IGNORED = {
    "services",
    "cache",
    "environment",
    "interruptible",
    "resource_group",
    "coverage",
    "parallel",
    "description",
    "pages",
}
UNSUPPORTED = {
    "trigger",
    "release",
    "inherit",
    "secrets",
    "id_tokens",
    "run",
    "inputs",
    "start_in",
    "hooks",
    "identity",
}
INHERITED = (
    "image",
    "services",
    "before_script",
    "after_script",
    "tags",
    "cache",
    "artifacts",
    "retry",
    "timeout",
    "interruptible",
)
WHENS = ("on_success", "on_failure", "always", "manual", "never")
RETRY_MAX = 2  # GitLab's own bound
FAILURE_REASONS = (
    "always",
    "unknown_failure",
    "script_failure",
    "api_failure",
    "stuck_or_timeout_failure",
    "runner_system_failure",
    "runner_unsupported",
    "stale_schedule",
    "job_execution_timeout",
    "archived_failure",
    "unmet_prerequisites",
    "scheduler_failure",
    "data_integrity_failure",
    "runner_interrupted",
    "image_pull_failure",
    "runner_configuration_error",
    "runner_external_dependency_failure",
    "missing_dependency_failure",
    "stuck_pending_with_matching_runners",
    "stuck_pending_no_matching_runners",
    "no_updates_running",
    "no_updates_canceling",
    "server_timeout_running",
    "server_timeout_canceling",
)
# What the older, wider words of `retry:when` stand for.
_WIDER = {
    "stuck_or_timeout_failure": {
        "stuck_pending_with_matching_runners",
        "stuck_pending_no_matching_runners",
        "no_updates_running",
        "no_updates_canceling",
    },
    "job_execution_timeout": {"server_timeout_running", "server_timeout_canceling"},
}

Fields = dict[str, object]


def covered_reasons(named: tuple[str, ...]) -> set[str]:
    """All failure reasons that the words of `retry:when` name."""
    return set(named).union(*(_WIDER.get(word, set()) for word in named))


def parse_job(name: str, config: Fields, stages: tuple[str, ...]) -> JobSpec:
    """The job's specification, before `parallel` and `rules`; `config` already holds the inherited defaults."""
    where = f"jobs:{name}"
    _refuse_other_keys(where, config)
    fields: Fields = {
        key: read(f"{where}:{key}", config[key]) for key, read in _READERS.items() if config.get(key) is not None
    }
    if not fields.get("script"):
        raise CiConfigError(f"{where} config should implement the script: keyword")
    if "rules" in fields and ("only" in fields or "except" in fields):
        raise CiConfigError(f"{where} config key may not be used with `rules`: only, except")
    stage = str(fields.pop("stage", "test"))
    if stage not in stages:
        raise CiConfigError(
            f"{name} job: chosen stage {stage} does not exist; available stages are {', '.join(stages)}"
        )
    for key, field in (("except", "except_"), ("timeout", "timeout_seconds")):
        if key in fields:
            fields[field] = fields.pop(key)
    fields.update(_allow_failure(where, config.get("allow_failure")))
    return JobSpec(name=name, group=name, stage=stage, **fields)  # type: ignore[arg-type] # each reader returns its field's type


def _refuse_other_keys(where: str, config: Fields) -> None:
    keys = {key for key in config if not key.startswith(".")}
    unsupported = sorted(keys & UNSUPPORTED)
    if unsupported:
        raise CiConfigError(
            f"{where} config uses {', '.join(unsupported)}: not supported by the lab's GitLab, leave it out"
        )
    unknown = sorted(keys - set(_READERS) - IGNORED - {"allow_failure"})
    if unknown:
        raise CiConfigError(f"{where} config contains unknown keys: {', '.join(unknown)}")


def _image(where: str, value: object) -> Image:
    if isinstance(value, str):
        return Image(value)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise CiConfigError(f"{where} config should be a string or a hash with a name")
    entrypoint = value.get("entrypoint")
    return Image(
        value["name"],
        None if entrypoint is None else strings(f"{where}:entrypoint", entrypoint),
        strings(f"{where}:pull_policy", value.get("pull_policy", [])),
    )


def _retry(where: str, value: object) -> Retry:
    if not isinstance(value, dict):
        return Retry(whole_number(where, value, 0, RETRY_MAX))
    reasons = strings(f"{where}:when", value.get("when", ["always"]))
    for reason in reasons:
        one_of(f"{where}:when", reason, FAILURE_REASONS)
    return Retry(whole_number(f"{where}:max", value.get("max", 0), 0, RETRY_MAX), reasons)


def _artifacts(where: str, value: object) -> Artifacts:
    if not isinstance(value, dict):
        raise CiConfigError(f"{where} config should be a hash")
    unknown = set(value) - {
        "paths",
        "exclude",
        "untracked",
        "name",
        "when",
        "expire_in",
        "expose_as",
        "public",
        "access",
        "reports",
    }
    if unknown:
        raise CiConfigError(f"{where} config contains unknown keys: {', '.join(sorted(map(str, unknown)))}")
    expire_in = str(value.get("expire_in", ""))
    if expire_in and expire_in != "never" and seconds_of(expire_in) is None:
        raise CiConfigError(f"{where}:expire_in should be a duration, such as 1 day")
    return Artifacts(
        paths=strings(f"{where}:paths", value.get("paths", [])),
        exclude=strings(f"{where}:exclude", value.get("exclude", [])),
        untracked=value.get("untracked") is True,
        name=str(value.get("name", "")),
        when=one_of(f"{where}:when", value.get("when", "on_success"), ("on_success", "on_failure", "always")),
        expire_in=expire_in,
        junit=_junit(f"{where}:reports", value.get("reports")),
    )


def _junit(where: str, value: object) -> tuple[str, ...]:
    """The report that is kept; others are left out, but for those that would change other jobs."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise CiConfigError(f"{where} config should be a hash")
    changing = sorted({"dotenv", "annotations"} & set(map(str, value)))
    if changing:
        raise CiConfigError(
            f"{where} config uses {', '.join(changing)}: not supported by the lab's GitLab, leave it out"
        )
    return strings(f"{where}:junit", value.get("junit", []))


def _timeout(where: str, value: object) -> int:
    seconds = seconds_of(str(value))
    if not seconds:
        raise CiConfigError(f"{where} config should be a duration, such as 30 minutes")
    return seconds


def _allow_failure(where: str, value: object) -> Fields:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"allow_failure": value}
    codes = value.get("exit_codes") if isinstance(value, dict) else None
    numbers = codes if isinstance(codes, list) else [codes]
    if not all(isinstance(code, int) for code in numbers):
        raise CiConfigError(f"{where}:allow_failure config should be a boolean or a hash with exit_codes")
    return {"allow_failure": False, "allow_failure_exit_codes": tuple(numbers)}


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise CiConfigError(f"{where} config should be a string")
    return value


_READERS: dict[str, Callable[[str, object], object]] = {
    "stage": _text,
    "script": strings,
    "before_script": strings,
    "after_script": strings,
    "image": _image,
    "variables": parse_variables,
    "tags": strings,
    "needs": parse_needs,
    "dependencies": strings,
    "rules": parse_rules,
    "only": parse_ref_policy,
    "except": parse_ref_policy,
    "when": lambda where, value: one_of(where, value, WHENS),
    "retry": _retry,
    "artifacts": _artifacts,
    "timeout": _timeout,
}
