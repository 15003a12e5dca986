"""What all pods of one node share, and where things lie on disk."""

from dataclasses import dataclass
from pathlib import Path

from federation.kube.api import Api
from lab.kubelet.events import Recorder
from lab.kubelet.orders import Place, Workshop
from lab.kubelet.restarts import BackOff


@dataclass(frozen=True, slots=True)
class Shared:
    """The surroundings of a pod."""

    api: Api
    node: str
    workshop: Workshop
    recorder: Recorder
    back_off: BackOff
    allocatable: dict[str, str]
    root: Path
    volume_refresh_seconds: float = 60.0

    def pod_directory(self, uid: str) -> Path:
        """Everything of one pod: removed with it."""
        return self.root / "pods" / uid

    def place(self, uid: str, container: str) -> Place:
        """Where one container of a pod is made."""
        directory = self.pod_directory(uid)
        root = directory / "containers" / container
        root.mkdir(parents=True, exist_ok=True)
        return Place(root, directory / "volumes", directory / "termination" / container)

    def log_path(self, uid: str, container: str, restarts: int) -> Path:
        """The log of one run of a container."""
        return self.pod_directory(uid) / "logs" / container / f"{restarts}.log"
