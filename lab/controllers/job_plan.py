"""From a Job and its pods to what is to be done now. Pure; the order of the writes is the controller's.

Pods are counted exactly once, whatever crashes in between, by upstream's protocol: a finished pod's UID first goes into
`status.uncountedTerminatedPods`; only then does the pod lose its tracking finalizer; only when it has none left (or is
gone) does the UID become part of the counters. A Job ends in two steps as well: SuccessCriteriaMet or FailureTarget
first, and Complete or Failed once no pod is left to count or still going.
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.controllers.job_rules import (
    Failures,
    backoff_limit_of,
    completions_of,
    deadline_in,
    format_indexes,
    has_failed,
    index_of,
    is_indexed,
    is_tracked,
    match_failure,
    next_failures,
    parallelism_of,
    parse_indexes,
    phase_of,
    restarts_exceed,
    waits_for_terminating,
)
from lab.controllers.objects import is_active, is_ready, is_terminating, timestamp, with_condition

Manifest = dict[str, Any]

_BATCH_MAX = 500  # pods created or deleted in one go; upstream's bound, so that one Job cannot starve the others


@dataclass
class Plan:
    """Writes to make: pods to create (by index, or None), pods to remove, finalizers to release, a new status."""

    status: Manifest
    create: list[int | None] = field(default_factory=list)
    withdraw: list[Manifest] = field(default_factory=list)  # no longer wanted: released, then deleted, never counted
    end: list[Manifest] = field(default_factory=list)  # active when the Job ended: deleted after they are on record
    release: list[Manifest] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    again: float | None = None
    finished: str = ""


def is_finished(job: Manifest) -> bool:
    """Whether a Job has its last condition."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def plan(job: Manifest, pods: Collection[Manifest], before: Failures, now: datetime) -> Plan:
    """Return what to do for a Job that has not finished."""
    return _Planning(job, list(pods), before, now).run()


