"""The rules S7 and C5: what may have run does not run again, and the end of a delegate is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from tests.protocol.federation import FOREVER, Federation, condition, is_gone, is_marked, phase
from tests.protocol.targets import until_event

TARGET = "arm-lab"


class Runs:
    """The pods of a namespace that were seen Running in a cluster, by uid."""

    def __init__(self) -> None:
        self.uids: set[str] = set()
        self.changed = asyncio.Event()

    def take(self, _: Key, __: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Take in one change of a pod."""
        if new is not None and phase(new) == "Running":
            self.uids.add(new["metadata"]["uid"])
            self.changed.set()


@asynccontextmanager
async def counting(federation: Federation) -> AsyncIterator[Runs]:
    """Count the delegates that run in the target, for the length of the block."""
    runs, pods = Runs(), Store[dict[str, Any]](lambda manifest: manifest)
    pods.subscribe(runs.take)
    watching = asyncio.create_task(follow(federation.lab.api(TARGET), PODS, pods, namespace=federation.namespace))
    await pods.synced.wait()
    try:
        yield runs
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _ends(federation: Federation, name: str) -> dict[str, Any]:
    """Wait until a proxy has ended because its delegate is gone, and return it."""
    ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed", seconds=60)
    assert condition(ended, "DisruptionTarget")["reason"] == "DelegateGone"
    return ended


async def test_S7_a_target_that_did_not_see_its_pod_run_makes_no_other(federation: Federation) -> None:
    """Killed between the reservation and the Binding, its agent has only the records to go by."""
    there = federation.lab.api(TARGET)
    async with counting(federation) as runs:
        name = await _reserved_only(federation)
        chaperon = await federation.chaperon_name(name, TARGET)
        start_again = federation.kill("agent", TARGET)
        await asyncio.wait_for(runs.changed.wait(), 30)
        await there.delete(PODS, chaperon, federation.namespace, grace_period_seconds=0)
        start_again()
        await _ends(federation, name)
        assert len(runs.uids) == 1


async def _reserved_only(federation: Federation) -> str:
    """Submit a pod and return as soon as its candidate is reserved."""
    name = await federation.submit(FOREVER, only=TARGET)
    chaperon = await federation.chaperon_name(name, TARGET)
    await federation.chaperon(TARGET, chaperon, lambda c: is_marked(c, names.IS_RESERVED))
    return name


async def test_S7_a_source_that_did_not_see_its_pod_run_asks_for_no_other(federation: Federation) -> None:
    """Killed after Allow, its agent finds the chaperon gone when it starts again."""
    there = federation.lab.api(TARGET)
    async with counting(federation) as runs:
        name = await federation.submit(FOREVER, only=TARGET)
        chaperon = await federation.chaperon_name(name, TARGET)
        await federation.chaperon(TARGET, chaperon, lambda c: is_marked(c, names.IS_ALLOWED))
        start_again = federation.kill("agent", federation.lab.source)
        await asyncio.wait_for(runs.changed.wait(), 30)
        await there.delete(POD_CHAPERONS, chaperon, federation.namespace, propagation="Foreground")
        await federation.chaperon(TARGET, chaperon, is_gone)
        start_again()
        await federation.until_pod(name, lambda p: p and phase(p) == "Failed", seconds=60)
        assert len(runs.uids) == 1


async def test_C5_a_pod_that_its_targets_owner_deletes_says_so(federation: Federation) -> None:
    name = await federation.submit("trap 'exit 7' TERM; while :; do sleep 0.1; done", only=TARGET)
    await federation.until_running(name)
    chaperon = await federation.chaperon_name(name, TARGET)
    await federation.lab.api(TARGET).delete(PODS, chaperon, federation.namespace)
    told = await federation.until_pod(name, lambda p: p and condition(p, "DisruptionTarget"))
    assert condition(told, "DisruptionTarget")["reason"] == "DeletedInTarget"
    await until_event(federation, name, "DeletedInTarget")
    ended = await federation.until_pod(name, lambda p: p and phase(p) == "Failed")
    assert condition(ended, "DisruptionTarget")["reason"] == "DeletedInTarget"
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
