"""Counting what a target has lost (rule S4), pod by pod."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from federation import names
from federation.controllers.census import Census
from federation.controllers.connection import Connection
from federation.decisions.trust import SETTLE
from federation.kube.api import Api
from federation.kube.store import Store
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.target import parse_target
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.simulation.memory import MemoryTransport

TARGET = parse_target({"metadata": {"namespace": "ci", "name": "arm", "uid": "t"}, "spec": {"self": True}})
NODE = TARGET.node_name


class World:
    """A census of proxies and chaperons that a test puts there; `now` moves by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.pods: Store[ProxyPod] = Store(parse_proxy)
        self.census = Census(self.pods, lambda: self.now)
        self.doubts: list[str] = []
        self.census.on_doubt = self.doubts.append
        self.connection = self.connect()

    def connect(self) -> Connection:
        """Begin a new connection, which has read nothing yet."""
        transport = MemoryTransport(ApiServer(lambda: self.now, random=Random(7)), User("agent"))
        connection = Connection(TARGET, Api(transport), "home", lambda: self.now)
        self.census.follow(connection)
        return connection

    def pod(self, name: str, **more: Any) -> dict[str, Any]:
        """A proxy that runs there."""
        annotations = {names.ELECT: "", names.SOURCE_POD_MANIFEST: "{}"}
        metadata = {"namespace": "ci", "name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
        status = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]} | more
        spec = {"nodeName": NODE, "containers": [{"name": "main"}]}
        manifest = {"metadata": metadata | {"annotations": annotations}, "spec": spec, "status": status}
        self.pods.upsert(manifest)
        return manifest

    def chaperon(self, name: str, uid: str = "") -> dict[str, Any]:
        """The chaperon of a proxy."""
        annotations = {names.PARENT_NAMESPACE: "ci", names.PARENT_NAME: name}
        labels = {names.PARENT_UID: uid or f"uid-{name}"}
        metadata = {"namespace": "ci", "name": f"c-{name}", "uid": f"c-{name}", "resourceVersion": "1"}
        manifest = {"metadata": metadata | {"annotations": annotations, "labels": labels}, "spec": {}}
        self.connection.chaperons.upsert(manifest)
        return manifest


def test_S4_pods_are_counted_while_they_are_expected_to_run() -> None:
    world = World()
    world.pod("a")
    world.chaperon("a")
    assert world.census.count(NODE) == (0, 1)
    world.pod("b")
    assert world.census.count(NODE) == (1, 2)
    world.chaperon("b", uid="of-an-earlier-b")
    assert world.census.count(NODE) == (1, 2), "another pod's chaperon is not its own"
    world.pod("b", phase="Failed")
    assert world.census.count(NODE) == (0, 1)
    world.pod("a", conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "x"}])
    assert world.census.count(NODE) == (0, 0), "its end was announced"


def test_S4_one_that_vanished_settles_before_it_is_believed() -> None:
    world = World()
    world.pod("a")
    held = world.chaperon("a")
    assert world.census.settle_seconds(NODE) == 0
    world.connection.chaperons.remove(held)
    assert world.census.settle_seconds(NODE) == SETTLE.total_seconds()
    world.now += timedelta(seconds=5)
    assert world.census.settle_seconds(NODE) == 0
    world.chaperon("a")
    assert world.census.count(NODE) == (0, 1)


def test_S4_doubt_is_told_when_it_comes_and_goes() -> None:
    world = World()
    held = []
    for number in range(10):
        world.pod(f"p{number}")
        held.append(world.chaperon(f"p{number}"))
    world.doubts.clear()
    for manifest in held[:4]:
        world.connection.chaperons.remove(manifest)
    assert world.doubts == []
    world.connection.chaperons.remove(held[4])
    assert world.doubts == [NODE]
    world.pods.remove(world.pod("p0"))
    assert world.doubts == [NODE, NODE]
    assert world.census.count(NODE) == (4, 9)


def test_S4_a_new_connection_counts_by_what_it_reads_itself() -> None:
    world = World()
    world.pod("a")
    held = world.chaperon("a")
    before = world.connection
    world.connection = world.connect()
    assert world.census.count(NODE) == (1, 1)
    world.chaperon("a")
    assert world.census.count(NODE) == (0, 1)
    before.chaperons.remove(held)
    assert world.census.count(NODE) == (0, 1), "the old connection has no say"
