"""What `lab status --json` prints, from the lab's record and its processes; asks no API server."""

from typing import Any

from lab.directory import LabDirectory
from lab.processes import Process

# Programs of Isthmus' own making or asking; the rest is the clusters' and is listed as `processes`.
AGENT_ROLES = ("agent", "extender", "candidate-scheduler", "bridge")


def status(directory: LabDirectory) -> dict[str, Any]:
    """The lab as issue 3 describes it, plus `ready`, `directory` and `processes`; raises NoLab."""
    record = directory.read()
    processes = directory.processes(record.mark).all()
    return {
        "engine": record.engine,
        "directory": str(directory.root),
        "ready": record.is_ready and all(process.is_alive() for process in processes),
        "clusters": [
            {"name": cluster.name, "kubeconfig": cluster.kubeconfig, "nodes": list(cluster.nodes)}
            for cluster in record.clusters
        ],
        "gitlab": record.services.get("gitlab"),
        "registry": record.services.get("registry"),
        "agents": [_entry(process) for process in processes if process.role in AGENT_ROLES],
        "processes": [_entry(process) for process in processes if process.role not in AGENT_ROLES],
    }


def _entry(process: Process) -> dict[str, Any]:
    return {
        "cluster": process.cluster,
        "role": process.role,
        "pid": process.pid,
        "log": process.log,
        "alive": process.is_alive(),
    }
