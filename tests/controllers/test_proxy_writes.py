"""What must be true at the moment of a write is checked then, whatever the store says: two real API servers in memory.

Each test decides on what was so a moment ago, changes it behind our back, and has the write carried out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from federation import names
from federation.clock import wall_clock
from federation.controllers.census import Census
from federation.controllers.connection import Connection
from federation.controllers.connections import Connections, Service
from federation.controllers.experience import Experience
from federation.controllers.lane import Progress, errand_key
from federation.controllers.outlook import Outlook
from federation.controllers.proxies import proxy_store
from federation.controllers.proxy_writes import ProxyWrites
from federation.decisions import intents
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import Conflict
from federation.kube.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.target import Target, parse_target
from tests.simulation.clusters import admin_of, cluster

FINALIZERS = names.finalizer("ci", "far"), names.finalizer("ci", "near")
NODE = names.virtual_node_name("ci", "far")
CONFIGURED = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key"}}]


@dataclass
class World:
    """A source, the cluster of its Target `far`, and the writes of the source's agent."""

    home: Api
    there: Api
    target: Target
    connection: Connection
    pods: Store[ProxyPod] = field(default_factory=proxy_store)

    async def perform(self, proxy: ProxyPod | None, *actions: intents.Action) -> None:
        """Have this carried out, decided on the proxy as it was; what fails in the target's lane raises Conflict."""
        lane, key = self.connection.lane, errand_key(PODS, "ci", "job")
        working = asyncio.create_task(lane.run())
        await asyncio.sleep(0)
        try:
            await _writes(self).perform(("ci", "job"), actions, proxy, {NODE: self.connection})
            async with asyncio.timeout(10):
                while lane.progress(key) is Progress.UNDER_WAY:  # noqa: ASYNC110  # a lane tells nobody that it is done
                    await asyncio.sleep(0.01)
            if trouble := lane.trouble(key):
                raise Conflict(409, "Conflict", trouble)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def proxy(self, *, node: str = "", on_record: str = "", **spec: Any) -> ProxyPod:
        """Make a proxy that is gated, or bound to a node."""
        annotations = {names.ELECT: "", names.SOURCE_POD_MANIFEST: '{"metadata": {}, "spec": {}}'}
        if on_record:
            annotations[names.RESERVATIONS] = f"{NODE}={on_record}"
        container = {"name": "main", "image": "busybox", "envFrom": CONFIGURED if node else []}
        where = {"nodeName": node} if node else {"schedulingGates": [{"name": names.CANDIDATES_GATE}]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "job", "namespace": "ci", "annotations": annotations, "finalizers": list(FINALIZERS)},
            "spec": {"containers": [container]} | where | spec,
        }
        made = parse_proxy(await self.home.create(PODS, pod))
        assert made is not None
        return made

    async def chaperon(self, parent_uid: str = "nobody") -> Chaperon:
        """Make the chaperon of the proxy with this uid."""
        metadata: Manifest = {"name": names.chaperon_name("job", parent_uid, self.target.label), "namespace": "ci"}
        metadata["labels"] = {names.PARENT_UID: parent_uid, names.PARENT_CLUSTER_NAME: "home"}
        metadata["annotations"] = {names.PARENT_NAME: "job", names.PARENT_NAMESPACE: "ci"}
        spec = {"containers": [{"name": "main", "image": "busybox"}]}
        body = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "metadata": metadata, "spec": spec}
        return parse_chaperon(await self.there.create(POD_CHAPERONS, body))

    async def mark(self, chaperon: Chaperon, annotation: str) -> None:
        """Annotate a chaperon behind the agent's back."""
        patch = {"metadata": {"annotations": {annotation: "true"}}}
        await self.there.patch(POD_CHAPERONS, chaperon.name, patch, "ci")

    async def chaperons(self) -> list[Manifest]:
        """What is there of chaperons that are not being deleted."""
        found = (await self.there.list(POD_CHAPERONS, "ci")).items
        return [one for one in found if not one["metadata"].get("deletionTimestamp")]


def _writes(world: World) -> ProxyWrites:
    async def no_target(_: Target, __: str | None) -> Api:
        raise AssertionError("nobody connects")

    def no_service(_: Connection) -> Any:
        raise AssertionError("nobody is served")

    service: Service = no_service
    connections = Connections(
        api=world.home, cluster_name="home", targets=[], clock=wall_clock, service=service, open_target=no_target
    )
    census = Census(world.pods, wall_clock)
    outlook = Outlook(connections=connections, census=census, clock=wall_clock, lost_after=timedelta(seconds=120))
    return ProxyWrites(
        api=world.home,
        cluster_name="home",
        pods=world.pods,
        targets=lambda: [world.target],
        outlook=outlook,
        experience=Experience(wall_clock),
        clock=wall_clock,
    )


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    home, far = await cluster(wall_clock, Random(1)), await cluster(wall_clock, Random(2))
    async with admin_of(home) as api, admin_of(far) as there:
        system = await there.get(NAMESPACES, "kube-system")
        manifest = {
            "metadata": {"namespace": "ci", "name": "far", "uid": "t", "resourceVersion": "1"},
            "spec": {"kubeconfigSecret": {"name": "far"}},
            "status": {"clusterID": system["metadata"]["uid"]},
        }
        target = parse_target(manifest)
        yield World(api, there, target, Connection(target, there, "home", wall_clock))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with _world() as made:
        yield made


