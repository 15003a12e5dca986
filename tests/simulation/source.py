"""A source's controllers and one target, all in memory: two API servers, one loop, no socket.

The target has no controllers: a test plays them (`collect` is the garbage collector, `show` the chaperon controller).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from federation import names
from federation.as_source import Outside, SourceRole, SourceStores
from federation.clock import wall_clock
from federation.controllers.connections import Service
from federation.controllers.virtual_node import VirtualNodes
from federation.kinds import CLUSTER_TARGETS, POD_CHAPERONS, TARGETS
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PODS, SERVICE_ACCOUNTS, Resource
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.model.pod import ProxyPod
from federation.model.target import Target
from federation.settings import AgentSettings
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.simulation.memory import MemoryTransport

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
ADMIN = User("admin", ("system:masters",))


async def cluster(seed: int) -> ApiServer:
    """Return an API server that knows our kinds, with the namespaces `ci` and `isthmus`."""
    server = ApiServer(wall_clock, random=Random(seed))
    async with Api(MemoryTransport(server, ADMIN)) as api:
        for name in ("ci", "isthmus"):
            metadata = {"name": name, "labels": {names.NAMESPACE_LABEL: names.NAMESPACE_LABEL_VALUE}}
            await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            await api.create(SERVICE_ACCOUNTS, account, name)
        for file in sorted(CRDS.glob("*.yaml")):
            await api.create(CUSTOM_RESOURCE_DEFINITIONS, yaml.safe_load(file.read_text()))
    return server


@dataclass
class World:
    """What a test sees and changes. `leads_to` is the cluster that new connections of the Target `far` reach."""

    home: Api
    leads_to: ApiServer
    links: list[MemoryTransport] = field(default_factory=list)

    @property
    def there(self) -> Api:
        """The administrator of the cluster that the Target leads to."""
        return Api(MemoryTransport(self.leads_to, ADMIN))

    async def connect(self) -> Api:
        """Return the source's client of the target."""
        self.links.append(MemoryTransport(self.leads_to, ADMIN))
        return Api(self.links[-1])

    async def make_target(self) -> None:
        """Make the Target `far`."""
        metadata = {"name": "far", "namespace": "ci"}
        target = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": metadata, "spec": {"self": True}}
        await self.home.create(TARGETS, target)

    async def run_pod(self, name: str) -> str:
        """Make a proxy that is bound to the target, and say that it runs once its chaperon is allowed; returns that."""
        finalizer = names.finalizer("ci", "far")
        annotations = {names.ELECT: "", names.SOURCE_POD_MANIFEST: '{"metadata": {}, "spec": {}}'}
        metadata: Manifest = {"name": name, "namespace": "ci", "annotations": annotations, "finalizers": [finalizer]}
        metadata["labels"] = {names.HAS_FINALIZER: "true"}
        node = names.virtual_node_name("ci", "far")
        spec = {"nodeName": node, "containers": [{"name": "main", "image": "busybox"}]}
        made = await self.home.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        chaperon = names.chaperon_name(name, made["metadata"]["uid"], "ci-far")

        async def allowed() -> bool:
            marks = (await self.there.get(POD_CHAPERONS, chaperon, "ci"))["metadata"]["annotations"]
            return names.IS_ALLOWED in marks

        await self.until(allowed, f"the chaperon of {name} is allowed")
        running = {"phase": "Running", "containerStatuses": [_running("main")]}
        await self.home.patch(PODS, name, {"status": running}, "ci", subresource="status")
        return chaperon

    async def collect(self) -> None:
        """Play the target's garbage collector: what is deleted in the foreground goes."""
        for found in (await self.there.list(POD_CHAPERONS, "ci")).items:
            if found["metadata"].get("deletionTimestamp"):
                patch = {"metadata": {"finalizers": None}}
                await self.there.patch(POD_CHAPERONS, found["metadata"]["name"], patch, "ci")

    async def get(self, resource: Resource, name: str, namespace: str = "ci") -> Manifest | None:
        """Return an object of the source, or None."""
        try:
            return await self.home.get(resource, name, namespace)
        except NotFound:
            return None

    async def until(self, look: Callable[[], Any], what: str, seconds: float = 15) -> Any:
        """Look, and let the target collect its garbage, until the (awaited) answer is truthy."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(NotFound):
                        if found := await look():
                            return found
                    await self.collect()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not after {seconds} s: {what}") from None


def _running(name: str) -> Manifest:
    return {"name": name, "image": "busybox", "imageID": "", "ready": True, "restartCount": 0, "state": {"running": {}}}


@asynccontextmanager
async def running(*, target_lost_seconds: float = 120.0) -> AsyncIterator[World]:
    """A source with its controllers, and the cluster that its Target will lead to."""
    server = await cluster(1)
    async with Api(MemoryTransport(server, ADMIN)) as home, Api(MemoryTransport(server, ADMIN)) as api:
        world = World(home, await cluster(2))
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            await _control(world, api, tasks, group, AgentSettings(target_lost_seconds=target_lost_seconds))
            yield world
            for task in tasks:
                task.cancel()


async def _control(
    world: World, api: Api, tasks: list[asyncio.Task[None]], group: asyncio.TaskGroup, settings: AgentSettings
) -> None:
    """Start what an agent starts for a source, but for gateway and admission."""
    stores = SourceStores()

    async def open_target(_: Target, __: str | None) -> Api:
        return await world.connect()

    def serving(nodes: VirtualNodes, _: Store[ProxyPod]) -> Service:
        return lambda connection: nodes.serve(connection, None)

    role = SourceRole(
        api=api,
        settings=settings,
        stores=stores,
        cluster_name="home",
        clock=wall_clock,
        outside=Outside("v1.37.2", open_target, serving),
        pulse_seconds=0.05,
    )

    async def run() -> None:
        async with asyncio.TaskGroup() as inner:
            inner.create_task(follow(api, NAMESPACES, stores.namespaces))
            inner.create_task(follow(api, TARGETS, stores.targets))
            inner.create_task(follow(api, CLUSTER_TARGETS, stores.cluster_targets))
            await role.control(inner)

    tasks.append(group.create_task(run()))
