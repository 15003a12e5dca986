"""Services, and the Ingresses that lead to them, follow their pods into every target."""

from federation import names
from federation.decisions import services
from federation.kube.resources import INGRESSES, PODS, SERVICES
from federation.model.copied import parse_copy, parse_original
from tests.protocol.federation import FOREVER, Federation, is_gone, pod
from tests.protocol.followed import (
    REMOTE,
    REROUTED,
    WEB,
    Manifest,
    annotation,
    create,
    followed,
    selects,
    service,
    start_web,
    stays,
    until,
    until_event_of,
)


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
        assert "clusterIP" in found["arm-lab"]["spec"]


async def test_a_name_for_another_host_follows_no_pods(federation: Federation) -> None:
    """Its selector means nothing; and what leads elsewhere no source may make in a target (rule T3)."""
    await create(federation, service())
    await create(federation, service("named", type="ExternalName", externalName="example.com"))
    await start_web(federation)
    await followed(federation)
    named = await stays(federation.home, SERVICES, "named", federation.namespace)
    assert annotation(named, names.ORIGINAL_SELECTOR) is None
    assert not await federation.exists(SERVICES, "arm-lab", "named")
    patch = {"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": None, "clusterIPs": None}}
    await federation.home.patch(SERVICES, "web", patch, federation.namespace)
    home = await until(federation, lambda s: s and not s["metadata"].get("finalizers"))
    assert annotation(home, names.ORIGINAL_SELECTOR) is None
    await until(federation, is_gone, "arm-lab")


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


async def test_what_is_not_our_copy_is_left_alone(federation: Federation) -> None:
    theirs = service(selector={"theirs": "yes"})
    await create(federation, theirs, "arm-lab")
    await create(federation, service())
    await start_web(federation)
    await until(federation, selects(REROUTED), "windows-lab")
    event = await until_event_of(federation, "NotFollowed")
    assert event["message"] == "Service web in target arm-lab is not a copy of this one; it is left alone"
    kept = await stays(federation.lab.api("arm-lab"), SERVICES, "web", federation.namespace)
    assert kept["spec"]["selector"] == {"theirs": "yes"}
    await federation.home.delete(SERVICES, "web", federation.namespace)
    await until(federation, is_gone)
    assert await federation.exists(SERVICES, "arm-lab", "web")


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
    event = await until_event_of(federation, "InvalidAnnotation")
    assert names.NO_PREFIX_LABEL_REGEXP in event["message"]
    kept = await federation.home.get(SERVICES, "web", federation.namespace)
    assert kept["spec"]["selector"] == WEB


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
    patch = {"metadata": {"annotations": {"io.cilium/global-service": "test"}}}
    await federation.home.patch(INGRESSES, "web", patch, federation.namespace)
    await until(
        federation, lambda i: i and annotation(i, "io.cilium/global-service") == "test", "arm-lab", resource=INGRESSES
    )
    await stays(federation.lab.api("arm-lab"), INGRESSES, "web", federation.namespace)
    home = await federation.home.get(INGRESSES, "web", federation.namespace)
    assert annotation(home, names.GLOBAL) == "true"
    assert not await federation.exists(INGRESSES, "arm-lab", "not")
    await federation.home.delete(SERVICES, "web", federation.namespace)
    home = await until(federation, lambda i: i and not i["metadata"].get("finalizers"), resource=INGRESSES)
    assert annotation(home, names.GLOBAL) is None
    await until(federation, is_gone, "arm-lab", resource=INGRESSES)
