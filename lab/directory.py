"""A lab's directory: where everything lies, the record of what was made, and the lock between two commands.

The record (`lab.json`) is written before anything is started, so that a lab that was broken off at any moment can be
taken down: it holds the random mark all its processes carry. Nobody removes a directory that has no such record.
"""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.plan import LabPlan
from lab.processes import ProcessTable

# How long a command waits for another that works on the same lab, before it gives up.
LOCK_SECONDS = 3.0

FORMAT = 1


class NoLab(Exception):
    """There is no lab in this directory, or something else is."""


class LabBusy(Exception):
    """Another command works on this lab right now."""


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster that was planned: its name, its nodes, and where its administrator's kubeconfig is."""

    name: str
    kubeconfig: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabRecord:
    """What is known about a lab without asking anyone. `services` holds gitlab's and the registry's addresses."""

    mark: str
    engine: str
    clusters: tuple[ClusterRecord, ...]
    is_ready: bool
    services: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class LabDirectory:
    """The paths inside a lab's directory."""

    root: Path

    @property
    def record_path(self) -> Path:
        """What makes this a lab's directory."""
        return self.root / "lab.json"

    def kubeconfig(self, cluster: str) -> Path:
        """The administrator's kubeconfig of a cluster."""
        return self.root / "kubeconfigs" / f"{cluster}.json"

    def cluster(self, name: str) -> Path:
        """Keys, configuration and data of a cluster's own programs."""
        return self.root / "clusters" / name

    def service(self, name: str) -> Path:
        """Configuration and data of a program that belongs to no cluster (gitlab, registry)."""
        return self.root / "services" / name

    def processes(self, mark: str) -> ProcessTable:
        """The processes of the lab with this mark."""
        return ProcessTable(self.root / "processes", self.root / "logs", mark)

    def create(self, plan: LabPlan) -> LabRecord:
        """Make the directory and its first record; the directory is new or empty."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        clusters = tuple(
            ClusterRecord(cluster.name, str(self.kubeconfig(cluster.name)), tuple(cluster.nodes()))
            for cluster in plan.clusters
        )
        record = LabRecord(secrets.token_hex(16), plan.engine.value, clusters, is_ready=False, services={})
        self.write(record)
        return record

    def write(self, record: LabRecord) -> None:
        """Replace the record in one step."""
        content = {
            "format": FORMAT,
            "mark": record.mark,
            "engine": record.engine,
            "clusters": [
                {"name": cluster.name, "kubeconfig": cluster.kubeconfig, "nodes": list(cluster.nodes)}
                for cluster in record.clusters
            ],
            "is_ready": record.is_ready,
            "services": record.services,
        }
        temporary = self.record_path.with_suffix(".tmp")
        # 0600: the record carries the token of the lab's GitLab.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        temporary.replace(self.record_path)

    def read(self) -> LabRecord:
        """The lab's record; raises NoLab."""
        try:
            content: dict[str, Any] = json.loads(self.record_path.read_text())
        except FileNotFoundError:
            raise NoLab(f"there is no lab in {self.root} (start one: isthmus lab up --dir {self.root})") from None
        except ValueError as error:
            raise NoLab(f"{self.record_path} is no lab's record: {error}") from error
        if content.get("format") != FORMAT:
            raise NoLab(
                f"{self.record_path} was written by another version of Isthmus (format {content.get('format')})"
            )
        clusters = tuple(
            ClusterRecord(cluster["name"], cluster["kubeconfig"], tuple(cluster["nodes"]))
            for cluster in content["clusters"]
        )
        return LabRecord(content["mark"], content["engine"], clusters, content["is_ready"], content["services"])

    def with_service(self, record: LabRecord, name: str, facts: dict[str, str]) -> LabRecord:
        """Note a service's address; returns the new record."""
        changed = replace(record, services={**record.services, name: facts})
        self.write(changed)
        return changed

    def empty(self) -> None:
        """Remove all that is in the directory; the record goes last, so that a half-removed lab is still one."""
        for path in sorted(self.root.iterdir(), key=lambda path: path == self.record_path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        self.empty()
        self.root.rmdir()

    def _lock(self, handle: int) -> None:
        """Take the lock; a command that was just killed may hold it for another moment."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabBusy(
                        f"another isthmus lab command works on {self.root}; wait for it or end it first"
                    ) from None
                time.sleep(0.05)
            else:
                return

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from this lab; raises LabBusy, NoLab where the directory does not exist."""
        try:
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise NoLab(f"there is no lab in {self.root} (start one: isthmus lab up --dir {self.root})") from None
        except NotADirectoryError:
            raise NoLab(f"{self.root} is no directory") from None
        try:
            self._lock(handle)
            yield
        finally:
            os.close(handle)
