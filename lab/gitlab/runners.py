"""Runners and their managers: created, changed, heard from, taken away.

A runner is a token and its settings; a manager is one process using that token, known by its `system_id`. Every
runner call is also a heartbeat (`heartbeat`): that is what makes a runner online and keeps its jobs from being called
stuck.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lab.gitlab.errors import Forbidden, Invalid, Missing, NotFound
from lab.gitlab.matching import STALE_AFTER, queue_of
from lab.gitlab.model import Group, Project, Runner, RunnerManager
from lab.gitlab.state import State

LEGACY_SYSTEM_ID = "<legacy>"  # GitLab's name for managers that send no system_id
TIMEOUT_SECONDS_MIN = 600  # GitLab refuses a shorter maximum_timeout
RUNNER_TYPES = ("instance_type", "group_type", "project_type")
ACCESS_LEVELS = ("not_protected", "ref_protected")


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """What POST /user/runners and PUT /runners/:id may set; None leaves a field as it is."""

    description: str | None = None
    tags: tuple[str, ...] | None = None
    run_untagged: bool | None = None
    is_locked: bool | None = None
    is_paused: bool | None = None
    access_level: str | None = None
    maximum_timeout_seconds: int | None = None
    maintenance_note: str | None = None


def create(
    state: State, runner_type: str, settings: RunnerSettings, group: Group | None = None, project: Project | None = None
) -> Runner:
    """A new runner within its scope; its token is shown by the caller once."""
    if runner_type not in RUNNER_TYPES:
        raise Missing("runner_type does not have a valid value" if runner_type else "runner_type is missing")
    if runner_type == "group_type" and group is None:
        raise Missing("group_id is missing")
    if runner_type == "project_type" and project is None:
        raise Missing("project_id is missing")
    _check(settings)
    runner = Runner(
        state.number("runner"), state.mint("glrt-"), state.clock(), runner_type, state.mint(""), group=group
    )
    if project is not None:
        runner.project_ids.add(project.id)
    runner.token_expires_at = _expiry(state)
    _apply(runner, settings)
    if not runner.tags and not runner.run_untagged:
        raise Invalid({"tags_list": ["can not be empty when runner is not allowed to pick untagged jobs"]})
    state.runners[runner.id] = runner
    return runner


def update(state: State, runner: Runner, settings: RunnerSettings) -> None:
    """Changes what is given; whoever waits on this runner's queue asks again."""
    _check(settings)
    _apply(runner, settings)
    state.touch_queues([runner])


def _check(settings: RunnerSettings) -> None:
    if settings.access_level not in (None, *ACCESS_LEVELS):
        raise Missing("access_level does not have a valid value")
    timeout = settings.maximum_timeout_seconds
    if timeout is not None and timeout < TIMEOUT_SECONDS_MIN:
        raise Invalid({"maximum_timeout": ["needs to be at least 10 minutes"]})


def _apply(runner: Runner, settings: RunnerSettings) -> None:
    for name in RunnerSettings.__slots__:
        value = getattr(settings, name)
        if value is not None:
            setattr(runner, name, value)


def delete(state: State, runner: Runner) -> None:
    state.runners.pop(runner.id, None)
    state.on_queue_change()


def reset_token(state: State, runner: Runner) -> str:
    """A new token; the old one stops working at once for requests (running jobs have their own)."""
    runner.token, runner.token_expires_at = state.mint("glrt-"), _expiry(state)
    state.touch_queues([runner])
    return runner.token


def _expiry(state: State) -> datetime | None:
    lifetime = state.site.runner_token_lifetime
    return None if lifetime is None else state.clock() + lifetime


def is_expired(state: State, runner: Runner) -> bool:
    """Whether the runner's token has outlived its time; only a reset gives it a new one."""
    return runner.token_expires_at is not None and runner.token_expires_at <= state.clock()


def by_token(state: State, token: str) -> Runner:
    """The runner a token belongs to; Forbidden when it belongs to none, or has expired."""
    for runner in state.runners.values():
        if token and runner.token == token and not is_expired(state, runner):
            return runner
    raise Forbidden()


def heartbeat(state: State, runner: Runner, system_id: str, info: dict[str, object]) -> RunnerManager:
    """Notes the contact; makes the manager on first sight."""
    now = state.clock()
    runner.contacted_at = now
    system_id = system_id or LEGACY_SYSTEM_ID
    if system_id not in runner.managers:
        runner.managers[system_id] = RunnerManager(state.number("manager"), system_id, now, now)
    manager = runner.managers[system_id]
    manager.contacted_at = now
    manager.info = info or manager.info
    return manager


def forget_stale_managers(state: State) -> None:
    """Takes away managers that were not seen for a week."""
    now = state.clock()
    for runner in state.runners.values():
        for old in [m for m in runner.managers.values() if now - m.contacted_at > STALE_AFTER]:
            del runner.managers[old.system_id]


def delete_manager(runner: Runner, system_id: str) -> None:
    if not system_id:
        raise Missing("system_id is missing")
    if runner.managers.pop(system_id, None) is None:
        raise NotFound("Runner manager")


def queue_size(state: State, runner: Runner) -> int:
    """How many jobs wait that this runner may take."""
    return len(queue_of(runner, state.jobs.values()))


def assign(state: State, runner: Runner, project: Project) -> None:
    """Lets a project runner serve one more project; a locked one stays where it is."""
    if runner.runner_type == "group_type":
        raise Forbidden("Runner is a group runner")
    if runner.is_locked:
        raise Forbidden("Runner is locked")
    if runner.runner_type != "project_type" or project.id in runner.project_ids:
        raise Invalid({"base": ["Runner is already assigned or not a project runner"]})
    runner.project_ids.add(project.id)
    state.touch_queues([runner])


def unassign(state: State, runner: Runner, project: Project) -> None:
    """Takes the runner from one of its projects."""
    if runner.runner_type != "project_type" or project.id not in runner.project_ids:
        raise NotFound("Runner")
    if len(runner.project_ids) == 1:
        raise Forbidden("Only one project associated with the runner. Please remove the runner instead")
    runner.project_ids.remove(project.id)
    state.touch_queues([runner])
