"""One bad answer at a time, to the part of the agent that reads it: a reason in bounded memory, and nobody else waits.

Beside the hostile target a good one is followed by the same loop; what it says arrives all the while.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from federation import names
from federation.clock import wall_clock
from federation.controllers.connection import Connection
from federation.kube.api import connect
from federation.kube.store import NOT_LISTED
from federation.model.target import parse_target
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import BAD_LISTS, BAD_WATCHES, SECRET_PAGE, bomb, deflated_pieces, foreigners
from tests.strangers.hostile import HostileTarget, Manifest

HOME = "home"
NAMESPACE = "research"
ENDLESS = ("slow-body", "no-answer", "foreign-chaperons")  # the time for them is longer than a test's
GROWTH_BYTES_MAX = 160 * 1024 * 1024  # an answer of 4 MiB, as values, and the server beside it
REQUESTS_A_SECOND_MAX = 8.0
GOOD_SECONDS_MAX = 5.0


@asynccontextmanager
async def followed(target: HostileTarget, name: str) -> AsyncIterator[Connection]:
    """A Target of `research` that leads there, as the agent follows it."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "finalizers": [names.TARGET_FINALIZER]}
    wanted = parse_target({"metadata": metadata, "spec": {"kubeconfigSecret": {"name": name}}})
    async with await connect(target.kubeconfig()) as api:
        connection = Connection(wanted, api, HOME, wall_clock, pulse_seconds=1.0)
        running = asyncio.create_task(connection.run())
        try:
            yield connection
            assert not running.done(), "a defect ended what follows it"
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def chaperon(target: str, name: str) -> Manifest:
    """A PodChaperon of ours behind a Target."""
    labels = {names.PARENT_UID: "u", names.PARENT_CLUSTER_NAME: HOME}
    labels[names.TARGET] = names.target_key(NAMESPACE, target)
    annotations = {names.PARENT_NAME: "pod", names.PARENT_NAMESPACE: NAMESPACE}
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "labels": labels, "annotations": annotations}
    kind = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND}
    return kind | {"metadata": metadata, "spec": {"containers": [{"name": "main"}]}}


@pytest.mark.parametrize("attempt", ids_of("test_target_connection::test_a_bad_answer_ends_in_a_reason"))
async def test_a_bad_answer_ends_in_a_reason(attempt: str) -> None:
    bomb(), deflated_pieces(), foreigners()
    async with HostileTarget.running() as bad, HostileTarget.running() as good:
        (BAD_LISTS | BAD_WATCHES)[attempt](bad)
        async with followed(good, "good") as fine:
            await asyncio.wait_for(fine.chaperons.synced.wait(), 10)
            before, begun = _forget_peak(), time.monotonic()
            async with followed(bad, "bad") as hostile:
                tried = "WATCH podchaperons" if attempt in BAD_WATCHES else "GET podchaperons"
                await _until(lambda: bad.asked[tried], "it was asked")
                if attempt in BAD_LISTS and attempt not in ENDLESS:
                    await _until(lambda: hostile.chaperons.trouble not in {"", NOT_LISTED}, "there is a reason")
                    assert len(hostile.trouble) < 6 * 1024
                    assert SECRET_PAGE not in hostile.trouble
                    assert hostile.trouble.isprintable()
                    assert not hostile.chaperons.synced.is_set()
                for number in range(5):
                    good.add("podchaperons", chaperon("good", f"c{number}"))
                    heard = f"c{number}"
                    await _until(
                        lambda h=heard: fine.chaperons.get(NAMESPACE, h), "the good one is heard", GOOD_SECONDS_MAX
                    )
                    await asyncio.sleep(0.3)
                assert fine.pulse.is_reachable
            lasted = time.monotonic() - begun
            assert _peak_bytes() - before < GROWTH_BYTES_MAX
            for what, times in bad.asked.items():
                assert times <= 10 + lasted * REQUESTS_A_SECOND_MAX, f"{what}: {times} times in {lasted:.0f} s"


async def _until(holds: object, what: str, seconds: float = 15) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        await asyncio.sleep(0.02)


def _forget_peak() -> int:
    """Have the kernel forget the most memory that this process ever had; returns what it has now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
