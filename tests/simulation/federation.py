"""A whole federation in memory, on virtual time: a source and two targets, each with all its programs.

What is ours runs as it is wired in a real cluster, over a network on which everything goes wrong that may (`mischief`),
and is killed now and then. The lab's API server, schedulers and controllers stand in for Kubernetes', undisturbed.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import orjson
import yaml

from federation import names
from federation.admission.review import review
from federation.as_source import SourceStores
from federation.as_target import TargetRole
from federation.kinds import TARGETS
from federation.kube.api import Api
from federation.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, NAMESPACES, SECRETS
from federation.model.target import Target
from federation.settings import AgentSettings, ExtenderSettings
from lab.api_server.admission.webhooks import WebhookFailed
from lab.api_server.core.server import ApiServer
from lab.controllers.program import Clocks, Program
from tests.protocol.watcher import Watcher
from tests.simulation import processes
from tests.simulation.clusters import ADMIN, DEPLOY, NAMESPACE, admin_of, cluster
from tests.simulation.kubelet import Kubelet
from tests.simulation.memory import MemoryTransport
from tests.simulation.mischief import FaultyTransport, Mischief
from tests.simulation.processes import HeldInMemory, Process
from tests.simulation.virtual_time import virtual_clock

Manifest = dict[str, Any]

SOURCE, OTHERS = "home", ("east", "west")
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "20"}


@dataclass
class Cluster:
    """One cluster, and the processes of ours in it. `links` are the ways of the source's agent here."""

    name: str
    server: ApiServer
    kubelet: Kubelet
    stores: SourceStores = field(default_factory=SourceStores)
    held: HeldInMemory = field(default_factory=HeldInMemory)
    processes: dict[str, Process] = field(default_factory=dict)
    links: list[MemoryTransport] = field(default_factory=list)

    def kill(self, process: str) -> None:
        """End a process; it is started again."""
        self.processes[process].kill()

    def admin(self) -> Api:
        """Return the administrator's client, whose requests always arrive."""
        return admin_of(self.server)


class World:
    """All clusters, and what is done to them."""

    def __init__(self, seed: int, mischief: Mischief) -> None:
        self.random = Random(seed)
        self.mischief = mischief
        self.clusters: dict[str, Cluster] = {}
        self.watcher = Watcher()

    @property
    def home(self) -> Cluster:
        """The source."""
        return self.clusters[SOURCE]

    def transport(self, cluster: Cluster, process: str) -> FaultyTransport:
        """Return a process's way to its own cluster."""
        return FaultyTransport(cluster.server, ADMIN, self.mischief, lambda: cluster.kill(process))

    async def open_target(self, target: Target, _: str | None) -> Api:
        """Return the source agent's way to a target."""
        there = self.clusters[target.name]
        link = FaultyTransport(there.server, ADMIN, self.mischief, lambda: self.home.kill("agent"))
        there.links.append(link)
        return Api(link)

    async def admit(self, url: str, ca_bundle: bytes, body: bytes, timeout_seconds: float) -> bytes:
        """Play the way to the source's webhook, which serves while its agent has read its Targets."""
        if not self.home.stores.targets.synced.is_set():
            raise WebhookFailed("connection refused")
        asked = orjson.loads(body)
        response = review(asked["request"], self.home.stores.finalizers_for)
        return orjson.dumps({"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": response})

    # -- building ----------------------------------------------------------------------------------------------------

    async def build(self, name: str) -> None:
        """Make a cluster with its kinds, its namespaces and its node; nothing runs yet."""
        random = Random(self.random.random())
        server = await cluster(virtual_clock, random, self.admit)
        kubelet = Kubelet(admin_of(server), f"{name}-node", ROOM, virtual_clock, random)
        self.clusters[name] = Cluster(name, server, kubelet)

    async def connect(self) -> None:
        """Make the webhook's configuration and a Target for each of the other clusters."""
        admin = self.home.admin()
        configuration = yaml.safe_load((DEPLOY / "webhook.yaml").read_text())
        for webhook in configuration["webhooks"]:
            del webhook["matchConditions"]
            webhook["clientConfig"] = {
                "url": "https://agent/mutate--v1-pod",
                "caBundle": base64.b64encode(b"x").decode(),
            }
        await admin.create(MUTATING_WEBHOOK_CONFIGURATIONS, configuration)
        for name in OTHERS:
            metadata = {"name": name, "namespace": NAMESPACE}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"config": "e30="}}
            await admin.create(SECRETS, secret)
            spec = {"kubeconfigSecret": {"name": name}}
            target = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": metadata, "spec": spec}
            await admin.create(TARGETS, target)

    async def programs(self, cluster: Cluster) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Return what runs in a cluster, by name; ours are `agent` and `extender`."""
        name, settings = cluster.name, AgentSettings(cluster_name=cluster.name)
        system = await cluster.admin().get(NAMESPACES, "kube-system")

        async def run_agent() -> None:
            cluster.stores = SourceStores()
            async with Api(self.transport(cluster, "agent")) as api, asyncio.TaskGroup() as group:
                cluster_id = system["metadata"]["uid"]
                target = TargetRole(api=api, settings=settings, cluster_id=cluster_id, clock=virtual_clock)
                target.follow(group)
                group.create_task(target.lead())
                if name == SOURCE:
                    await processes.source(
                        group,
                        api,
                        name=name,
                        settings=settings,
                        stores=cluster.stores,
                        clock=virtual_clock,
                        open_target=self.open_target,
                    )

        async def run_extender() -> None:
            await processes.extender(
                Api(self.transport(cluster, "extender")), cluster.held, ExtenderSettings(allow_anybody=True)
            )

        async def run_scheduler(profile: str, extenders: list[HeldInMemory]) -> None:
            await processes.scheduler(cluster.admin(), profile, virtual_clock, extenders)

        async def run_controllers() -> None:
            clocks = Clocks(asyncio.get_running_loop().time, virtual_clock)
            await Program(cluster.admin(), "", clocks).run()

        return {
            "agent": run_agent,
            "extender": run_extender,
            "scheduler": partial(run_scheduler, "default-scheduler", []),
            "candidate-scheduler": partial(run_scheduler, names.CANDIDATE_SCHEDULER, [cluster.held]),
            "controllers": run_controllers,
            "kubelet": cluster.kubelet.run,
        }


@asynccontextmanager
async def federation(seed: int, rate: float) -> AsyncIterator[World]:
    """A federation whose processes run."""
    mischief = Mischief(seed, rate)
    world = World(seed, mischief)
    for name in (SOURCE, *OTHERS):
        await world.build(name)
    await world.connect()
    apis = {name: cluster.admin() for name, cluster in world.clusters.items()}
    async with Watcher.watching(apis) as watcher, asyncio.TaskGroup() as group:
        world.watcher = watcher
        tasks = []
        for cluster in world.clusters.values():
            for what, program in (await world.programs(cluster)).items():
                cluster.processes[what] = Process(program, world.random)
                tasks.append(group.create_task(cluster.processes[what].run()))
        yield world
        for task in tasks:
            task.cancel()
