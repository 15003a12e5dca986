"""The rule F4: a target that does not answer delays nobody's pods but its own.

Each test runs a burst of pods that are to be asked for in one target first, with all well and then with that target
frozen or cut off, and compares the times of the two: half as much again is allowed, and what a second more or less says
nothing on a busy machine. One that answers five seconds late is in `tests/simulation/test_silence.py`: on a machine so
busy that the others take longer than that, its answers are the first, and its pods wait for it by right.
"""

import asyncio
import base64
import contextlib
import re
from collections.abc import Iterator

import pytest

from federation.kube.resources import NODES, PODS, SECRETS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.parts.federation import source_kubeconfig
from tests.protocol.federation import Federation, Manifest, condition, is_gone, phase
from tests.protocol.middleman import wire_to
from tests.protocol.targets import until_target
from tests.protocol.test_fast import prefer

PODS_AT_ONCE = 30  # the window of a target (rule F1) bears as many: all of them ask there
SECONDS_MIN = 6.0  # less is noise: 15 s were lost when asking waited
SMALL = {"resources": {"requests": {"cpu": "1m"}}}


async def seconds_of_a_burst(federation: Federation) -> float:
    """Submit pods at once; returns when all have run, and removes them."""
    done: Store[Manifest] = Store(lambda manifest: manifest if phase(manifest) == "Succeeded" else None)
    changed = asyncio.Event()
    done.subscribe(lambda *_: changed.set())
    watching = asyncio.create_task(follow(federation.home, PODS, done, namespace=federation.namespace))
    loop = asyncio.get_running_loop()
    try:
        await done.synced.wait()
        began = loop.time()
        burst = (federation.submit("exit 0", container=SMALL) for _ in range(PODS_AT_ONCE))
        submitted = await asyncio.gather(*burst)
        async with asyncio.timeout(90):
            while len(done) < PODS_AT_ONCE:
                changed.clear()
                await changed.wait()
        took = loop.time() - began
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    for name in submitted:
        await federation.home.delete(PODS, name, federation.namespace)
    return took


def bound(seconds: float) -> float:
    """How long the same may take with one target of three away."""
    return 1.5 * max(seconds, SECONDS_MIN)


async def until_back(federation: Federation, cluster: str) -> None:
    """Wait until a target is used again, and nothing of the bursts is left."""
    node = federation.node(cluster)
    await federation.until(
        federation.home,
        NODES,
        node,
        lambda n: n and condition(n, "Ready").get("status") == "True",
        namespace="",
        seconds=60,
    )
    for manifest in (await federation.home.list(PODS, federation.namespace)).items:
        await federation.until_pod(manifest["metadata"]["name"], is_gone, seconds=60)


def what_may_freeze(federation: Federation, cluster: str) -> Iterator[str]:
    """The programs of a target without which its API server does not answer."""
    for role in ("api-server", "etcd"):
        with contextlib.suppress(StopIteration):
            federation.process(role, cluster)
            yield role


@pytest.mark.timeout(900)
async def test_F4_a_frozen_target_delays_no_pod(federation: Federation) -> None:
    await prefer(federation, "arm-lab")
    undisturbed = await seconds_of_a_burst(federation)
    await until_back(federation, "arm-lab")
    for role in what_may_freeze(federation, "arm-lab"):
        with federation.frozen(role, "arm-lab"):
            assert await seconds_of_a_burst(federation) <= bound(undisturbed), role
        await until_back(federation, "arm-lab")


@pytest.mark.timeout(900)
async def test_F4_a_target_that_is_cut_off_delays_no_pod(federation: Federation) -> None:
    """Nothing gets through, and no connection is closed."""
    kubeconfig = source_kubeconfig(federation.lab.directory, "arm-lab").read_bytes().decode()
    [url] = set(re.findall(r"https://[\w.:]+", kubeconfig))
    async with wire_to(url) as wire:
        data = {"config": base64.b64encode(kubeconfig.replace(url, wire.url).encode()).decode()}
        await federation.home.patch(SECRETS, "arm-lab", {"data": data}, federation.namespace)
        await prefer(federation, "arm-lab")
        await until_target(federation, "arm-lab", lambda t: condition(t, "Ready").get("status") == "True")
        undisturbed = await seconds_of_a_burst(federation)
        await until_back(federation, "arm-lab")
        wire.cut()
        assert await seconds_of_a_burst(federation) <= bound(undisturbed), "cut off"
        wire.mend()
        await until_back(federation, "arm-lab")
        data = {"config": base64.b64encode(kubeconfig.encode()).decode()}
        await federation.home.patch(SECRETS, "arm-lab", {"data": data}, federation.namespace)
        await asyncio.sleep(1)
        await until_back(federation, "arm-lab")
