"""Takes a lab down: ends exactly its processes, users of a server before the server, and removes its directory.

Works on a lab that is ready, half made or half dead, any number of times.
"""

from lab.directory import LabDirectory, NoLab
from lab.processes import ProcessTable

# Users of an API server end before it: the kubelet then still ends its containers, and nobody logs lost connections.
# API server and etcd keep nothing that anyone needs: they are killed at once.
ORDER: tuple[tuple[tuple[str, ...], float], ...] = (
    (("bridge",), 5),
    (("agent", "extender", "candidate-scheduler", "gitlab", "registry"), 5),
    (("kubelet", "fake-kubelet"), 10),
    (("scheduler", "controllers"), 2),
    (("api-server",), 0),
    (("etcd",), 0),
)


async def down(directory: LabDirectory) -> None:
    """End the lab and remove its directory; raises NoLab, LabBusy."""
    with directory.locked():
        if not directory.record_path.exists():
            if any(directory.root.iterdir()):
                raise NoLab(f"{directory.root} is no lab's directory: nothing was touched")
        else:
            await end_processes(directory.processes(directory.read().mark))
        directory.remove()


async def end_processes(processes: ProcessTable) -> None:
    """End everything that belongs to the lab."""
    recorded = processes.all()
    for roles, grace_seconds in ORDER:
        await processes.stop([process for process in recorded if process.role in roles], grace_seconds=grace_seconds)
    await processes.stop(recorded, grace_seconds=2)  # roles that the order does not know
    # Each of these may have started another one while it was being ended.
    while left := processes.unrecorded():
        await processes.stop(left, grace_seconds=0)
