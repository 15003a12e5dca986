"""What is right with a simulated federation: everything is placed, nothing is left, and an audit finds nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from federation import names
from federation.audit.collecting import Reader
from federation.audit.source import read_source
from federation.audit.target import Door, read_target
from federation.decisions.audit import findings
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.resources import PODS
from federation.model.audit import Finding, Observed
from federation.model.quantity import pod_requests
from tests.simulation.clusters import NAMESPACE
from tests.simulation.federation import OTHERS, ROOM, SOURCE, World

Manifest = dict[str, Any]

_SETTLE_SECONDS = 300.0  # how long things may take once nothing goes wrong any more


def breaches(world: World) -> list[str]:
    """Say what ran without being allowed, and what ran twice: no pod here is to be started again (rule S7)."""
    kubelets = [cluster.kubelet for cluster in world.clusters.values()]
    starts = Counter(uid for kubelet in kubelets for uid in kubelet.proxies)
    twice = [f"proxy {uid} ran {count} times" for uid, count in starts.items() if count > 1]
    return [breach for kubelet in kubelets for breach in kubelet.breaches] + twice


async def pods(world: World) -> list[Manifest]:
    """Return the source's pods."""
    return (await world.home.admin().list(PODS, NAMESPACE)).items


async def audit(world: World) -> frozenset[Finding]:
    """Return what `isthmus audit` would find."""
    source = await read_source(Reader(world.home.admin(), SOURCE, lambda _: None), "", SOURCE)
    seen = []
    for name in OTHERS:
        api = world.clusters[name].admin()
        targets = tuple(target for target in source.targets if target.name == name)

        async def opened(api: Api = api) -> Api:
            return api

        door = Door(name, targets, ("",), opened)
        seen.append((await read_target(Reader(api, name, lambda _: None), door)).cluster)
    return findings(Observed(source, tuple(seen)))


async def until(world: World, holds: Callable[[World], Awaitable[str]], what: str) -> None:
    """Wait until `holds` returns nothing; what it returned last is why not."""
    why = ""
    try:
        async with asyncio.timeout(_SETTLE_SECONDS):
            while why := await holds(world):  # noqa: ASYNC110  # it asks API servers
                await asyncio.sleep(1)
    except TimeoutError:
        raise AssertionError(f"{what}: not after {_SETTLE_SECONDS:.0f} s: {why}") from None


async def unplaced(world: World) -> str:
    """Say which pods neither run nor have run though there is room, or what the audit finds.

    A bare pod that is bound to a target where others took its room waits there (rule M2).
    """
    waiting = [pod for pod in await pods(world) if not _is_placed(pod)]
    stuck = [pod for pod in waiting if await _has_room(world, pod)]
    why = [f"{pod['metadata']['name']} {json.dumps(pod['status'])}" for pod in stuck[:3]]
    return "; ".join(why + [_told(one) for one in await audit(world)])


async def _has_room(world: World, pod: Manifest) -> bool:
    """Whether a pod would fit into the target that it is bound to, or into any."""
    node = pod["spec"].get("nodeName", "")
    eligible = [name for name in OTHERS if node in ("", names.virtual_node_name(NAMESPACE, name))]
    return any([await _free(world, name) >= _millis(pod) for name in eligible])


async def _free(world: World, name: str) -> int:
    there = await world.clusters[name].admin().list(PODS, NAMESPACE, field_selector=f"spec.nodeName={name}-node")
    taken = sum(_millis(pod) for pod in there.items if pod["status"].get("phase") != "Succeeded")
    return int(ROOM["cpu"]) * 1000 - taken


async def leftovers(world: World) -> str:
    """Say what is left of pods that were all deleted."""
    left = [pod["metadata"]["name"] for pod in await pods(world)]
    for name in OTHERS:
        admin = world.clusters[name].admin()
        for resource in (POD_CHAPERONS, PODS):
            left += [f"{name}: {item['metadata']['name']}" for item in (await admin.list(resource, NAMESPACE)).items]
    return "; ".join(left + [_told(one) for one in await audit(world)])


def _is_placed(pod: Manifest) -> bool:
    """Whether it runs, has run, or was ended because its delegate may have run and is gone (rule C1)."""
    status = pod["status"]
    is_told = any(c["type"] == "DisruptionTarget" for c in status.get("conditions") or [])
    is_ended = status.get("phase") == "Failed" and is_told
    return (status.get("phase") in ("Running", "Succeeded") or is_ended) and "deletionTimestamp" not in pod["metadata"]


def _millis(pod: Manifest) -> int:
    return pod_requests(pod["spec"]).get("cpu", 0)


def _told(one: Finding) -> str:
    return f"{one.rule} {one.cluster} {one.name}: {one.message}"