async def test_S2_a_proxy_that_changed_is_not_ungated(world: World) -> None:
    seen = await world.proxy()
    patch = {"metadata": {"finalizers": [*FINALIZERS, "example.com/late"]}}
    await world.home.patch(PODS, "job", patch, "ci")
    with pytest.raises(Conflict):
        await world.perform(seen, intents.Ungate((NODE,)))
    live = await world.home.get(PODS, "job", "ci")
    assert live["spec"]["schedulingGates"] == [{"name": names.CANDIDATES_GATE}]
    assert "example.com/late" in live["metadata"]["finalizers"], "a finalizer that came meanwhile is not lost"


async def test_S7_the_ungating_puts_reservations_on_record(world: World) -> None:
    seen = await world.proxy()
    await world.perform(seen, intents.Ungate((NODE,), (), ((NODE, "c1"),)))
    live = parse_proxy(await world.home.get(PODS, "job", "ci"))
    assert live is not None
    assert live.reserved(NODE) == "c1"
    await world.perform(live, intents.RecordReservations((("other", "c2"),)))
    with pytest.raises(Conflict):
        await world.perform(live, intents.RecordReservations(((NODE, "c3"),)))
    live = parse_proxy(await world.home.get(PODS, "job", "ci"))
    assert live is not None
    assert dict(live.reservations) == {NODE: "c1", "other": "c2"}


async def test_S2_a_chaperon_that_changed_is_not_withdrawn(world: World) -> None:
    proxy = await world.proxy()
    seen = await world.chaperon(proxy.uid)
    await world.mark(seen, names.IS_RESERVED)
    with pytest.raises(Conflict):
        await world.perform(proxy, intents.Withdraw(NODE, seen))
    assert len(await world.chaperons()) == 1


async def test_S2_another_chaperon_of_that_name_is_not_withdrawn(world: World) -> None:
    proxy = await world.proxy()
    seen = await world.chaperon(proxy.uid)
    await world.there.delete(POD_CHAPERONS, seen.name, "ci")
    await world.chaperon(proxy.uid)
    with pytest.raises(Conflict):
        await world.perform(proxy, intents.Withdraw(NODE, seen))
    assert len(await world.chaperons()) == 1


async def test_S3_a_finalizer_stays_while_the_chaperon_is_there_live(world: World) -> None:
    """The agent's store does not show it: the watch is behind, or it lost its labels."""
    proxy = await world.proxy()
    chaperon = await world.chaperon(proxy.uid)
    await world.perform(proxy, intents.ForgetTargets(FINALIZERS[:1]))
    assert FINALIZERS[0] in (await world.home.get(PODS, "job", "ci"))["metadata"]["finalizers"]
    await world.there.delete(POD_CHAPERONS, chaperon.name, "ci")
    await world.perform(proxy, intents.ForgetTargets(FINALIZERS[:1]))
    assert (await world.home.get(PODS, "job", "ci"))["metadata"]["finalizers"] == [FINALIZERS[1]]


async def test_a_pod_is_let_go_ahead_once_its_configuration_is_there(world: World) -> None:
    """The chaperon's version as it was allowed is later than those of the copies: one server counts them all."""
    meta = {"namespace": "ci"}
    await world.home.create(CONFIG_MAPS, {"metadata": meta | {"name": "settings"}, "data": {"k": "v"}})
    await world.home.create(SECRETS, {"metadata": meta | {"name": "key"}, "data": {"k": "dg=="}})
    bound = await world.proxy(node=NODE)
    seen = await world.chaperon(bound.uid)
    bound = await _with_record(world, bound, seen.uid)
    await world.perform(bound, intents.Allow(NODE, seen))
    chaperon = await world.there.get(POD_CHAPERONS, seen.name, "ci")
    assert names.IS_ALLOWED in chaperon["metadata"]["annotations"]
    for resource, name in ((CONFIG_MAPS, "settings"), (SECRETS, "key")):
        copy = await world.there.get(resource, name, "ci")
        assert int(copy["metadata"]["resourceVersion"]) < int(chaperon["metadata"]["resourceVersion"])


async def test_S7_what_is_not_on_record_live_is_not_allowed(world: World) -> None:
    bound = await world.proxy(node=NODE, on_record="another")
    seen = await world.chaperon(bound.uid)
    with pytest.raises(Conflict, match="no longer the one that was decided on"):
        await world.perform(bound, intents.Allow(NODE, seen))
    (chaperon,) = await world.chaperons()
    assert names.IS_ALLOWED not in chaperon["metadata"]["annotations"]


async def _with_record(world: World, proxy: ProxyPod, uid: str) -> ProxyPod:
    await world.perform(proxy, intents.RecordReservations(((NODE, uid),)))
    found = parse_proxy(await world.home.get(PODS, "job", "ci"))
    assert found is not None
    return found
