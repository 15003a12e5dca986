"""What an agent learns of its targets from the changes it sees (rules F1, F2), without any server."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from federation import names
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.ledger import Ledger
from federation.decisions.asking import PROBES, WINDOW_START
from federation.kube.api import Api
from federation.kube.store import Store
from federation.kube.transport import Transport
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.scheduling import SchedulingNode
from federation.model.target import parse_target
from tests.decisions.pods import NOW

NODE = SchedulingNode("node", {}, (), False, {"cpu": 1000, "pods": 100})


class _NoTransport:
    """Nothing here may send anything: whoever tries is told so."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


class Site:
    """An experience of one target, a clock to turn, and who was woken."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.woken: list[str] = []
        self.pods: Store[ProxyPod] = Store(parse_proxy)
        self.experience = Experience(lambda: self.now)
        self.experience.wake = lambda key: self.woken.append(key[1])
        transport: Transport = _NoTransport()
        metadata = {"name": "arm", "namespace": "ci", "uid": "t"}
        target = parse_target({"metadata": metadata, "spec": {"self": True, "weight": 3}})
        self.connection = Connection(target, Api(transport), "home", lambda: self.now)
        self.node_name = target.node_name
        self.experience.follow_target(self.connection)
        self.experience.follow_pods(self.pods)
        self.now = NOW - timedelta(minutes=1)
        self.experience.begin_term()
        self.now = NOW

    def submit(
        self,
        name: str,
        *,
        shape: str = "s",
        priority: int = 0,
        cpu: str = "100m",
        created: datetime = NOW - timedelta(seconds=1),
    ) -> ProxyPod:
        """A gated proxy appears."""
        metadata = {
            "namespace": "ci",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "annotations": {names.ELECT: "", names.SOURCE_POD_MANIFEST: "{}"},
        }
        container = {"name": "main", "resources": {"requests": {"cpu": cpu}}}
        spec = {
            "containers": [container],
            "priority": priority,
            "schedulingGates": [{"name": names.CANDIDATES_GATE}],
        }
        self.pods.upsert({"metadata": metadata, "spec": spec})
        proxy = self.pods.get("ci", name)
        assert proxy is not None
        self.experience.learn(proxy, shape)
        return proxy

    def bind(self, proxy: ProxyPod) -> None:
        """A proxy is bound to the target's node."""
        assert proxy.manifest is not None
        spec = {**proxy.manifest["spec"], "nodeName": self.node_name}
        self.pods.upsert({**proxy.manifest, "spec": spec})

    def chaperon(self, proxy: ProxyPod, *, refusal: str = "", reserved: bool = False) -> dict[str, Any]:
        """The target shows a chaperon in a state; returns it."""
        annotations = {names.PARENT_NAMESPACE: "ci", names.PARENT_NAME: proxy.name}
        annotations |= {names.IS_RESERVED: "true"} if reserved else {}
        status = {"type": "PodScheduled", "status": "False", "message": refusal}
        manifest = {
            "metadata": {
                "namespace": "ci",
                "name": proxy.name,
                "uid": proxy.uid,
                "resourceVersion": "1",
                "annotations": annotations,
                "labels": {names.PARENT_UID: proxy.uid},
            },
            "status": {"conditions": [status]} if refusal else {},
        }
        self.connection.chaperons.upsert(manifest)
        return manifest

    def odds(self, proxy: ProxyPod) -> Any:
        """What is known of the target for a proxy."""
        return self.experience.odds(proxy, self.connection, NODE)

    async def serve(self) -> float | None:
        """Let the lines move."""
        return await self.experience.reconcile(self.node_name)


@pytest.fixture
async def site() -> Site:
    """A coroutine, because queues need a running loop."""
    return Site()


async def test_F1_a_question_takes_a_place_in_the_window_until_it_is_answered(site: Site) -> None:
    proxies = [site.submit(f"p{number}") for number in range(WINDOW_START + 1)]
    for proxy in proxies[:-1]:
        site.experience.asked(proxy, site.node_name)
    assert not site.odds(proxies[-1]).is_open
    site.experience.stands_in_line(proxies[-1], site.node_name)
    await site.serve()
    assert site.woken == []
    site.chaperon(proxies[0], reserved=True)
    await site.serve()
    assert site.woken == [f"p{WINDOW_START}"]
    assert site.odds(proxies[-1]).is_open


