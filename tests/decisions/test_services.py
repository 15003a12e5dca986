"""Services that follow: selectors there and back, and what a copy looks like."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.decisions import ingresses
from federation.decisions.services import (
    copy_of,
    format_selector,
    leads_to_pods,
    must_be_made_anew,
    original_selector,
    parse_selector,
    rerouting,
    selects,
    undoing,
)
from federation.model.copied import Original, parse_copy, parse_original
from lab.api_server.core.json_patch import merge_patch
from lab.api_server.core.manifest import clone

Manifest = dict[str, Any]
M = names.PREFIX


def nothing(_: str) -> bool:
    return False


def service(selector: dict[str, str] | None = None, **spec: Any) -> Original:
    """A Service as an API server shows it."""
    spec = {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]} | spec
    spec |= {"selector": {"app": "web"} if selector is None else selector, "ports": [{"port": 80, "protocol": "TCP"}]}
    metadata = {"name": "s", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"}}
    return parsed({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def parsed(manifest: Manifest) -> Original:
    found = parse_original(manifest)
    assert found is not None
    return found


def after(original: Original, patch: Manifest) -> Original:
    """What an API server makes of a merge patch."""
    return parsed(merge_patch(clone(original.manifest), patch))


def with_selector(original: Original, selector: dict[str, str]) -> Original:
    return parsed({**original.manifest, "spec": {**original.manifest["spec"], "selector": selector}})


# Keys whose names differ, so that no two of them become one (which is a limit of the label rule).
SELECTORS = st.dictionaries(
    st.sampled_from(["a", "ex.io/b", "c", "app.kubernetes.io/name", M + "d"]), st.sampled_from(["", "x", "y-1"])
)
RULES = st.sampled_from([nothing, lambda _: True, lambda label: label.startswith("a="), lambda label: "x" in label])


@given(SELECTORS.filter(bool), RULES, RULES)
def test_rerouting_settles_and_undoing_gives_the_selector_back(selector: dict[str, str], kept: Any, later: Any) -> None:
    first = service(selector)
    rerouted = after(first, rerouting(first, kept))
    assert rerouting(rerouted, kept) == {}
    assert original_selector(rerouted) == selector
    assert rerouted.manifest["spec"]["selector"] == names.delegate_labels(selector, kept)
    changed_rule = after(rerouted, rerouting(rerouted, later))
    assert original_selector(changed_rule) == selector, "another rule for labels is no other selector"
    for one in (rerouted, changed_rule):
        undone = after(one, undoing(one))
        assert undone.manifest["spec"] == first.manifest["spec"]
        assert undone.annotations == first.annotations
        assert undoing(undone) == {}


@given(SELECTORS.filter(bool))
def test_a_selector_is_written_and_read(selector: dict[str, str]) -> None:
    assert parse_selector(format_selector(selector)) == selector


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({M + "app": "web"}, {"app": "web"}),  # as we left it
        ({M + "app": "web", "app": "web"}, {"app": "web"}),  # applied again
        ({M + "app": "web", "app": "next"}, {"app": "next"}),  # applied again, changed
        ({M + "app": "web", "app": "web", "tier": "x"}, {"app": "web", "tier": "x"}),
        ({"app": "next"}, {"app": "next"}),  # replaced whole
        ({M + "app": "edited"}, {"app": "web"}),  # edited under our prefix: put right
        ({}, {}),  # taken away: nothing to follow
    ],
)
def test_what_a_user_wants(live: dict[str, str], expected: dict[str, str]) -> None:
    rerouted = after(service(), rerouting(service(), nothing))
    assert original_selector(with_selector(rerouted, live)) == expected


def test_fewer_keys_applied_again_are_the_new_original() -> None:
    first = service({"app": "web", "tier": "x"})
    rerouted = after(first, rerouting(first, nothing))
    live = with_selector(rerouted, {M + "app": "web", M + "tier": "x", "app": "web"})
    assert original_selector(live) == {"app": "web"}


@pytest.mark.parametrize("text", ["", "app", "=x", "app=web,", "a,b=c"])
def test_an_annotation_that_we_never_wrote_counts_as_none(text: str) -> None:
    assert parse_selector(text) == {}


def test_an_empty_selector_selects_nothing() -> None:
    assert not selects({}, {"app": "web"})
    assert selects({"app": "web"}, {"app": "web", "more": "1"})
    assert not selects({"app": "web", "x": "y"}, {"app": "web"})


def test_a_service_that_was_never_rerouted_is_not_undone() -> None:
    own = service()
    own.manifest["metadata"]["annotations"] = {names.GLOBAL: "true", names.CILIUM_GLOBAL: "true"}
    assert undoing(own) == {}


def stored(copy: Manifest | None, **spec: Any) -> Any:
    """The copy as a target's API server keeps it."""
    assert copy is not None
    metadata = {**copy["metadata"], "uid": "v", "resourceVersion": "9"}
    return parse_copy({**copy, "metadata": metadata, "spec": {**copy["spec"], **spec}})