class _Planning:
    """One look at one Job."""

    def __init__(self, job: Manifest, pods: list[Manifest], before: Failures, now: datetime) -> None:
        self.job = job
        self.pods = pods
        self.now = now
        self.active = [pod for pod in pods if is_active(pod)]
        self.status: Manifest = copy.deepcopy(job.get("status") or {})
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted = {name: list(uncounted.get(name) or []) for name in ("succeeded", "failed")}
        self.indexes = parse_indexes(self.status.get("completedIndexes") or "")
        self.plan = Plan(self.status, failures=before)
        self.is_suspended = bool(job["spec"].get("suspend"))

    def run(self) -> Plan:
        """Fill in the plan."""
        if not self.status.get("startTime") and not self.is_suspended:
            self.status["startTime"] = timestamp(self.now)
        self._count_released()
        self._put_on_record()
        kind = self._decide_end()
        if kind:
            self._end(kind)
        elif not is_terminating(self.job):
            self._manage()
            if self._is_complete():
                text = "Reached expected number of succeeded pods"
                self._condition("SuccessCriteriaMet", "True", "CompletionsReached", text)
        self._write_counts()
        return self.plan

    # -- counting ------------------------------------------------------------------------------------------------

    def _count_released(self) -> None:
        tracked = {pod["metadata"]["uid"] for pod in self.pods if is_tracked(pod)}
        for name, uids in self.uncounted.items():
            left = [uid for uid in uids if uid in tracked]
            self.status[name] = int(self.status.get(name) or 0) + len(uids) - len(left)
            self.uncounted[name] = left

    def _put_on_record(self) -> None:
        recorded = {uid for uids in self.uncounted.values() for uid in uids}
        succeeded, failed = [], []
        for pod in self.pods:
            uid = pod["metadata"]["uid"]
            if not is_tracked(pod):
                continue
            if uid in recorded:
                self.plan.release.append(pod)
            elif phase_of(pod) == "Succeeded":
                succeeded.append(pod)
                self._succeeded(pod)
            elif has_failed(self.job, pod):
                failed.append(pod)
                self._failed(pod)
            elif is_terminating(self.job):
                self.plan.release.append(pod)
        self.plan.failures = next_failures(self.plan.failures, succeeded, failed, self.now)

    def _succeeded(self, pod: Manifest) -> None:
        self.plan.release.append(pod)
        if not is_indexed(self.job):
            self.uncounted["succeeded"].append(pod["metadata"]["uid"])
        elif (index := index_of(pod)) is not None and index < (completions_of(self.job) or 0):
            self.indexes.add(index)

    def _failed(self, pod: Manifest) -> None:
        self.plan.release.append(pod)
        if match_failure(self.job, pod).counts:
            self.uncounted["failed"].append(pod["metadata"]["uid"])

    def _total(self, name: str) -> int:
        if name == "succeeded" and is_indexed(self.job):
            return len(self.indexes)
        return int(self.status.get(name) or 0) + len(self.uncounted[name])

    # -- the end -------------------------------------------------------------------------------------------------

    def _condition(self, kind: str, status: str, reason: str, message: str) -> None:
        new = {"type": kind, "status": status, "reason": reason, "message": message}
        new["lastProbeTime"] = timestamp(self.now)
        self.status["conditions"] = with_condition(self.status.get("conditions") or [], new, self.now)

    def _has(self, kind: str) -> Manifest | None:
        conditions = self.status.get("conditions") or []
        return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)

    def _decide_end(self) -> str:
        for kind in ("SuccessCriteriaMet", "FailureTarget"):
            if self._has(kind):
                return kind
        if reason := self._failure():
            self._condition("FailureTarget", "True", *reason)
            return "FailureTarget"
        return ""

    def _failure(self) -> tuple[str, str] | None:
        for pod in self.pods:
            if has_failed(self.job, pod) and (message := match_failure(self.job, pod).message):
                return "PodFailurePolicy", message
        if self._total("failed") > backoff_limit_of(self.job) or restarts_exceed(self.job, self.pods):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        left = deadline_in(self.job, self.now)
        if left is not None and left <= 0:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        self.plan.again = left
        return None

    def _is_complete(self) -> bool:
        wanted, succeeded = completions_of(self.job), self._total("succeeded")
        enough = succeeded > 0 if wanted is None else succeeded >= wanted
        return enough and not self.active and not self.plan.create

    def _end(self, kind: str) -> None:
        old = (self.job.get("status") or {}).get("conditions") or []
        was_on_record = any(one["type"] == kind and one["status"] == "True" for one in old)
        self.plan.end = self.active
        for pod in self.pods:
            if is_tracked(pod) and pod not in self.plan.release:
                self.plan.release.append(pod)
                if kind == "FailureTarget" and match_failure(self.job, pod).counts:
                    self.uncounted["failed"].append(pod["metadata"]["uid"])
        is_quiet = not self.active and not self._terminating() and not any(self.uncounted.values())
        if was_on_record and is_quiet and not any(is_tracked(pod) for pod in self.pods):
            cause = self._has(kind) or {}
            self.plan.finished = "Complete" if kind == "SuccessCriteriaMet" else "Failed"
            self._condition(self.plan.finished, "True", cause.get("reason", ""), cause.get("message", ""))
            if kind == "SuccessCriteriaMet":
                self.status["completionTime"] = timestamp(self.now)

    # -- how many ------------------------------------------------------------------------------------------------

    def _terminating(self) -> int:
        ended = ("Succeeded", "Failed")
        return sum(1 for pod in self.pods if is_terminating(pod) and phase_of(pod) not in ended)

    def _manage(self) -> None:
        if self.is_suspended:
            self.plan.withdraw = self.active
            self._condition("Suspended", "True", "JobSuspended", "Job suspended")
            self.status.pop("startTime", None)
            return
        if self._has("Suspended"):
            self._condition("Suspended", "False", "JobResumed", "Job resumed")
            self.status["startTime"] = timestamp(self.now)
        wanted, succeeded = completions_of(self.job), self._total("succeeded")
        parallelism = parallelism_of(self.job)
        if wanted is None:
            target = len(self.active) if succeeded else parallelism
        else:
            target = max(0, min(wanted - succeeded, parallelism))
        surplus = len(self.active) - target
        if surplus > 0:
            # Those that have got least far go first.
            order = sorted(self.active, key=lambda pod: (is_ready(pod), phase_of(pod) == "Running"))
            self.plan.withdraw = order[: min(surplus, _BATCH_MAX)]
            return
        missing = -surplus - (self._terminating() if waits_for_terminating(self.job) else 0)
        if missing <= 0:
            return
        wait = self.plan.failures.wait_seconds(self.now)
        if wait > 0:
            self.plan.again = wait if self.plan.again is None else min(wait, self.plan.again)
        else:
            self.plan.create = self._new_indexes(min(missing, _BATCH_MAX))

    def _new_indexes(self, count: int) -> list[int | None]:
        if not is_indexed(self.job):
            return [None] * count
        holders = self.pods if waits_for_terminating(self.job) else self.active
        going = [pod for pod in holders if is_active(pod) or (is_terminating(pod) and phase_of(pod) != "Failed")]
        taken = self.indexes | {index for pod in going if (index := index_of(pod)) is not None}
        free = (index for index in range(completions_of(self.job) or 0) if index not in taken)
        return [index for index, _ in zip(free, range(count), strict=False)]

    def _write_counts(self) -> None:
        gone = [*self.plan.withdraw, *self.plan.end]
        staying = [pod for pod in self.active if pod not in gone]
        self.status["active"] = len(staying) + len(self.plan.create)
        self.status["ready"] = sum(1 for pod in staying if is_ready(pod))
        self.status["terminating"] = self._terminating() + len(gone)
        self.status["uncountedTerminatedPods"] = {name: uids for name, uids in self.uncounted.items() if uids}
        if is_indexed(self.job):
            self.status["succeeded"] = len(self.indexes)
            self.status["completedIndexes"] = format_indexes(self.indexes)
        for name in ("succeeded", "failed", "active"):
            if not self.status.get(name):
                self.status.pop(name, None)