async def test_F1_the_line_goes_by_priority_then_age(site: Site) -> None:
    """By neither their names nor the order in which they came: each would give another line."""
    young, old = site.submit("a-young"), site.submit("b-old", created=NOW - timedelta(seconds=60))
    for proxy in (young, old, site.submit("c-high", priority=10)):
        site.experience.stands_in_line(proxy, site.node_name)
    await site.serve()
    assert site.woken == ["c-high", "b-old", "a-young"]


async def test_F1_who_was_woken_and_stands_in_line_again_is_not_woken_at_once(site: Site) -> None:
    """It did not ask for a reason of its own, such as a question elsewhere: the two would go round for ever."""
    proxy = site.submit("waits")
    queue = asyncio.create_task(site.experience.queue.run())
    await asyncio.sleep(0)
    site.experience.stands_in_line(proxy, site.node_name)

    def stand_again(key: tuple[str, str]) -> None:
        site.woken.append(key[1])
        asyncio.get_running_loop().call_soon(site.experience.stands_in_line, proxy, site.node_name)

    site.experience.wake = stand_again
    site.chaperon(site.submit("other"), reserved=True)
    await asyncio.sleep(0.3)
    queue.cancel()
    assert site.woken == ["waits"]


async def test_F1_patience_follows_the_answers_of_the_target(site: Site) -> None:
    for number in range(10):
        proxy = site.submit(f"p{number}")
        site.experience.asked(proxy, site.node_name)
        site.now += timedelta(seconds=2)
        site.chaperon(proxy, reserved=True)
    assert site.odds(site.submit("next")).patience_seconds == pytest.approx(6.0)


async def test_F2_one_refusal_is_remembered_for_all_pods_of_the_shape_and_for_no_other(site: Site) -> None:
    first, same, other = site.submit("first"), site.submit("same"), site.submit("other", shape="t")
    site.experience.asked(first, site.node_name)
    site.chaperon(first, refusal="0/1 nodes are available")
    assert site.odds(same).is_refused
    assert "0/1 nodes are available" in site.odds(same).remark
    assert not site.odds(other).is_refused
    site.now += timedelta(seconds=5)
    assert not site.odds(same).is_refused, "the back-off has ended"


async def test_F2_beyond_four_probes_candidates_are_surplus(site: Site) -> None:
    proxies = [site.submit(f"p{number}", priority=number) for number in range(PROBES + 2)]
    for proxy in proxies:
        site.experience.asked(proxy, site.node_name)
        site.chaperon(proxy, refusal="no")
    surplus = [proxy.name for proxy in proxies if site.odds(proxy).is_surplus]
    assert surplus == ["p0", "p1"], "those of the lowest priority"
    assert site.odds(site.submit("next")).is_probed


async def test_F2_a_probe_that_reserves_lets_the_others_in(site: Site) -> None:
    probes = [site.submit(f"p{number}") for number in range(PROBES)]
    for proxy in probes:
        site.experience.asked(proxy, site.node_name)
        site.chaperon(proxy, refusal="no")
    waiting = site.submit("waiting")
    site.experience.stands_in_line(waiting, site.node_name)
    assert await site.serve() == pytest.approx(5.0), "the back-off is looked at again when it ends"
    assert site.woken == []
    site.chaperon(probes[0], reserved=True)
    await site.serve()
    assert site.woken == ["waiting"]
    assert not site.odds(waiting).is_refused


