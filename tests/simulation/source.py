"""A source's controllers and one target, all in memory: two API servers, one loop, no socket.

The target has no controllers: a test plays them (`collect` is the garbage collector, `show` the chaperon controller).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from federation import names
from federation.as_source import SourceStores
from federation.clock import wall_clock
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import PODS, Resource
from federation.model.target import Target
from federation.settings import AgentSettings
from lab.api_server.core.server import ApiServer
from tests.simulation import processes
from tests.simulation.clusters import ADMIN, admin_of, cluster
from tests.simulation.memory import MemoryTransport


@dataclass
class World:
    """What a test sees and changes. `leads_to` is the cluster that new connections of the Target `far` reach."""

    home: Api
    leads_to: ApiServer
    links: list[MemoryTransport] = field(default_factory=list)

    @property
    def there(self) -> Api:
        """The administrator of the cluster that the Target leads to."""
        return admin_of(self.leads_to)

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
        annotations[names.SUBMITTED_BY] = '{"user": "admin", "uid": "", "groups": ["system:masters"]}'
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
    server = await cluster(wall_clock, Random(1))
    async with admin_of(server) as home, admin_of(server) as api:
        world = World(home, await cluster(wall_clock, Random(2)))
        settings = AgentSettings(target_lost_seconds=target_lost_seconds)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_control(world, api, settings))
            yield world
            task.cancel()


async def _control(world: World, api: Api, settings: AgentSettings) -> None:
    async def open_target(_: Target, __: str | None) -> Api:
        return await world.connect()

    async with asyncio.TaskGroup() as group:
        await processes.source(
            group,
            api,
            name="home",
            settings=settings,
            stores=SourceStores(),
            clock=wall_clock,
            open_target=open_target,
            pulse_seconds=0.05,
        )
