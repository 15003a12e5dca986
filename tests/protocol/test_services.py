"""Services, and the Ingresses that lead to them, follow their pods into every target."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from federation import names
from federation.decisions import services
from federation.kinds import TARGETS
from federation.kube.api import Api
from federation.kube.resources import ENDPOINT_SLICES, EVENTS, INGRESSES, PODS, SERVICES, Resource
from federation.model.copied import parse_copy, parse_original
from tests.protocol.federation import FOREVER, Federation, is_gone, pod

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


async def test_a_service_is_rerouted_and_copied_to_every_remote_target(federation: Federation) -> None:
    await create(federation, {**service(), "metadata": {"name": "web", "labels": {"team": "a"}}})
    await start_web(federation)
    found = await followed(federation)
    home = found[""]
    assert annotation(home, names.GLOBAL) == annotation(home, names.CILIUM_GLOBAL) == "true"
    assert annotation(home, names.ORIGINAL_SELECTOR) == "app=web"
    assert home["metadata"]["labels"] == {"team": "a", names.HAS_FINALIZER: "true"}
    assert set(home["metadata"]["finalizers"]) == {names.finalizer(federation.namespace, name) for name in REMOTE}
    for cluster in REMOTE:
        copy = found[cluster]
        assert copy["metadata"]["labels"] == {
            "team": "a",
            names.PARENT_UID: home["metadata"]["uid"],
            names.PARENT_CLUSTER_NAME: "home",
        }
        assert annotation(copy, names.IS_DELEGATE) == ""
        assert annotation(copy, names.GLOBAL) == "true"
        assert annotation(copy, names.PARENT_NAME) == "web"
        assert copy["spec"]["ports"] == home["spec"]["ports"]
        assert not copy["metadata"].get("finalizers")


async def test_the_copy_selects_the_delegate(federation: Federation) -> None:
    name = await start_web(federation)
    await create(federation, service())
    await federation.until_running(name)
    copy = (await followed(federation))["arm-lab"]
    delegate = await federation.lab.api("arm-lab").get(PODS, await federation.chaperon_name(name), federation.namespace)
    assert services.selects(copy["spec"]["selector"], delegate["metadata"]["labels"])


async def test_a_followed_service_is_written_once(federation: Federation) -> None:
    """With what real API servers default and allocate in it, a second look at each type finds nothing to write."""
    await start_web(federation)
    kinds: dict[str, Manifest] = {
        "plain": {},
        "headless": {"clusterIP": "None"},
        "nodes": {"type": "NodePort"},
        "balanced": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"},
        "named": {"type": "ExternalName", "externalName": "example.com"},
    }
    for name, spec in kinds.items():
        await create(federation, service(name, **spec))
    for name in kinds:
        found = await followed(federation, name)
        for cluster in REMOTE:
            live = await stays(federation.lab.api(cluster), SERVICES, name, federation.namespace, seconds=0.2)
            original = parse_original(await stays(federation.home, SERVICES, name, federation.namespace, seconds=0.2))
            assert original is not None
            assert services.copy_of(original, "home", parse_copy(live)) is None
            assert live["spec"].get("clusterIP") == found[cluster]["spec"].get("clusterIP")
        assert ("clusterIP" in found["arm-lab"]["spec"]) is (name != "named")


async def test_a_user_applies_the_manifest_again(federation: Federation) -> None:
    """kubectl apply adds the unprefixed keys beside the rewritten ones: they are the new original."""
    await create(federation, service())
    await start_web(federation)
    await start_web(federation, {"app": "next", "tier": "front"})
    await followed(federation)
    await federation.home.patch(SERVICES, "web", {"spec": {"selector": {"app": "next"}}}, federation.namespace)
    moved = {names.PREFIX + "app": "next"}
    home = await until(federation, selects(moved))
    assert annotation(home, names.ORIGINAL_SELECTOR) == "app=next"
    await until(federation, selects(moved), "arm-lab")
    # kubectl replace: annotations, label and finalizers are gone as well.
    await federation.home.replace(
        SERVICES,
        {**service(), "metadata": {"name": "web", "namespace": federation.namespace}}
        | {"spec": {"selector": {"tier": "front"}, "ports": [{"port": 80}, {"name": "b", "port": 81}][:1]}},
    )
    back = {names.PREFIX + "tier": "front"}
    home = await until(federation, selects(back))
    assert len(home["metadata"]["finalizers"]) == len(REMOTE)
    await until(federation, selects(back), "arm-lab")


async def test_changes_follow_and_the_target_keeps_its_address(federation: Federation) -> None:
    await create(federation, service(type="NodePort"))
    await start_web(federation)
    before = (await followed(federation))["arm-lab"]
    patch = {"spec": {"ports": [{"name": "a", "port": 80, "nodePort": None}, {"name": "b", "port": 81}]}}
    await federation.home.patch(SERVICES, "web", patch, federation.namespace)
    after = await until(federation, lambda s: s and len(s["spec"]["ports"]) == 2, "arm-lab")
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["spec"]["ports"][0]["nodePort"] == before["spec"]["ports"][0]["nodePort"]
    home = await federation.home.get(SERVICES, "web", federation.namespace)
    assert home["spec"]["clusterIP"] != after["spec"]["clusterIP"], "each cluster gives its own"


async def test_a_copy_that_is_meddled_with_is_put_right(federation: Federation) -> None:
    await create(federation, service())
    await start_web(federation)
    first = (await followed(federation))["arm-lab"]
    arm = federation.lab.api("arm-lab")
    await arm.patch(SERVICES, "web", {"spec": {"selector": {"mine": "yes"}}}, federation.namespace)
    await until(federation, selects(REROUTED), "arm-lab")
    await arm.delete(SERVICES, "web", federation.namespace)
    again = await until(federation, lambda s: s and s["metadata"]["uid"] != first["metadata"]["uid"], "arm-lab")
    assert again["spec"]["selector"] == REROUTED


async def test_deletion_takes_the_copies_first(federation: Federation) -> None:
    await create(federation, service())
    await start_web(federation)
    await followed(federation)
    arm = federation.lab.api("arm-lab")
    held = {"metadata": {"finalizers": ["example.com/held"]}}
    await arm.patch(SERVICES, "web", held, federation.namespace)
    await federation.home.delete(SERVICES, "web", federation.namespace)
    await until(federation, is_gone, "windows-lab")
    only_arm = [names.finalizer(federation.namespace, "arm-lab")]
    await until(federation, lambda s: s and s["metadata"]["finalizers"] == only_arm)
    await until(federation, lambda s: s and "deletionTimestamp" in s["metadata"], "arm-lab")
    assert await federation.exists(SERVICES, "", "web"), "it waits for what holds the copy (a load balancer, say)"
    await arm.patch(SERVICES, "web", {"metadata": {"finalizers": None}}, federation.namespace)
    await until(federation, is_gone)


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


async def test_what_is_not_our_copy_is_left_alone(federation: Federation) -> None:
    theirs = service(selector={"theirs": "yes"})
    await create(federation, theirs, "arm-lab")
    await create(federation, service())
    await start_web(federation)
    await until(federation, selects(REROUTED), "windows-lab")
    event = await _event(federation, "NotFollowed")
    assert event["message"] == "Service web in target arm-lab is not a copy of this one; it is left alone"
    kept = await stays(federation.lab.api("arm-lab"), SERVICES, "web", federation.namespace)
    assert kept["spec"]["selector"] == {"theirs": "yes"}
    await federation.home.delete(SERVICES, "web", federation.namespace)
    await until(federation, is_gone)
    assert await federation.exists(SERVICES, "arm-lab", "web")


async def _event(federation: Federation, reason: str) -> Manifest:
    for _ in range(100):
        listing = await federation.home.list(EVENTS, federation.namespace, field_selector=f"reason={reason}")
        if listing.items:
            return listing.items[0]
        await asyncio.sleep(0.1)
    raise AssertionError(f"no Event {reason}")


async def test_a_selector_comes_back_when_no_pod_of_it_is_federated(federation: Federation) -> None:
    await create(federation, service())
    name = await start_web(federation)
    await followed(federation)
    await federation.home.delete(PODS, name, federation.namespace)
    home = await until(federation, selects(WEB), seconds=40)
    assert names.ORIGINAL_SELECTOR not in (home["metadata"].get("annotations") or {})
    for cluster in REMOTE:
        await until(federation, is_gone, cluster)
    home = await until(federation, lambda s: s and not s["metadata"].get("finalizers"))
    assert names.HAS_FINALIZER not in (home["metadata"].get("labels") or {})


async def test_services_of_other_pods_are_not_touched(federation: Federation) -> None:
    manifest = pod(FOREVER)
    manifest["metadata"]["labels"] = {"app": "local"}
    await federation.create(manifest)
    await create(federation, service("local", selector={"app": "local"}))
    await create(federation, service("none", selector={}))
    copy = service("copy")
    copy["metadata"]["annotations"] = {names.IS_DELEGATE: ""}
    await create(federation, copy)
    await start_web(federation)
    await create(federation, service())
    await followed(federation)
    for name in ("local", "none", "copy"):
        kept = await federation.home.get(SERVICES, name, federation.namespace)
        assert "finalizers" not in kept["metadata"]
        assert not await federation.exists(SERVICES, "arm-lab", name)


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
        await federation.home.create(TARGETS, _target(federation, cluster))
    await followed(federation)


def _target(federation: Federation, cluster: str) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Target",
        "metadata": {"name": cluster, "namespace": federation.namespace},
        "spec": {"kubeconfigSecret": {"name": cluster}},
    }


async def test_labels_that_keep_their_key_keep_it_in_the_selector(federation: Federation) -> None:
    kept = service(selector={"app": "web", "kept": "yes"})
    kept["metadata"]["annotations"] = {names.NO_PREFIX_LABEL_REGEXP: "^kept="}
    await create(federation, kept)
    await start_web(federation, {"app": "web", "kept": "yes"})
    wanted = {**REROUTED, "kept": "yes"}
    home = await until(federation, selects(wanted))
    assert annotation(home, names.ORIGINAL_SELECTOR) == "app=web,kept=yes"
    await until(federation, selects(wanted), "arm-lab")


async def test_an_annotation_that_cannot_be_used_is_said_so(federation: Federation) -> None:
    bad = service()
    bad["metadata"]["annotations"] = {names.NO_PREFIX_LABEL_REGEXP: "?!x"}
    await create(federation, bad)
    await start_web(federation)
    event = await _event(federation, "InvalidAnnotation")
    assert names.NO_PREFIX_LABEL_REGEXP in event["message"]
    kept = await federation.home.get(SERVICES, "web", federation.namespace)
    assert kept["spec"]["selector"] == WEB


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
    await federation.home.create(TARGETS, _target(federation, "arm-lab"))
    await until(federation, selects(REROUTED), "arm-lab", seconds=40)


async def test_M7_a_copy_stays_while_another_target_leads_to_its_cluster(federation: Federation) -> None:
    second = _target(federation, "arm-lab")
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


def ingress(name: str, backend: str) -> Manifest:
    port = {"service": {"name": backend, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {
            "rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": port}]}}, {"host": "a.b"}]
        },
    }


async def test_an_ingress_follows_the_service_it_leads_to(federation: Federation) -> None:
    await create(federation, service())
    await create(federation, ingress("web", "web"), resource=INGRESSES)
    await create(federation, ingress("not", "another"), resource=INGRESSES)
    await start_web(federation)
    copy = await until(federation, lambda i: i is not None, "arm-lab", resource=INGRESSES)
    assert annotation(copy, names.IS_DELEGATE) == ""
    patch = {"metadata": {"annotations": {"annotate": "test"}}}
    await federation.home.patch(INGRESSES, "web", patch, federation.namespace)
    await until(federation, lambda i: i and annotation(i, "annotate") == "test", "arm-lab", resource=INGRESSES)
    await stays(federation.lab.api("arm-lab"), INGRESSES, "web", federation.namespace)
    home = await federation.home.get(INGRESSES, "web", federation.namespace)
    assert annotation(home, names.GLOBAL) == "true"
    assert not await federation.exists(INGRESSES, "arm-lab", "not")
    await federation.home.delete(SERVICES, "web", federation.namespace)
    home = await until(federation, lambda i: i and not i["metadata"].get("finalizers"), resource=INGRESSES)
    assert annotation(home, names.GLOBAL) is None
    await until(federation, is_gone, "arm-lab", resource=INGRESSES)
