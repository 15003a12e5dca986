"""Computes a pod's status from its containers' records, the way upstream's kubelet does.

Pure. Phase, conditions and container statuses follow upstream's rules, with one known difference: pods share the node's
network and show its address. Conditions that somebody else owns (readiness gates, DisruptionTarget) are not in it: the
status is sent as a strategic merge patch, which leaves them alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from lab.kubelet.records import (
    Kind,
    Manifest,
    Record,
    Records,
    Running,
    State,
    Terminated,
    Waiting,
    containers,
    lost,
    write_time,
)

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why all of a pod is brought to an end; `phase` where it is not for the exit codes to say."""

    reason: str = ""
    message: str = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What besides the containers decides a status."""

    now: datetime
    started_at: datetime
    has_view: bool = False  # volumes are there: containers can be started
    ending: Ending | None = None
    is_terminal: bool = False  # nothing runs any more and nothing will


def status(pod: Manifest, records: Records, progress: Progress) -> Manifest:
    """The whole `status` of the pod, as far as it is a kubelet's to write."""
    if progress.is_terminal:
        records = {name: _settled(record, progress) for name, record in records.items()}
    phase = _phase(pod, records, is_terminal=progress.is_terminal)
    if progress.is_terminal and phase not in ("Succeeded", "Failed"):
        phase = "Failed"
    if progress.ending is not None and progress.ending.phase:
        phase = progress.ending.phase
    result: Manifest = {
        "phase": phase,
        "startTime": write_time(progress.started_at),
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "podIP": ADDRESS,
        "podIPs": [{"ip": ADDRESS}],
        "conditions": _conditions(pod, records, phase, progress),
        "containerStatuses": [_container(pod, records[name]) for name in _names(pod, {Kind.MAIN})],
    }
    if initial := _names(pod, {Kind.INIT, Kind.SIDECAR}):
        result["initContainerStatuses"] = [_container(pod, records[name]) for name in initial]
    if generation := pod["metadata"].get("generation"):
        result["observedGeneration"] = generation
    if progress.ending is not None and progress.ending.reason:
        result |= {"reason": progress.ending.reason, "message": progress.ending.message}
    return result


def rejected(pod: Manifest, reason: str, message: str, now: datetime) -> Manifest:
    """The status of a pod that this node refuses: Failed, and no container was ever seen."""
    result: Manifest = {"phase": "Failed", "reason": reason, "message": message, "startTime": write_time(now)}
    if generation := pod["metadata"].get("generation"):
        result["observedGeneration"] = generation
    return result


def _names(pod: Manifest, kinds: set[Kind]) -> list[str]:
    return [manifest["name"] for kind, manifest in containers(pod) if kind in kinds]


def _settled(record: Record, progress: Progress) -> Record:
    """A container that will not run again, as ended: in a terminal pod nothing may be left waiting or running."""
    record = replace(record, is_ready=False, is_started=False)
    if isinstance(record.state, Terminated):
        return record
    if record.last is not None:
        return replace(record, state=record.last, last=None)
    return replace(record, state=lost(progress.now))


def _phase(pod: Manifest, records: Records, *, is_terminal: bool) -> str:
    policy = pod["spec"].get("restartPolicy", "Always")
    initial = [record for record in records.values() if record.kind is Kind.INIT]
    if any(_failed(record) for record in initial) and policy == "Never":
        return "Failed"
    if not is_terminal and any(_incomplete(record) for record in initial):
        return "Pending"
    main = [record for record in records.values() if record.kind is Kind.MAIN]
    if any(isinstance(record.state, Waiting) and record.last is None for record in main):
        return "Pending"
    if any(isinstance(record.state, Running) for record in main):
        return "Running"
    has_succeeded = all(record.ended is not None and record.ended.exit_code == 0 for record in main)
    if is_terminal or policy == "Never":
        return "Succeeded" if has_succeeded else "Failed"
    return "Succeeded" if has_succeeded and policy == "OnFailure" else "Running"


