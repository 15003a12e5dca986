"""What a Job says about its pods: how many, which failures count, when it has failed or succeeded. Pure.

Not supported, and treated as absent: backoffLimitPerIndex (FailIndex counts like Count), successPolicy, managedBy.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab.controllers.objects import finalizers, is_terminating, parse_time, seconds_since

Manifest = dict[str, Any]

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"

# Upstream's back-off for pods of a Job that fail: 10 s, doubling, ten minutes at most.
BACKOFF_SECONDS_MIN = 10.0
BACKOFF_SECONDS_MAX = 600.0


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures in a row and when the last one was; remembered by the controller between two looks."""

    count: int = 0
    last: datetime | None = None

    def wait_seconds(self, now: datetime) -> float:
        """Return how long no new pod is to be made."""
        if not self.count or self.last is None:
            return 0.0
        pause = min(BACKOFF_SECONDS_MIN * float(2 ** min(self.count - 1, 10)), BACKOFF_SECONDS_MAX)
        return max(0.0, pause - (now - self.last).total_seconds())


def phase_of(pod: Manifest) -> str:
    """Return status.phase."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def completions_of(job: Manifest) -> int | None:
    """Return how many pods must succeed, or None where the first success decides (a work queue)."""
    spec = job["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        return 1
    value = spec.get("completions")
    return None if value is None else int(value)


def parallelism_of(job: Manifest) -> int:
    """Return how many pods may run at once."""
    value = job["spec"].get("parallelism")
    return 1 if value is None else int(value)


def backoff_limit_of(job: Manifest) -> int:
    """Return how many failures are accepted."""
    value = job["spec"].get("backoffLimit")
    return 6 if value is None else int(value)


def is_indexed(job: Manifest) -> bool:
    """Whether each completion has a number."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Manifest) -> int | None:
    """Return a pod's completion index, or None."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(text) if text is not None and text.isdigit() else None


def is_tracked(pod: Manifest) -> bool:
    """Whether a pod still waits to be counted."""
    return TRACKING in finalizers(pod)


def waits_for_terminating(job: Manifest) -> bool:
    """Whether a pod is replaced only once it has failed, not already while it terminates."""
    policy = job["spec"].get("podReplacementPolicy")
    return bool((policy or ("Failed" if job["spec"].get("podFailurePolicy") else "")) == "Failed")


def has_failed(job: Manifest, pod: Manifest) -> bool:
    """Whether a pod counts as failed: by its phase, or because it is going and may be replaced at once."""
    if phase_of(pod) == "Failed":
        return True
    if waits_for_terminating(job):
        return False
    return is_terminating(pod) and phase_of(pod) != "Succeeded"


def finished_at(pod: Manifest) -> datetime | None:
    """Return when a pod ended, as well as its status tells."""
    status = pod.get("status") or {}
    ends = [
        (container.get("state") or {}).get("terminated", {}).get("finishedAt")
        for container in status.get("containerStatuses") or []
    ]
    if ends and all(ends):
        return max(moment for end in ends if (moment := parse_time(end)))
    for condition in status.get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] == "False" and condition.get("lastTransitionTime"):
            return parse_time(condition["lastTransitionTime"])
    return parse_time(pod["metadata"].get("deletionTimestamp"))


def next_failures(
    before: Failures, succeeded: Collection[Manifest], failed: Collection[Manifest], now: datetime
) -> Failures:
    """Return the failures in a row after these pods ended; a success starts anew."""
    times = [finished_at(pod) or now for pod in failed]
    if succeeded:
        last_success = max(finished_at(pod) or now for pod in succeeded)
        times = [time for time in times if time > last_success]
        return Failures(len(times), max(times, default=None))
    if not failed:
        return before
    return Failures(before.count + len(failed), max(times))


@dataclass(frozen=True, slots=True)
class Match:
    """What the pod failure policy makes of a failed pod; `message` is set where the Job fails with it."""

    counts: bool = True
    message: str = ""


def _exit_code(pod: Manifest, rule: Manifest) -> tuple[str, int] | None:
    status = pod.get("status") or {}
    for container in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]:
        terminated = (container.get("state") or {}).get("terminated")
        if not terminated or rule.get("containerName") not in (None, container["name"]):
            continue
        code = int(terminated["exitCode"])
        if code != 0 and (code in rule["values"]) == (rule["operator"] == "In"):
            return str(container["name"]), code
    return None


def _condition(pod: Manifest, patterns: list[Manifest]) -> str:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        for pattern in patterns:
            if (condition["type"], condition["status"]) == (pattern["type"], pattern.get("status") or "True"):
                return str(condition["type"])
    return ""


def match_failure(job: Manifest, pod: Manifest) -> Match:
    """Return what the first rule of podFailurePolicy that matches says; without one the failure counts."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or []):
        message = ""
        if rule.get("onExitCodes"):
            if found := _exit_code(pod, rule["onExitCodes"]):
                message = f"Container {found[0]} for pod {namespace}/{name} failed with exit code {found[1]}"
        elif kind := _condition(pod, rule.get("onPodConditions") or []):
            message = f"Pod {namespace}/{name} has condition {kind}"
        if message and rule["action"] == "FailJob":
            return Match(message=f"{message} matching FailJob rule at index {number}")
        if message:
            return Match(counts=rule["action"] != "Ignore")
    return Match()


def restarts_exceed(job: Manifest, pods: Collection[Manifest]) -> bool:
    """Whether containers that restart in place (restartPolicy OnFailure) have failed too often."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in pods:
        status = pod.get("status") or {}
        if status.get("phase") in ("Running", "Pending"):
            containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
            restarts += sum(int(container.get("restartCount") or 0) for container in containers)
    limit = backoff_limit_of(job)
    return restarts > 0 if limit == 0 else restarts >= limit


def deadline_in(job: Manifest, now: datetime) -> float | None:
    """Return the seconds until activeDeadlineSeconds ends the Job (0 or less: now), or None where nothing does."""
    limit, start = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if limit is None or start is None or job["spec"].get("suspend"):
        return None
    return float(limit) - seconds_since(start, now)


def parse_indexes(text: str) -> set[int]:
    """Return the numbers of `0,2-4`."""
    indexes: set[int] = set()
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        indexes.update(range(int(first), int(last or first) + 1))
    return indexes


def format_indexes(indexes: Collection[int]) -> str:
    """Return numbers as upstream writes them: runs of three or more as `first-last`, pairs apart."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), None]:
        if run and (index is None or index != run[-1] + 1):
            first, last = run[0], run[-1]
            parts.append(str(first) if first == last else f"{first}-{last}" if last - first > 1 else f"{first},{last}")
            run = []
        if index is not None:
            run.append(index)
    return ",".join(parts)