async def test_F2_after_the_back_off_one_more_sees_whether_it_still_holds(site: Site) -> None:
    probes = [site.submit(f"p{number}") for number in range(PROBES)]
    waiting = [site.submit(f"w{number}") for number in range(3)]
    for proxy in probes:
        site.experience.asked(proxy, site.node_name)
        site.chaperon(proxy, refusal="no")
    for proxy in waiting:
        site.experience.stands_in_line(proxy, site.node_name)
    site.now += timedelta(seconds=5)
    assert not site.odds(waiting[0]).is_probed
    assert await site.serve() == pytest.approx(1.0), "whoever is woken may have gone elsewhere"
    assert site.woken == ["w0"]
    site.experience.asked(waiting[0], site.node_name)
    assert site.odds(waiting[1]).is_probed
    site.chaperon(waiting[0], refusal="no")
    assert await site.serve() == pytest.approx(10.0), "refused again: twice as long"
    assert site.woken == ["w0"]
    assert site.odds(waiting[0]).is_surplus


async def test_F2_more_room_in_the_summary_lets_one_more_try_at_once(site: Site) -> None:
    proxy = site.submit("first")
    site.experience.rejected(proxy, site.node_name, "exceeded quota")
    assert site.odds(proxy).is_refused
    smaller = SchedulingNode("node", {}, (), False, {"cpu": 500, "pods": 100})
    site.experience.on_node(site.node_name, NODE, smaller)
    assert site.odds(proxy).is_refused, "less room is no news"
    assert site.odds(proxy).is_probed
    site.experience.on_node(site.node_name, smaller, NODE)
    assert not site.odds(proxy).is_refused
    assert not site.odds(proxy).is_probed


async def test_room_counts_what_is_bound_and_what_is_in_flight_once_each(site: Site) -> None:
    bound, asked, mine = site.submit("bound"), site.submit("asked"), site.submit("mine")
    assert site.odds(mine).room == pytest.approx(0.9)
    site.experience.asked(bound, site.node_name)
    site.bind(bound)
    site.experience.asked(asked, site.node_name)
    site.experience.asked(mine, site.node_name)
    assert site.odds(mine).room == pytest.approx(0.7)
    site.connection.chaperons.remove(site.chaperon(asked))
    assert site.odds(mine).room == pytest.approx(0.8)
    assert site.odds(mine).weight == 3


async def test_S3_only_a_pod_made_in_ones_own_term_was_surely_never_asked(site: Site) -> None:
    fresh = site.submit("fresh")
    assert not site.odds(fresh).was_asked
    site.experience.asked(fresh, site.node_name)
    assert site.odds(fresh).was_asked
    standby = Experience(lambda: NOW)
    standby.follow_pods(site.pods)
    standby.follow_target(site.connection)
    seen = site.submit("seen")  # from its beginning, but by one that does not lead
    standby.begin_term()
    late = site.submit("late")  # made before that term, and told late by a slow watch
    later = site.submit("later", created=NOW + timedelta(seconds=10))
    for proxy in (fresh, seen, late):
        assert standby.odds(proxy, site.connection, NODE).was_asked, "another replica may have asked it"
    assert not standby.odds(later, site.connection, NODE).was_asked


async def test_M9_what_an_earlier_term_taught_is_forgotten(site: Site) -> None:
    """Another replica led meanwhile: it may have asked where we did not, and got room where we were refused."""
    refused, mine = site.submit("refused"), site.submit("mine")
    site.experience.asked(refused, site.node_name)
    site.chaperon(refused, refusal="0/1 nodes")
    assert site.odds(mine).is_refused
    assert not site.odds(mine).was_asked
    site.experience.end_term()
    assert site.odds(mine).was_asked
    site.experience.begin_term()
    site.experience.learn(mine, "s")
    assert site.odds(mine).was_asked
    assert not site.odds(mine).is_refused


def test_a_ledger_comes_back_to_nothing() -> None:
    ledger = Ledger()
    ledger.add("u", "a", {"cpu": 5})
    ledger.add("u", "b", {"cpu": 5})
    ledger.add("u", "b", {"cpu": 5})
    assert ledger.of("b") == {"cpu": 5}
    assert ledger.of("b", but="u") == {"cpu": 0}
    ledger.settle("u", "a", {"cpu": 5})
    assert (ledger.of("a"), ledger.of("b")) == ({"cpu": 5}, {"cpu": 0})
    ledger.settle("u", "", {})
    assert ledger.of("a") == {"cpu": 0}
