"""Keeps GitLab informed while a job runs: its own thread sends the trace, and hears whether the job is still wanted.

Every few seconds (GitLab says how many) what is new in the trace goes out; a job that has been silent for 30 s sends
a sign of life instead. At the end the rest of the trace goes first and the result after it, and a result GitLab could
not take is offered again.
"""

from __future__ import annotations

import threading
import time

from lab.runner.coordinator import Coordinator, JobAuth
from lab.runner.interrupts import Interrupts
from lab.runner.network import Reply
from lab.runner.trace import Trace

INTERVAL_SECONDS = 3.0  # the runner's default, until the server names another
INTERVAL_SECONDS_MAX = 900.0
SILENCE_SECONDS = 30.0
PATCH_BYTES_MAX = 1024 * 1024
FINAL_ATTEMPTS = 10
FINAL_PAUSE_SECONDS = 1.0


class Reporter:
    """`is_aborted`: the job is over for GitLab, stop now. `is_canceling`: stop, then run after_script."""

    def __init__(self, coordinator: Coordinator, job: JobAuth, trace: Trace, interrupts: Interrupts) -> None:
        self.is_aborted = False
        self.is_canceling = False
        self._coordinator = coordinator
        self._job = job
        self._trace = trace
        self._interrupts = interrupts
        self._sent = 0
        self._interval = INTERVAL_SECONDS
        self._spoke_at = time.monotonic()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)

    def start(self) -> bool:
        """Tells GitLab that the job runs; False when it is not ours any more."""
        self._heed(self._coordinator.update_job(self._job, "running"))
        if self.is_aborted or self.is_canceling:
            return False
        self._thread.start()
        return True

    def _run(self) -> None:
        while not self._ends.wait(self._interval):
            if not self._send_new() and time.monotonic() - self._spoke_at > SILENCE_SECONDS:
                self._keep_alive()

    def _send_new(self) -> bool:
        """Sends what is new; True when all of it has arrived."""
        sent_any = False
        while not self.is_aborted and (data := self._trace.since(self._sent, PATCH_BYTES_MAX)):
            reply = self._coordinator.append_trace(self._job, self._sent, data)
            self._heed(reply)
            if reply.status == 202:
                self._sent += len(data)
                self._spoke_at = time.monotonic()
                sent_any = True
            elif reply.status == 416:
                self._sent = int(reply.header("Range").rpartition("-")[2] or 0)
            else:
                return False
        return sent_any

    def _keep_alive(self) -> None:
        self._spoke_at = time.monotonic()
        self._heed(self._coordinator.update_job(self._job, "running", **self._output()))

    def _output(self) -> dict[str, object]:
        checksum, size = self._trace.summary()
        return {"checksum": checksum, "output": {"checksum": checksum, "bytesize": size}}

    def _heed(self, reply: Reply) -> None:
        """Takes the server's orders from any of its answers."""
        status = reply.header("Job-Status")
        if reply.status in (403, 404) or status in ("canceled", "failed"):
            self.is_aborted = True
        elif status == "canceling":
            self.is_canceling = True
        asked = reply.header("X-GitLab-Trace-Update-Interval")
        if asked.isdecimal() and int(asked) > 0:
            self._interval = min(float(asked), INTERVAL_SECONDS_MAX)
        if self.is_aborted or self.is_canceling:
            self._interrupts.nudge()

    def finish(self, state: str, **result: object) -> None:
        """The rest of the trace, then the result, until GitLab has both."""
        self._ends.set()
        self._thread.join()
        for attempt in range(FINAL_ATTEMPTS):
            if attempt:
                time.sleep(FINAL_PAUSE_SECONDS)
            self._send_new()
            if self.is_aborted:
                return
            reply = self._coordinator.update_job(self._job, state, **self._output(), **result)
            if reply.status in (200, 403, 404):
                return
            if reply.status == 412:
                self._sent = 0
