"""A lab that is up, for Python: tests, the demo and benchmarks talk to its clusters through this.

`running` brings a lab up for the length of a block and takes it down whatever happens in it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from federation.kube.api import Api, connect
from lab.construction import Report
from lab.directory import LabDirectory, LabRecord
from lab.down import down
from lab.plan import LabPlan
from lab.up import up


@dataclass(frozen=True, slots=True)
class RunningLab:
    """The clusters by name, each with a client that is an administrator there. The first is the source."""

    directory: LabDirectory
    record: LabRecord
    apis: dict[str, Api]

    @property
    def source(self) -> str:
        """The cluster where work is submitted."""
        return self.record.clusters[0].name

    def api(self, cluster: str = "") -> Api:
        """The administrator's client of a cluster, by default of the source."""
        return self.apis[cluster or self.source]

    def kubeconfig(self, cluster: str = "") -> Path:
        """The administrator's kubeconfig of a cluster, by default of the source."""
        return self.directory.kubeconfig(cluster or self.source)


@asynccontextmanager
async def running(plan: LabPlan, report: Report = lambda _: None) -> AsyncIterator[RunningLab]:
    """Bring a lab up for the length of the block."""
    record = await up(plan, report)
    directory = LabDirectory(plan.directory.absolute())
    try:
        async with AsyncExitStack() as clients:
            apis = {
                cluster.name: await clients.enter_async_context(await connect(Path(cluster.kubeconfig)))
                for cluster in record.clusters
            }
            yield RunningLab(directory, record, apis)
    finally:
        await down(directory)
