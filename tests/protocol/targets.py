"""What the tests of S4, S5 and M7 do to Targets: swap what a kubeconfig leads to, look at conditions, accept a loss."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

from federation import names
from federation.clock import wall_clock
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, EVENTS, SECRETS
from federation.model.times import format_time
from lab.parts.federation import source_kubeconfig
from tests.protocol.federation import Federation, condition

Manifest = dict[str, Any]


def kubeconfig(federation: Federation, cluster: str) -> str:
    """The source's kubeconfig for a cluster, as a Secret carries it."""
    return base64.b64encode(source_kubeconfig(federation.lab.directory, cluster).read_bytes()).decode()


async def add_target(federation: Federation, name: str, cluster: str) -> None:
    """Make a Target of any name that leads to a cluster, and wait until it is connected."""
    data = {"config": kubeconfig(federation, cluster)}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    await federation.home.create(SECRETS, secret, federation.namespace)
    await make_target(federation, name)


async def make_target(federation: Federation, name: str) -> None:
    """Make a Target whose Secret is there, and wait until it is connected."""
    spec = {"kubeconfigSecret": {"name": name}}
    target = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": name}, "spec": spec}
    await federation.home.create(TARGETS, target, federation.namespace)
    await until_target(federation, name, lambda t: condition(t, "Ready").get("status") == "True")


async def lead_to(federation: Federation, name: str, cluster: str) -> None:
    """Let a Target's kubeconfig lead to another cluster, as a rebuilt one under the same address would."""
    patch = {"data": {"config": kubeconfig(federation, cluster)}}
    await federation.home.patch(SECRETS, name, patch, federation.namespace)


async def until_target(
    federation: Federation, name: str, holds: Callable[[Manifest], object], seconds: float = 40
) -> Manifest:
    """Watch a Target that is there."""
    return await federation.until(federation.home, TARGETS, name, lambda t: t and holds(t), seconds=seconds)


def is_doubted(reason: str) -> Callable[[Manifest], bool]:
    """Whether a Target says that it lost something, and why."""
    return lambda target: condition(target, "Intact").get("reason") == reason


async def accept_loss(federation: Federation, name: str) -> None:
    """Do what the condition's message says."""
    patch = {"metadata": {"annotations": {names.ACCEPT_LOSS: format_time(wall_clock())}}}
    await federation.home.patch(TARGETS, name, patch, federation.namespace)


async def until_event(federation: Federation, name: str, reason: str, seconds: float = 10) -> Manifest:
    """Wait for an Event about an object of the namespace."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        for event in (await federation.home.list(EVENTS, federation.namespace)).items:
            if (event["involvedObject"]["name"], event["reason"]) == (name, reason):
                return event
        await asyncio.sleep(0.2)
    raise AssertionError(f"no Event {reason} about {name}")


async def chaperons_of(federation: Federation, target: str, cluster: str) -> list[Manifest]:
    """What a Target of the namespace has in a cluster."""
    selector = f"{names.TARGET}={names.target_key(federation.namespace, target)}"
    return (await federation.lab.api(cluster).list(POD_CHAPERONS, federation.namespace, label_selector=selector)).items


async def left_behind(federation: Federation, target: str) -> dict[str, Any]:
    """The record of a lost Target of the namespace, or {}."""
    try:
        found = await federation.home.get(CONFIG_MAPS, "isthmus-left-behind", "isthmus")
    except NotFound:
        return {}
    label = names.target_key(federation.namespace, target)
    entries: list[dict[str, Any]] = [json.loads(text) for text in (found.get("data") or {}).values()]
    return next((entry for entry in entries if entry["label"] == label), {})
