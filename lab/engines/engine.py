"""An engine is a table of commands: which program is which part of a control plane.

The lab's own programs take the flags of their real twins, so one launcher (`control_plane.py`) serves both engines.
What only the real ones need stands in the `extra` columns here. The real binaries come from `make kube`, or from the
directory `ISTHMUS_KUBE_BIN`.
"""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.plan import EngineName

KUBE_VERSION = "1.37.2"
KUBE_PROGRAMS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubectl")
KWOK = "kwok"  # not part of the engine: fake nodes, on either engine


@dataclass(frozen=True, slots=True)
class Engine:
    """The commands of a control plane's parts; `etcd` is empty where the API server keeps its own state."""

    name: EngineName
    etcd: tuple[str, ...]
    api_server: tuple[str, ...]
    api_server_extra: tuple[str, ...]
    controllers: tuple[str, ...]
    controllers_extra: tuple[str, ...]
    controllers_role: str
    scheduler: tuple[str, ...]


def load_engine(name: EngineName) -> Engine:
    """The engine's table; look at `missing_parts` first."""
    return _kube(kube_directory()) if name is EngineName.KUBE else _embedded()


def missing_parts(name: EngineName) -> str:
    """Why this engine cannot run here and what to do, in one line; empty where it can."""
    if name is EngineName.EMBEDDED:
        absent = [part for part in ("api_server", "controllers", "scheduler") if not _has_program(part)]
        return f"the embedded engine lacks lab.{', lab.'.join(absent)}" if absent else ""
    directory = kube_directory()
    absent = [program for program in KUBE_PROGRAMS if not os.access(directory / program, os.X_OK)]
    return f"{', '.join(absent)} not in {directory} (run: make kube)" if absent else ""


def kwok_program() -> str:
    """The program that plays kubelet for fake nodes; an empty string where it is not built."""
    program = kube_directory() / KWOK
    return str(program) if os.access(program, os.X_OK) else ""


def kube_directory() -> Path:
    """Where the real binaries are, or are built into."""
    if override := os.environ.get("ISTHMUS_KUBE_BIN"):
        return Path(override)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "isthmus" / "kube" / f"v{KUBE_VERSION}"


def _kube(directory: Path) -> Engine:
    return Engine(
        name=EngineName.KUBE,
        etcd=(str(directory / "etcd"),),
        api_server=(str(directory / "kube-apiserver"),),
        api_server_extra=(
            # A loopback address may not be advertised, and no pod of the lab uses the Service `kubernetes`.
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        ),
        controllers=(str(directory / "kube-controller-manager"),),
        controllers_extra=(
            "--leader-elect=false",
            "--secure-port=0",
            "--use-service-account-credentials=true",
            # The default of 20 a second makes garbage collection and Jobs the bottleneck of every test.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ),
        controllers_role="",  # each controller has a service account, and upstream's ClusterRole for it
        scheduler=(str(directory / "kube-scheduler"),),
    )


def _embedded() -> Engine:
    def program(part: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"lab.{part}")

    return Engine(
        name=EngineName.EMBEDDED,
        etcd=(),
        api_server=program("api_server"),
        api_server_extra=(),
        controllers=program("controllers"),
        controllers_extra=(),
        # Ours all work as one user, as upstream's do without service accounts; that user then has to be allowed it all.
        controllers_role="cluster-admin",
        scheduler=program("scheduler"),
    )


def _has_program(part: str) -> bool:
    if importlib.util.find_spec(f"lab.{part}") is None:
        return False
    return importlib.util.find_spec(f"lab.{part}.__main__") is not None
