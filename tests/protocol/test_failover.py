"""Rule M9 on real processes: one replica of an agent is killed, stopped or frozen, and another goes on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from tests.protocol.federation import FOREVER, Federation, is_gone, phase
from tests.protocol.replicas import BUSY_SECONDS, TIMING, replicas

HELD = "tests.isthmus.dev/held"


async def submit_held(federation: Federation, only: str = "arm-lab") -> str:
    """Submit a pod that nobody may ask for yet: another's gate is on it (rule M6)."""
    return await federation.submit(only=only, schedulingGates=[{"name": HELD}])


async def let_go(federation: Federation, name: str) -> None:
    """Take that gate off, as whoever put it there would."""
    live = await federation.home.get(PODS, name, federation.namespace)
    gates = [gate for gate in live["spec"]["schedulingGates"] if gate["name"] != HELD]
    body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "spec": {"schedulingGates": gates}}
    await federation.home.patch(PODS, name, body, federation.namespace)


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def counting_delegates(federation: Federation) -> AsyncIterator[dict[str, set[str]]]:
    """Watch the pods of all targets; yields the uids ever seen by the uid of the proxy that they stand for."""
    seen: dict[str, set[str]] = {}

    def note(_: Any, __: Any, pod: Any) -> None:
        if pod is not None:
            seen.setdefault(pod["metadata"]["labels"][names.PARENT_UID], set()).add(pod["metadata"]["uid"])

    async with asyncio.TaskGroup() as group:
        tasks = []
        for api in federation.lab.apis.values():
            store: Store[Any] = Store(lambda manifest: manifest)
            store.subscribe(note)
            watch = follow(api, PODS, store, namespace=federation.namespace, label_selector=names.PARENT_UID)
            tasks.append(group.create_task(watch))
            await store.synced.wait()
        yield seen
        for task in tasks:
            task.cancel()


async def test_M9_a_killed_leader_of_a_source_is_succeeded_in_seconds(federation: Federation) -> None:
    waiting = await submit_held(federation)
    async with replicas(federation, "home") as two:
        name = await federation.chaperon_name(waiting)
        killed_at = now()
        two.signal(two.leader, signal.SIGKILL)
        await let_go(federation, waiting)
        await federation.chaperon("arm-lab", name, lambda found: found, seconds=20)
        took = now() - killed_at
        assert took < TIMING.lease_seconds + BUSY_SECONDS
        await two.until_led_by(two.standby, 1)
        assert await federation.until_running(waiting) == "arm-lab"


async def test_M9_a_killed_leader_of_a_target_is_succeeded_in_seconds(federation: Federation) -> None:
    async with replicas(federation, "arm-lab") as two:
        killed_at = now()
        two.signal(two.leader, signal.SIGKILL)
        await federation.ask("arm-lab", "asked", annotations={names.WAITS_TO_BE_ALLOWED: ""}, schedulerName="")
        await federation.allow("arm-lab", "asked")
        await federation.until_pod("asked", lambda found: found, "arm-lab")
        took = now() - killed_at
        assert took < TIMING.lease_seconds + BUSY_SECONDS
    await federation.lab.api("arm-lab").delete(POD_CHAPERONS, "asked", federation.namespace)


async def test_M9_a_leader_that_is_stopped_hands_over_at_once(federation: Federation) -> None:
    waiting = await submit_held(federation)
    async with replicas(federation, "home") as two:
        name = await federation.chaperon_name(waiting)
        two.signal(two.leader, signal.SIGTERM)
        stopped_at = now()
        await let_go(federation, waiting)
        await federation.chaperon("arm-lab", name, lambda found: found, seconds=20)
        took = now() - stopped_at
        assert took < TIMING.lease_seconds - 0.5, "nobody waited for the Lease to expire"
        assert await federation.until_running(waiting) == "arm-lab"


async def test_M9_three_seconds_of_silence_cost_no_pod(federation: Federation) -> None:
    """Of the API server at home, with a pod that runs and one that is on its way, and a standby that looks on."""
    runs = await federation.submit(only="arm-lab")
    await federation.until_running(runs)
    before = await federation.home.get(PODS, runs, federation.namespace)
    async with replicas(federation, "home") as two, counting_delegates(federation) as delegates:
        on_its_way = await federation.submit(only="windows-lab")
        with federation.frozen("api-server", "home"):
            await asyncio.sleep(3)
        assert await federation.until_running(on_its_way) == "windows-lab"
        after = await federation.home.get(PODS, runs, federation.namespace)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert phase(after) == "Running"
        assert {len(uids) for uids in delegates.values()} == {1}
        await two.until_led_by(two.leader, 10)


async def test_M9_a_frozen_leader_that_wakes_harms_nothing(federation: Federation) -> None:
    """It slept while another led, placed its pods and ended one; later it leads again as if it never had."""
    waiting = [await submit_held(federation, only) for only in ("arm-lab", "windows-lab", "arm-lab")]
    ends = await federation.submit(FOREVER, only="arm-lab")
    await federation.until_running(ends)
    async with replicas(federation, "home") as two, counting_delegates(federation) as delegates:
        two.signal(two.leader, signal.SIGSTOP)
        for name in waiting[:2]:
            await let_go(federation, name)
        await federation.home.delete(PODS, ends, federation.namespace)
        for name in waiting[:2]:
            await federation.until_running(name)
        await federation.until_pod(ends, is_gone)
        await let_go(federation, waiting[2])  # on its way as the other wakes
        two.signal(two.leader, signal.SIGCONT)
        await federation.until_running(waiting[2])
        await asyncio.sleep(2)  # what it had begun has arrived by now
        await two.until_led_by(two.standby, 1)
        assert {len(uids) for uids in delegates.values()} == {1}
        os.kill(two.standby.pid, signal.SIGTERM)
        await two.until_led_by(two.leader, 10)
        await federation.until_admitting()
        assert await federation.until_running(await federation.submit(only="windows-lab")) == "windows-lab"
        assert {len(uids) for uids in delegates.values()} == {1}