def _failed(record: Record) -> bool:
    return record.ended is not None and record.ended.exit_code != 0 and not isinstance(record.state, Running)


def _incomplete(record: Record) -> bool:
    return not (isinstance(record.state, Terminated) and record.state.exit_code == 0)


def _conditions(pod: Manifest, records: Records, phase: str, progress: Progress) -> list[Manifest]:
    is_done = phase in ("Succeeded", "Failed")
    incomplete = [
        record.name
        for record in records.values()
        if (record.kind is Kind.INIT and _incomplete(record)) or (record.kind is Kind.SIDECAR and not record.is_started)
    ]
    unready = [record.name for record in records.values() if record.kind is not Kind.INIT and not record.is_ready]
    containers_ready = _ready(unready, phase, is_done=is_done)
    wanted = [
        {"type": "PodReadyToStartContainers", "status": "False" if is_done or not progress.has_view else "True"},
        _initialized(incomplete, phase),
        {"type": "Ready", **_gated(pod, containers_ready)},
        {"type": "ContainersReady", **containers_ready},
        {"type": "PodScheduled", "status": "True"},
    ]
    known = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", ())}
    return [_dated(condition, known.get(condition["type"]), pod, progress.now) for condition in wanted]


def _initialized(incomplete: list[str], phase: str) -> Manifest:
    if phase == "Succeeded":
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    if not incomplete:
        return {"type": "Initialized", "status": "True"}
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return {"type": "Initialized", "status": "False", "reason": "ContainersNotInitialized", "message": message}


def _ready(unready: list[str], phase: str, *, is_done: bool) -> Manifest:
    if is_done:
        return {"status": "False", "reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    if not unready:
        return {"status": "True"}
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _gated(pod: Manifest, containers_ready: Manifest) -> Manifest:
    """Ready is ContainersReady and all the conditions that the pod's readiness gates name."""
    known = {entry["type"]: entry["status"] for entry in pod.get("status", {}).get("conditions", ())}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
    closed = [gate for gate in gates if known.get(gate) != "True"]
    if containers_ready["status"] != "True" or not closed:
        return containers_ready
    message = f"the status of pod readiness gate {closed[0]!r} is not True"
    return {"status": "False", "reason": "ReadinessGatesNotReady", "message": message}


def _dated(condition: Manifest, known: Manifest | None, pod: Manifest, now: datetime) -> Manifest:
    same = known is not None and known["status"] == condition["status"]
    since = known["lastTransitionTime"] if known is not None and same else write_time(now)
    # Explicit nulls: the strategic merge would keep a reason or message that is no longer true.
    texts = {"reason": None, "message": None, "lastProbeTime": None}
    result = {**texts, **condition, "lastTransitionTime": since}
    if generation := pod["metadata"].get("generation"):
        result["observedGeneration"] = generation
    return result


def _container(pod: Manifest, record: Record) -> Manifest:
    entry: Manifest = {
        "name": record.name,
        "image": record.image,
        "imageID": f"process://{record.image}" if record.container_id else "",
        "ready": record.is_ready if record.kind is not Kind.INIT else not _incomplete(record),
        "started": record.is_started,
        "restartCount": record.restarts,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last is not None else {},
    }
    if record.container_id:
        entry["containerID"] = record.container_id
    return entry


def _state(state: State) -> Manifest:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **_text(message)}}
        case Running(started_at):
            return {"running": {"startedAt": write_time(started_at)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    "startedAt": write_time(state.started_at) if state.started_at else None,
                    "finishedAt": write_time(state.finished_at),
                    **({"containerID": state.container_id} if state.container_id else {}),
                    **_text(state.message),
                }
            }


def _text(message: str) -> Manifest:
    return {"message": message} if message else {}


def says(status: Manifest) -> Manifest:
    """What a status says, without the times at which its conditions changed: equal if nothing needs to be sent."""
    conditions = [
        {key: value for key, value in entry.items() if not key.endswith("Time") and value is not None}
        for entry in status.get("conditions") or ()
    ]
    return {**status, "conditions": conditions}