def test_a_copy_has_nothing_that_only_the_source_has() -> None:
    original = service(
        type="LoadBalancer", externalIPs=["192.0.2.1"], loadBalancerIP="192.0.2.2", healthCheckNodePort=30001
    )
    original.manifest["spec"]["ports"][0]["nodePort"] = 30000
    original.manifest["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "a": "b",
        "dns/host": "x",
    }
    original.manifest["metadata"]["annotations"] |= {names.CILIUM_GLOBAL: "true", names.SPREAD: "x"}
    copy = copy_of(original, "home", None, lambda key: key == "a")
    assert copy is not None
    assert copy["spec"] == {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP"}],
    }
    assert copy["metadata"]["labels"] == {"l": "1", names.PARENT_UID: "u", names.PARENT_CLUSTER_NAME: "home"}
    assert copy["metadata"]["annotations"] == {
        "a": "b",
        names.CILIUM_GLOBAL: "true",
        names.IS_DELEGATE: "",
        names.PARENT_NAMESPACE: "ns",
        names.PARENT_NAME: "s",
    }


def test_what_the_target_added_stays() -> None:
    original = service()
    known = stored(copy_of(original, "home", None), clusterIP="10.9.9.9", clusterIPs=["10.9.9.9"], ipFamilies=["IPv6"])
    known.manifest["metadata"]["annotations"]["cloud.example/id"] = "7"
    known.manifest["metadata"]["finalizers"] = ["service.kubernetes.io/load-balancer-cleanup"]
    assert copy_of(original, "home", known) is None
    changed = copy_of(with_selector(original, {"app": "next"}), "home", known)
    assert changed is not None
    assert changed["spec"]["clusterIP"] == "10.9.9.9"
    assert changed["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]
    assert changed["metadata"]["annotations"]["cloud.example/id"] == "7"
    assert changed["metadata"]["resourceVersion"] == "9"


def test_a_copy_of_an_earlier_service_of_that_name_is_taken_over() -> None:
    known = stored(copy_of(service(), "home", None))
    known.manifest["metadata"]["labels"][names.PARENT_UID] = "an earlier one"
    taken = copy_of(service(), "home", known)
    assert taken is not None
    assert taken["metadata"]["labels"][names.PARENT_UID] == "u"


def test_headless_is_for_life() -> None:
    known = stored(copy_of(service(), "home", None), clusterIP="10.9.9.9", clusterIPs=["10.9.9.9"])
    assert must_be_made_anew(service(clusterIP="None", clusterIPs=["None"]), known)
    assert not must_be_made_anew(service(), known)


def test_t3_a_name_for_another_host_has_no_pods_to_follow() -> None:
    assert leads_to_pods(service())
    assert leads_to_pods(service(type="NodePort"))
    assert not leads_to_pods(service(type="ExternalName", externalName="example.com"))


def ingress(*rules: Manifest, **more: Any) -> Original:
    metadata = {"name": "i", "namespace": "ns", "uid": "u", "resourceVersion": "7"}
    return parsed({"metadata": metadata, "spec": {"rules": list(rules), **more}})


def test_backends_of_an_ingress() -> None:
    path = {"backend": {"service": {"name": "a"}}}
    other = {"backend": {"resource": {"kind": "Bucket", "name": "b"}}}
    found = ingress({"http": {"paths": [path, other]}}, {"host": "x"}, defaultBackend={"service": {"name": "c"}})
    assert ingresses.backends(found.manifest) == {"a", "c"}
    assert ingresses.backends({"spec": {}}) == set()


def test_an_ingress_is_marked_once_and_keeps_the_targets_class() -> None:
    original = ingress()
    marked = after(original, ingresses.marking(original))
    assert ingresses.marking(marked) == {}
    assert ingresses.unmarking(marked) == {}, "the annotation is the user's own while nothing of ours is there"
    known = stored(ingresses.copy_of(marked, "home", None), ingressClassName="nginx")
    assert ingresses.copy_of(marked, "home", known) is None
