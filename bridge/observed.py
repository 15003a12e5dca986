"""Nouns of the bridge: jobs that wait, runner pods of both modes, and all that one look sees. Facts, no decisions.

A *runner pod* of job mode takes one CI job and ends. A *manager pod* of deployment mode takes one after the other until
it is told to stop. Both are known to GitLab by their `system_id`; that alone tells which of them is busy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class PendingJob:
    """A CI job that waits. `taken_by` is a system id if a runner has it already but has not yet acknowledged."""

    id: int
    project: str
    name: str
    tags: frozenset[str]
    url: str = ""
    is_assigned: bool = False
    taken_by: str = ""


class Phase(StrEnum):
    """Where a runner pod is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunnerPod:
    """A one-job runner we made: the Kubernetes Job and what its pod reports. `ci_job` is 0 for a spare one."""

    job: str
    uid: str
    profile: str
    ci_job: int
    attempt: int
    system_id: str
    token: str
    phase: Phase
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    pod: str = ""
    node: str = ""
    detail: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether it will never take a job again."""
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED)

    @property
    def is_spare(self) -> bool:
        """Whether it was made to be kept ready (min, idle), not for a job that waited."""
        return self.ci_job == 0


@dataclass(frozen=True, slots=True)
class ManagerPod:
    """A pod of a profile's Deployment. `deletion_cost` is what the ReplicaSet controller goes by when it shrinks."""

    pod: str
    uid: str
    profile: str
    system_id: str
    phase: Phase
    created_at: datetime
    is_assigned: bool = False
    is_ready: bool = False
    is_leaving: bool = False
    deletion_cost: int = 0
    node: str = ""
    detail: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether it will never take a job again, and has none."""
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class RunnerDeployment:
    """A profile's Deployment.

    `template` says which pods it was written for, `paused_since` that its runner is paused at GitLab while it shrinks,
    `keeps_pause` that a person had paused it before.
    """

    name: str
    uid: str
    resource_version: str
    profile: str
    template: str
    replicas: int
    is_settled: bool
    paused_since: datetime | None = None
    keeps_pause: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the cluster holds of ours. Deployments are by profile."""

    pods: Sequence[RunnerPod] = ()
    managers: Sequence[ManagerPod] = ()
    deployments: Mapping[str, RunnerDeployment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read, in this order: busy system ids, pending jobs, the fleet; and the token each usable profile has."""

    busy: frozenset[str]
    pending: Sequence[PendingJob]
    fleet: Fleet
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How fast and how patient. An idle runner leaves after its wait timeout; a spare one has another, longer one."""

    burst_max: int
    start_timeout_seconds: float
    wait_timeout_seconds: float
    idle_timeout_seconds: float = 3600
    scale_down_delay_seconds: float = 300
