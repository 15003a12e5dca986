"""The life of a CI job as one table, and the state of a pipeline as a function of its jobs.

`TRANSITIONS[state][event]` is the next state; a pair that is not listed raises, so that no code path can move a job
in a way GitLab would not. A pipeline has no state of its own: it is always what its jobs make of it, computed in the
order GitLab asks its questions.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class JobStatus(StrEnum):
    CREATED = "created"
    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELING = "canceling"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    MANUAL = "manual"


class JobEvent(StrEnum):
    ENQUEUE = "enqueue"  # its needs are met
    BLOCK = "block"  # its needs are met and it waits for a person
    SKIP = "skip"  # its needs can no longer be met
    PROCESS = "process"  # something before it was retried: look again
    RUN = "run"  # a runner has it (with two-phase commit: has acknowledged it)
    SUCCEED = "succeed"
    DROP = "drop"  # failed, for whatever reason
    CANCEL = "cancel"
    CANCEL_GRACEFULLY = "cancel_gracefully"  # the runner can still run after_script


_S, _E = JobStatus, JobEvent

TRANSITIONS: dict[JobStatus, dict[JobEvent, JobStatus]] = {
    _S.CREATED: {
        _E.ENQUEUE: _S.PENDING,
        _E.BLOCK: _S.MANUAL,
        _E.SKIP: _S.SKIPPED,
        _E.DROP: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
    },
    _S.MANUAL: {_E.ENQUEUE: _S.PENDING, _E.SKIP: _S.SKIPPED, _E.CANCEL: _S.CANCELED},
    _S.PENDING: {_E.RUN: _S.RUNNING, _E.DROP: _S.FAILED, _E.CANCEL: _S.CANCELED},
    _S.RUNNING: {
        _E.SUCCEED: _S.SUCCESS,
        _E.DROP: _S.FAILED,
        _E.CANCEL: _S.CANCELED,
        _E.CANCEL_GRACEFULLY: _S.CANCELING,
    },
    # However the script ended, a job that was asked to stop ends canceled.
    _S.CANCELING: {_E.SUCCEED: _S.CANCELED, _E.DROP: _S.CANCELED, _E.CANCEL: _S.CANCELED},
    _S.SKIPPED: {_E.PROCESS: _S.CREATED},
    _S.SUCCESS: {},
    _S.FAILED: {},
    _S.CANCELED: {},
}

FINISHED = frozenset({_S.SUCCESS, _S.FAILED, _S.CANCELED, _S.SKIPPED})
WITH_RUNNER = frozenset({_S.RUNNING, _S.CANCELING})


class ImpossibleTransitionError(Exception):
    """An event that a job in this state cannot take."""


def after(status: JobStatus, event: JobEvent) -> JobStatus:
    """The state after the event; raises ImpossibleTransitionError for a pair the table does not list."""
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise ImpossibleTransitionError(f"a {status} job cannot {event}") from None


_WARNING, _IGNORED = "success_with_warnings", "ignored"
_PASSED = {_S.SUCCESS, _S.SKIPPED, _WARNING, _IGNORED}
_QUIET = {_S.SKIPPED, _WARNING, _IGNORED}


def combined(jobs: Iterable[tuple[JobStatus, bool]]) -> str:
    """The status that (status, may fail) pairs make together: a stage's, a pipeline's, or what a job waits for."""
    found = {_as_counted(status, may_fail) for status, may_fail in jobs}
    only_within = (
        ({_S.SKIPPED, _IGNORED}, _S.SKIPPED),
        (_PASSED, _S.SUCCESS),
        ({_S.CREATED, _WARNING, _IGNORED}, _S.CREATED),
        (_PASSED | {_S.CANCELED}, _S.CANCELED),
        (_QUIET | {_S.PENDING, _S.CREATED}, _S.PENDING),
    )
    for allowed, status in only_within:
        if found <= allowed:
            return status if found else _S.SUCCESS
    if found & {_S.RUNNING, _S.PENDING}:
        return _S.RUNNING
    for one in (_S.CANCELING, _S.MANUAL):
        if one in found:
            return one
    return _S.RUNNING if _S.CREATED in found else _S.FAILED


def _as_counted(status: JobStatus, may_fail: bool) -> str:
    if may_fail and status in (_S.FAILED, _S.CANCELED):
        return _WARNING
    return _IGNORED if may_fail and status == _S.MANUAL else status
