"""What the tests of followed Services share: a federated web server, its Service, and how they are looked at."""

import asyncio
from typing import Any

from federation import names
from federation.kube.api import Api
from federation.kube.resources import EVENTS, SERVICES, Resource
from tests.protocol.federation import FOREVER, Federation, pod

Manifest = dict[str, Any]
WEB = {"app": "web"}
REROUTED = {names.PREFIX + "app": "web"}
REMOTE = ("arm-lab", "windows-lab")


def service(name: str = "web", **spec: Any) -> Manifest:
    spec = {"selector": WEB, "ports": [{"port": 80}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def selects(wanted: dict[str, str]) -> Any:
    return lambda found: found and found["spec"].get("selector") == wanted


def annotation(manifest: Manifest, key: str) -> str | None:
    value: str | None = (manifest["metadata"].get("annotations") or {}).get(key)
    return value


async def start_web(federation: Federation, labels: dict[str, str] | None = None, only: str = "arm-lab") -> str:
    """A federated pod that a Service may select."""
    annotations = {names.ELECT: "", names.PROXY_CONSTRAINTS: f"nodeSelector: {{{names.TARGET_NAME}: {only}}}"}
    manifest = pod(FOREVER, annotations=annotations)
    manifest["metadata"]["labels"] = labels or WEB
    return await federation.create(manifest)


async def create(federation: Federation, manifest: Manifest, cluster: str = "", resource: Resource = SERVICES) -> None:
    await federation.lab.api(cluster).create(resource, manifest, federation.namespace)


async def until(
    federation: Federation, holds: Any, cluster: str = "", name: str = "web", resource: Resource = SERVICES, **more: Any
) -> Manifest:
    return await federation.until(federation.lab.api(cluster), resource, name, holds, **more)


async def followed(federation: Federation, name: str = "web") -> dict[str, Manifest]:
    """Wait for the original to be rerouted and its copies to be there; returns them by cluster, home as ""."""
    found = {"": await until(federation, selects(REROUTED), name=name)}
    for cluster in REMOTE:
        found[cluster] = await until(federation, selects(REROUTED), cluster, name)
    return found


async def stays(api: Api, resource: Resource, name: str, namespace: str, seconds: float = 2) -> Manifest:
    """Assert that nobody writes an object for a while; returns it."""
    before = await api.get(resource, name, namespace)
    await asyncio.sleep(seconds)
    after = await api.get(resource, name, namespace)
    assert after == before
    return after


async def until_event_of(federation: Federation, reason: str) -> Manifest:
    for _ in range(100):
        listing = await federation.home.list(EVENTS, federation.namespace, field_selector=f"reason={reason}")
        if listing.items:
            return listing.items[0]
        await asyncio.sleep(0.1)
    raise AssertionError(f"no Event {reason}")


def target_to(federation: Federation, cluster: str) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Target",
        "metadata": {"name": cluster, "namespace": federation.namespace},
        "spec": {"kubeconfigSecret": {"name": cluster}},
    }
