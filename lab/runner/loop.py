"""Asking for jobs and running them: `run-single` as one-job pods use it, and a thin `run`.

`run-single` ends by itself after `max_builds` jobs, or when `wait_timeout` seconds have passed without one; that is
looked at only after a poll came back empty, so no job can be lost on the way out. Its exit code says nothing of the
job: it is 0 also when the job failed.
"""

from __future__ import annotations

import sys
import time

from lab.runner.build import Build
from lab.runner.config import RunnerConfig
from lab.runner.coordinator import Coordinator
from lab.runner.interrupts import Interrupts, Terminated

UNHEALTHY_PAUSE_SECONDS = 300.0  # run-single after a 403: the runner's own number
UNHEALTHY_REQUESTS_MAX = 3  # run: refusals in a row before a runner is left alone
UNHEALTHY_INTERVAL_SECONDS = 3600.0  # run: for so long


def log(message: str) -> None:
    """One line on standard error: the program's log."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


class RunSingle:
    """One runner, one job at a time."""

    def __init__(self, runner: RunnerConfig, system_id: str, interrupts: Interrupts, interval_seconds: float) -> None:
        self._runner = runner
        self._coordinator = Coordinator(runner, system_id)
        self._interrupts = interrupts
        self._interval = interval_seconds

    def run(self, max_builds: int, wait_timeout_seconds: float) -> int:
        """Until there is no reason to go on; the exit code. 0 means no limit for both."""
        left, idle_since = max_builds, time.monotonic()
        try:
            while not (self._interrupts.is_graceful or self._interrupts.is_forced):
                if self._one():
                    left, idle_since = left - 1, time.monotonic()
                    if left == 0:
                        break
                elif wait_timeout_seconds and time.monotonic() - idle_since > wait_timeout_seconds:
                    log(f"Runner wait timeout ({wait_timeout_seconds:g}s) exceeded, exiting")
                    break
        except Terminated:
            pass
        return 1 if self._interrupts.is_forced else 0

    def _one(self) -> bool:
        """One poll, and the job it brings; True when a job was run."""
        with self._interrupts.polling():
            reply = self._coordinator.request_job()
        if reply.status == 201 and reply.header("Content-Type").startswith("application/json"):
            return self._build(reply.json())
        if reply.status == 403:
            log("ERROR: Checking for jobs... forbidden: the runner's token is not accepted")
            self._interrupts.sleep(UNHEALTHY_PAUSE_SECONDS)
            return False
        if reply.status != 204:
            log(f"WARNING: Checking for jobs... failed: HTTP {reply.status} {reply.error}")
        self._interrupts.sleep(self._interval)
        return False

    def _build(self, payload: dict[str, object]) -> bool:
        log(f"Checking for jobs... received job={payload.get('id')}")
        was_run = Build(self._runner, self._coordinator, payload, self._interrupts).run()
        log(f"Job {'finished' if was_run else 'was taken back'} job={payload.get('id')}")
        return was_run


class Run(RunSingle):
    """The daemon's view of one runner: it is left alone for a while after refusals, never waited for."""

    def __init__(self, runner: RunnerConfig, system_id: str, interrupts: Interrupts, interval_seconds: float) -> None:
        super().__init__(runner, system_id, interrupts, interval_seconds)
        self._refusals, self._left_alone_until = 0, 0.0

    def turn(self) -> None:
        """One poll unless it is being left alone."""
        if time.monotonic() < self._left_alone_until:
            return
        with self._interrupts.polling():
            reply = self._coordinator.request_job()
        if reply.status == 201:
            self._build(reply.json())
        self._refusals = self._refusals + 1 if reply.status == 403 else 0
        if self._refusals >= UNHEALTHY_REQUESTS_MAX:
            log("ERROR: Runner is not healthy and will be left alone")
            self._refusals, self._left_alone_until = 0, time.monotonic() + UNHEALTHY_INTERVAL_SECONDS


def run_daemon(runners: list[Run], interrupts: Interrupts, interval_seconds: float) -> int:
    """All runners in turn, one job at a time (`concurrent` above 1 is not supported); until a signal."""
    try:
        while not (interrupts.is_graceful or interrupts.is_forced):
            for runner in runners:
                runner.turn()
            interrupts.sleep(interval_seconds)
    except Terminated:
        pass
    return 1 if interrupts.is_forced else 0
