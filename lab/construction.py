"""A lab while it is built: what later parts need to know of earlier ones."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lab as package
from federation.kube.api import Api
from lab.directory import LabDirectory, LabRecord
from lab.engines.engine import Engine
from lab.identities import Identities
from lab.plan import ClusterPlan, Component, LabPlan
from lab.processes import Process, ProcessTable

Report = Callable[[str], None]

# Where people submit, and where the lab's Targets are. The one namespace that every cluster has from the start.
WORK_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster whose API server answers."""

    plan: ClusterPlan
    directory: Path
    url: str
    identities: Identities
    api: Api

    @property
    def name(self) -> str:
        """Its name in the plan."""
        return self.plan.name

    def kubeconfig(self, user: str) -> Path:
        """Write a kubeconfig for one of the cluster's users, with a certificate of its own."""
        return self.identities.kubeconfig(self.directory / f"{user}.kubeconfig", self.url, user)


@dataclass(slots=True)
class Construction:
    """The lab so far."""

    plan: LabPlan
    directory: LabDirectory
    record: LabRecord
    engine: Engine
    processes: ProcessTable
    report: Report
    clusters: dict[str, Cluster] = field(default_factory=dict)

    @property
    def source(self) -> Cluster:
        """The cluster where work is submitted."""
        return self.clusters[self.plan.source.name]

    def has(self, component: Component) -> bool:
        """Whether the lab shall have it."""
        return component in self.plan.components

    def start(
        self, role: str, command: Sequence[str], *, cluster: str = "", env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a program of this role, for a cluster or for the lab as a whole."""
        name = f"{cluster}.{role}" if cluster else role
        return self.processes.start(name, command, role=role, cluster=cluster, env=env)

    def note_service(self, name: str, facts: dict[str, str]) -> None:
        """Put a service's address on record."""
        self.record = self.directory.with_service(self.record, name, facts)


def isthmus(*arguments: str) -> list[str]:
    """The command line of one of our own programs."""
    return [sys.executable, "-m", "isthmus", *arguments]


def lab_program(name: str, config: Path) -> list[str]:
    """The command line of one of the lab's servers."""
    return [sys.executable, "-m", f"lab.{name}", f"--config={config}"]


def shipped(name: str) -> Path:
    """A directory that comes with Isthmus (`deploy`, `runner-config`): beside the package, or inside the wheel."""
    root = Path(package.__file__).resolve().parent.parent
    inside_wheel = root / "isthmus" / name
    return inside_wheel if inside_wheel.is_dir() else root / name
