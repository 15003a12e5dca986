"""Where federated pods are measured: a lab of clusters with fake nodes, and as many Targets as are wanted.

The source cluster takes plain pods only. Its Targets lead to the other clusters by turns, so that ten of them need no
ten clusters: what a Target costs the source does not depend on where it leads.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import audit
from federation.kinds import TARGETS
from federation.kube.api import Api, Manifest
from federation.kube.resources import NAMESPACES, NODES, SECRETS, SERVICE_ACCOUNTS
from federation.names import API_VERSION, virtual_node_name
from lab.construction import WORK_NAMESPACE, Report
from lab.parts.nodes import is_ready
from lab.plan import Component, EngineName, LabPlan, parse_clusters
from lab.running import RunningLab, running
from lab.waiting import until_object

SOURCE = "home"
OTHERS = ("east", "west")
PLAIN_NAMESPACE = "plain"
READY_SECONDS = 60


class Site:
    """The lab, and the Targets in it. Elected pods go to `WORK_NAMESPACE`, plain ones to `PLAIN_NAMESPACE`."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.home: Api = lab.api(SOURCE)
        self._kubeconfigs: dict[str, Manifest] = {}  # data of the Secret by which the source reaches a cluster
        self._targets: list[str] = []

    @property
    def apis(self) -> list[Api]:
        """All clusters' clients."""
        return list(self.lab.apis.values())

    async def prepare(self) -> None:
        """Take the lab's own Targets away, and make the namespace for plain pods."""
        for name in (SOURCE, *OTHERS):
            target = await self.home.get(TARGETS, name, WORK_NAMESPACE)
            if reference := target["spec"].get("kubeconfigSecret"):
                secret = await self.home.get(SECRETS, reference["name"], WORK_NAMESPACE)
                self._kubeconfigs[name] = {reference.get("key") or "config": next(iter(secret["data"].values()))}
            await self.home.delete(TARGETS, name, WORK_NAMESPACE)
        await self.home.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLAIN_NAMESPACE}}
        )
        await until_object(
            self.home,
            SERVICE_ACCOUNTS,
            lambda account: bool(account["metadata"]["name"] == "default"),
            namespace=PLAIN_NAMESPACE,
            what=f"service account {PLAIN_NAMESPACE}/default",
            seconds=READY_SECONDS,
        )

    async def have_targets(self, count: int) -> None:
        """Add Targets until there are so many; returns when their virtual nodes are Ready."""
        for number in range(len(self._targets), count):
            name, cluster = f"target-{number + 1}", OTHERS[number % len(OTHERS)]
            metadata = {"name": name, "namespace": WORK_NAMESPACE}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": self._kubeconfigs[cluster]}
            await self.home.create(SECRETS, secret)
            spec = {"kubeconfigSecret": {"name": name}}
            target = {"apiVersion": API_VERSION, "kind": TARGETS.kind, "metadata": metadata, "spec": spec}
            await self.home.create(TARGETS, target)
            self._targets.append(name)
        await until_ready(self.home, self._targets)

    def audit(self) -> audit.Audit:
        """The API servers' audit logs, from now on."""
        found = audit.Audit(self.lab.directory.cluster(name) / audit.LOG for name in self.lab.apis)
        found.take()
        return found


async def until_ready(home: Api, targets: Sequence[str]) -> None:
    """Wait until the virtual nodes of these Targets of `WORK_NAMESPACE` are Ready."""
    wanted = {virtual_node_name(WORK_NAMESPACE, name) for name in targets}
    await until_object(
        home,
        NODES,
        lambda node: node["metadata"]["name"] in wanted and is_ready(node),
        count=len(wanted),
        what=f"{len(wanted)} virtual nodes Ready",
        seconds=READY_SECONDS,
    )


@asynccontextmanager
async def running_site(
    directory: Path, engine: EngineName, *, fake_nodes: int, is_audited: bool, report: Report
) -> AsyncIterator[Site]:
    """Bring the lab up for the length of the block."""
    clusters = parse_clusters(",".join(f"{name}:linux/amd64" for name in (SOURCE, *OTHERS)), fake_nodes)
    plan = LabPlan(directory / "lab", engine, clusters, frozenset({Component.FEDERATION}))
    if is_audited:
        plan = replace(plan, api_server_flags=audit.flags(directory))
    async with running(plan, report) as lab:
        site = Site(lab)
        await site.prepare()
        yield site


def numbered(prefix: str, count: int) -> Sequence[str]:
    """Return names for so many pods."""
    return [f"{prefix}-{number:05}" for number in range(count)]
