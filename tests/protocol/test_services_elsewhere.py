"""Followed Services while targets, agents and originals come and go."""

import asyncio
from collections.abc import Callable

import pytest

from federation import names
from federation.kinds import TARGETS
from federation.kube.resources import ENDPOINT_SLICES, PODS, SERVICES
from tests.protocol.federation import FOREVER, Federation, is_gone, pod
from tests.protocol.followed import (
    REMOTE,
    REROUTED,
    WEB,
    Manifest,
    create,
    followed,
    selects,
    service,
    start_web,
    stays,
    target_to,
    until,
)


async def test_deletion_waits_for_a_target_that_is_away(federation: Federation) -> None:
    await create(federation, service())
    await start_web(federation, only="windows-lab")
    await followed(federation)
    with federation.frozen("api-server", "arm-lab"):
        await federation.home.delete(SERVICES, "web", federation.namespace)
        await until(federation, is_gone, "windows-lab")
        await asyncio.sleep(1)
        home = await federation.home.get(SERVICES, "web", federation.namespace)
        assert home["metadata"]["finalizers"] == [names.finalizer(federation.namespace, "arm-lab")]
    await until(federation, is_gone, seconds=40)
    await until(federation, is_gone, "arm-lab")


async def test_with_self_targets_only_a_service_keeps_its_proxies(federation: Federation) -> None:
    """A proxy shows its delegate's address: selected by its own labels it is an endpoint as good as the delegate."""
    for cluster in REMOTE:
        await federation.home.delete(TARGETS, cluster, federation.namespace)
    name = await start_web(federation, only="home")
    await create(federation, service())
    await federation.until_running(name)
    kept = await stays(federation.home, SERVICES, "web", federation.namespace)
    assert kept["spec"]["selector"] == WEB
    assert "finalizers" not in kept["metadata"]
    for cluster in REMOTE:
        await federation.until(federation.home, TARGETS, cluster, is_gone, seconds=40)
        await federation.home.create(TARGETS, target_to(federation, cluster))
    await followed(federation)


async def test_an_agent_that_was_killed_goes_on_where_it_stopped(federation: Federation) -> None:
    """Deleted, changed and new Services are all settled by the agent that comes after."""
    for name in ("gone", "changed"):
        await create(federation, service(name))
    await start_web(federation)
    for name in ("gone", "changed"):
        await followed(federation, name)
    restart = federation.kill("agent", "home")
    try:
        await federation.home.delete(SERVICES, "gone", federation.namespace)
        patch = {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
        await federation.home.patch(SERVICES, "changed", patch, federation.namespace)
        await create(federation, service("new"))
        # As after a crash between the original's patch and the last copy, or an uninstalled source that came back.
        await federation.lab.api("windows-lab").delete(SERVICES, "changed", federation.namespace)
        assert await federation.exists(SERVICES, "arm-lab", "gone")
    finally:
        restart()
    await until(federation, is_gone, "arm-lab", "gone", seconds=40)
    await until(federation, is_gone, name="gone")
    await followed(federation, "new")
    for cluster in REMOTE:
        await until(federation, lambda s: s and s["spec"]["ports"][0]["targetPort"] == 8080, cluster, "changed")


async def test_a_copy_whose_original_vanished_is_collected(federation: Federation) -> None:
    """Somebody took the finalizers off by hand."""
    await create(federation, service())
    await start_web(federation)
    await followed(federation)
    with federation.frozen("agent", "home"):
        await federation.home.patch(SERVICES, "web", {"metadata": {"finalizers": None}}, federation.namespace)
        await federation.home.delete(SERVICES, "web", federation.namespace)
    for cluster in REMOTE:
        await until(federation, is_gone, cluster)


@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
async def test_a_proxy_is_an_endpoint_of_a_service_that_is_not_rerouted(federation: Federation) -> None:
    """What stays of Services where all Targets are the cluster itself, as kube-controller-manager sees it.

    Process pods show a loopback address, which no EndpointSlice takes, so the proxy's status is written by hand.
    """
    node = federation.node("home")
    proxy = pod(FOREVER, name="shown", nodeName=node)
    proxy["metadata"]["labels"] = WEB
    await federation.create(proxy)
    status = {
        "phase": "Running",
        "podIP": "10.64.0.7",
        "podIPs": [{"ip": "10.64.0.7"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    await federation.home.patch(PODS, "shown", {"status": status}, federation.namespace, subresource="status")
    await create(federation, service())
    endpoint = await _endpoint(federation, "web", bool)
    assert endpoint is not None
    assert (endpoint["addresses"], endpoint["nodeName"]) == (["10.64.0.7"], node)
    assert endpoint["conditions"]["ready"]
    rerouted = {"spec": {"selector": {"app": None, **REROUTED}}}
    await federation.home.patch(SERVICES, "web", rerouted, federation.namespace)
    assert await _endpoint(federation, "web", lambda found: not found) is None


async def _endpoint(federation: Federation, name: str, holds: Callable[[list[Manifest]], bool]) -> Manifest | None:
    selector = f"kubernetes.io/service-name={name}"
    for _ in range(200):
        listing = await federation.home.list(ENDPOINT_SLICES, federation.namespace, label_selector=selector)
        found = [endpoint for item in listing.items for endpoint in item.get("endpoints") or []]
        if listing.items and holds(found):
            return found[0] if found else None
        await asyncio.sleep(0.1)
    raise AssertionError(f"endpoints of {name}: {found}")


async def test_M7_a_target_that_goes_gives_its_copies_back(federation: Federation) -> None:
    await create(federation, service())
    await start_web(federation, only="windows-lab")
    await followed(federation)
    await federation.home.delete(TARGETS, "arm-lab", federation.namespace)
    await until(federation, is_gone, "arm-lab")
    home = await until(federation, lambda s: s and len(s["metadata"]["finalizers"]) == 1)
    assert home["metadata"]["finalizers"] == [names.finalizer(federation.namespace, "windows-lab")]
    await federation.until(federation.home, TARGETS, "arm-lab", is_gone, seconds=40)
    assert await federation.exists(SERVICES, "windows-lab", "web")
    await federation.home.create(TARGETS, target_to(federation, "arm-lab"))
    await until(federation, selects(REROUTED), "arm-lab", seconds=40)


async def test_M7_a_copy_stays_while_another_target_leads_to_its_cluster(federation: Federation) -> None:
    second = target_to(federation, "arm-lab")
    second["metadata"]["name"] = "second"
    await federation.home.create(TARGETS, second)
    await create(federation, service())
    await start_web(federation)
    await until(federation, lambda s: s and len(s["metadata"].get("finalizers") or []) == 3)
    before = (await followed(federation))["arm-lab"]
    await federation.home.delete(TARGETS, "second", federation.namespace)
    await federation.until(federation.home, TARGETS, "second", is_gone, seconds=40)
    home = await until(federation, lambda s: s and len(s["metadata"].get("finalizers") or []) == 2)
    assert names.finalizer(federation.namespace, "second") not in home["metadata"]["finalizers"]
    after = await federation.lab.api("arm-lab").get(SERVICES, "web", federation.namespace)
    assert after["metadata"] == before["metadata"]
