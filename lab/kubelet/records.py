"""What is known of a pod's containers: values the decisions are made on, and how they read in a pod's status.

A record is never changed, only replaced; the worker of a pod keeps one per container, by name. After a restart of the
kubelet they are read back from the pod's status: a container that was running then is lost, since no process outlives
its kubelet, and is reported the way upstream reports a container it cannot find.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

Manifest = dict[str, Any]

LOST = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod was terminated"
LOST_EXIT_CODE = 137  # what SIGKILL would have left behind; upstream's choice


class Kind(Enum):
    """The part a container plays in its pod's life."""

    INIT = "init"
    SIDECAR = "sidecar"  # an init container with restartPolicy Always
    MAIN = "main"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and why not."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Its process runs."""

    started_at: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    """Its process has ended; code 128 + n is signal n."""

    exit_code: int
    reason: str
    finished_at: datetime
    started_at: datetime | None = None
    message: str = ""
    container_id: str = ""


State = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class Record:
    """One container of a pod, as far as it has come."""

    name: str
    kind: Kind
    image: str = ""
    state: State = Waiting()
    last: Terminated | None = None
    restarts: int = 0
    container_id: str = ""
    is_started: bool = False  # running, postStart done, startup probe passed
    is_ready: bool = False
    back_off_seconds: float = 0.0  # how long the next failure will make it wait
    retry_at: datetime | None = None  # not before: after an image or configuration that could not be had

    @property
    def ended(self) -> Terminated | None:
        """How the newest run of it ended, also while it waits to be run again."""
        return self.state if isinstance(self.state, Terminated) else self.last


Records = Mapping[str, Record]


def containers(pod: Manifest) -> Iterator[tuple[Kind, Manifest]]:
    """All containers of the pod in the order they start."""
    for container in pod["spec"].get("initContainers", ()):
        yield (Kind.SIDECAR if container.get("restartPolicy") == "Always" else Kind.INIT), container
    for container in pod["spec"]["containers"]:
        yield Kind.MAIN, container


def container(pod: Manifest, name: str) -> Manifest | None:
    """The container of that name, or None."""
    return next((manifest for _, manifest in containers(pod) if manifest["name"] == name), None)


def first_records(pod: Manifest, now: datetime) -> dict[str, Record]:
    """What is known when this kubelet first sees the pod: nothing, or what an earlier kubelet wrote into its status."""
    status = pod.get("status", {})
    known = {
        entry["name"]: entry for key in ("initContainerStatuses", "containerStatuses") for entry in status.get(key, ())
    }
    return {
        manifest["name"]: _restore(kind, manifest, known.get(manifest["name"]), now)
        for kind, manifest in containers(pod)
    }


def _restore(kind: Kind, manifest: Manifest, entry: Manifest | None, now: datetime) -> Record:
    record = Record(name=manifest["name"], kind=kind, image=manifest.get("image", ""))
    if entry is None:
        if kind is Kind.MAIN:
            return record
        return replace(record, state=Waiting("PodInitializing"))
    state, identity = entry.get("state", {}), entry.get("containerID", "")
    record = replace(record, restarts=entry.get("restartCount", 0), container_id=identity)
    if last := entry.get("lastState", {}).get("terminated"):
        record = replace(record, last=_terminated(last))
    if ended := state.get("terminated"):
        return replace(record, state=_terminated(ended))
    if running := state.get("running"):
        return replace(record, state=lost(now, parse_time(running["startedAt"]), identity))
    return record


def lost(now: datetime, started_at: datetime | None = None, container_id: str = "") -> Terminated:
    """How a container is reported whose end nobody saw."""
    return Terminated(LOST_EXIT_CODE, LOST, now, started_at, LOST_MESSAGE, container_id)


def _terminated(entry: Manifest) -> Terminated:
    finished, started = parse_time(entry.get("finishedAt")), parse_time(entry.get("startedAt"))
    return Terminated(
        exit_code=entry["exitCode"],
        reason=entry.get("reason", ""),
        finished_at=finished or datetime.fromtimestamp(0, UTC),
        started_at=started,
        message=entry.get("message", ""),
        container_id=entry.get("containerID", ""),
    )


def parse_time(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it, or None for none."""
    return datetime.fromisoformat(text) if text else None


def write_time(time: datetime) -> str:
    """A time as Kubernetes' `metav1.Time` has it: whole seconds, UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
