"""The columns of pods: above all STATUS, which sums up phase, containers and deletion in one word."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.kinds.ages import age
from lab.api_server.kinds.model import Column, Columns

NONE = "<none>"
TERMINAL = frozenset({"Succeeded", "Failed"})


def _statuses(pod: Manifest, member: str) -> list[Manifest]:
    return at(pod, "status", member) or []


def _restartable(pod: Manifest) -> set[str]:
    """Return the names of sidecars: init containers that stay."""
    containers = pod["spec"].get("initContainers") or []
    return {one["name"] for one in containers if one.get("restartPolicy") == "Always"}


def _has_condition(pod: Manifest, kind: str) -> bool:
    conditions = at(pod, "status", "conditions") or []
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


def _ended(terminated: Manifest) -> str:
    """Return why a container ended."""
    if terminated.get("reason"):
        return str(terminated["reason"])
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def _initializing(pod: Manifest) -> str:
    """Return what the first unfinished init container is at, or "" where all are done."""
    sidecars, total = _restartable(pod), len(pod["spec"].get("initContainers") or [])
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        terminated, waiting = at(status, "state", "terminated"), at(status, "state", "waiting", "reason")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if status["name"] in sidecars and status.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        return f"Init:{waiting}" if waiting and waiting != "PodInitializing" else f"Init:{index}/{total}"
    return ""


def _is_initializing(pod: Manifest) -> bool:
    return bool(_initializing(pod)) and not _has_condition(pod, "Initialized")


def status(pod: Manifest, _now: datetime | None = None) -> str:
    """Return the STATUS column."""
    phase = str(at(pod, "status", "phase") or "")
    if "deletionTimestamp" in pod["metadata"] and phase not in TERMINAL:
        return "Unknown" if at(pod, "status", "reason") == "NodeLost" else "Terminating"
    reason = at(pod, "status", "reason") or phase
    if any(one.get("reason") == "SchedulingGated" for one in at(pod, "status", "conditions") or []):
        reason = "SchedulingGated"
    if _is_initializing(pod):
        return _initializing(pod)
    return _of_containers(pod, str(reason))


def _of_containers(pod: Manifest, reason: str) -> str:
    running, failed = False, ""
    for container in reversed(_statuses(pod, "containerStatuses")):
        waiting, terminated = at(container, "state", "waiting", "reason"), at(container, "state", "terminated")
        if waiting:
            reason = waiting
        elif terminated is not None:
            reason = _ended(terminated)
            failed = reason if terminated.get("exitCode", 0) else failed
        elif container.get("ready") and at(container, "state", "running") is not None:
            running = True
    if reason != "Completed":
        return reason
    if running and _has_condition(pod, "Ready"):
        return "Running"
    return failed or ("NotReady" if running else reason)


def _ready(pod: Manifest, _now: datetime) -> str:
    sidecars = _restartable(pod)
    total = len(pod["spec"]["containers"]) + len(sidecars)
    ready = sum(bool(one.get("ready")) for one in _statuses(pod, "initContainerStatuses") if one["name"] in sidecars)
    if not _is_initializing(pod):
        ready += sum(
            bool(one.get("ready")) and at(one, "state", "running") is not None
            for one in _statuses(pod, "containerStatuses")
        )
    return f"{ready}/{total}"


def _restarts(pod: Manifest, now: datetime) -> str:
    sidecars = _restartable(pod)
    counted = [
        one for one in _statuses(pod, "initContainerStatuses") if _is_initializing(pod) or one["name"] in sidecars
    ]
    if not _is_initializing(pod):
        counted += _statuses(pod, "containerStatuses")
    restarts = sum(one.get("restartCount", 0) for one in counted)
    last = max(_restarted(counted), default="")
    return f"{restarts} ({age(last, now)} ago)" if restarts and last else str(restarts)


def _restarted(statuses: Iterable[Manifest]) -> Iterable[str]:
    return (moment for one in statuses if (moment := at(one, "lastState", "terminated", "finishedAt")))


def _gates(pod: Manifest, _now: datetime) -> str:
    gates = pod["spec"].get("readinessGates") or []
    if not gates:
        return NONE
    return f"{sum(_has_condition(pod, one['conditionType']) for one in gates)}/{len(gates)}"


def _address(pod: Manifest, _now: datetime) -> Any:
    addresses = at(pod, "status", "podIPs") or []
    return addresses[0]["ip"] if addresses else NONE


COLUMNS: Columns = (
    Column("Ready", _ready),
    Column("Status", status),
    Column("Restarts", _restarts),
    Column("Age", lambda pod, now: age(pod["metadata"].get("creationTimestamp"), now)),
    Column("IP", _address, priority=1),
    Column("Node", lambda pod, _now: pod["spec"].get("nodeName") or NONE, priority=1),
    Column("Nominated Node", lambda pod, _now: at(pod, "status", "nominatedNodeName") or NONE, priority=1),
    Column("Readiness Gates", _gates, priority=1),
)
