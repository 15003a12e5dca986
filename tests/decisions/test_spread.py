"""What a topology spread constraint of a proxy counts (rule C2)."""

import copy
from typing import Any

from federation import names
from federation.decisions.admission import admit
from federation.decisions.spread import is_counted, spread_labels
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.scheduling import SchedulingNode
from tests.decisions.pods import submitted

ZONE = "topology.kubernetes.io/zone"
EU = {"key": "region", "operator": "In", "values": ["eu"]}


def constrained(namespace: str = "ci", key: str = names.HOSTNAME, **constraints: Any) -> ProxyPod:
    """A proxy whose own scheduling is constrained."""
    source = submitted()
    source["metadata"]["namespace"] = namespace
    spread = {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    fragment = {"topologySpreadConstraints": [spread], **constraints}
    manifest = admit(source, saved="{}", finalizers=(), constraints=copy.deepcopy(fragment))
    manifest["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    made = parse_proxy(manifest)
    assert made is not None
    return made


def node(name: str, **labels: str) -> SchedulingNode:
    provider = {names.PROVIDER_KEY: names.PROVIDER}
    return SchedulingNode(name, provider | labels, (), False)


def labels_of(where: SchedulingNode, *proxies: ProxyPod, served: str = "ci") -> dict[str, str]:
    return spread_labels(where, lambda namespace: namespace == served, proxies, lambda p: (p.manifest or {})["spec"])


def test_C2_the_constraint_goes_by_a_label_of_its_own_and_ignores_the_tie() -> None:
    proxy = constrained()
    ((label, key),) = proxy.spread
    assert proxy.manifest is not None
    (constraint,) = proxy.manifest["spec"]["topologySpreadConstraints"]
    assert label.startswith(names.SPREAD_PREFIX)
    assert (constraint["topologyKey"], constraint["nodeAffinityPolicy"], key) == (label, "Ignore", names.HOSTNAME)
    assert constraint["maxSkew"] == 1


def test_C2_each_virtual_node_that_the_pod_may_go_to_is_a_domain() -> None:
    proxy = constrained()
    ((label, _),) = proxy.spread
    assert labels_of(node("a"), proxy) == {label: "a"}
    assert labels_of(node("a"), proxy, served="another") == {}, "a Target of another namespace is no domain"


def test_C2_zones_are_domains_where_the_nodes_have_them() -> None:
    proxy = constrained(key=ZONE)
    ((label, _),) = proxy.spread
    assert labels_of(node("a", **{ZONE: "z1"}), proxy) == {label: "z1"}
    assert labels_of(node("b"), proxy) == {}
    assert is_counted(proxy, node("b")), "without a zone there is nothing to wait for"


def test_C2_what_the_pod_itself_rules_out_is_no_domain() -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [EU]}]}}
    proxy = constrained(affinity={"nodeAffinity": required})
    assert labels_of(node("a", region="us"), proxy) == {}
    assert len(labels_of(node("b", region="eu"), proxy)) == 1
    assert proxy.spread != constrained().spread, "other constraints, another label"


def test_C2_a_node_is_counted_once_it_has_the_label() -> None:
    proxy = constrained()
    bare = node("a")
    assert not is_counted(proxy, bare)
    assert is_counted(proxy, node("a", **labels_of(bare, proxy)))


def test_C2_bound_proxies_keep_the_label_that_is_there() -> None:
    proxy = constrained()
    ((label, _),) = proxy.spread
    kept = spread_labels(node("a", **{label: "a"}), lambda _: True, [proxy], lambda _: None)
    assert kept == {label: "a"}
    assert spread_labels(node("a"), lambda _: True, [proxy], lambda _: None) == {}


def test_T8_only_labels_of_admissions_own_shape_are_counted() -> None:
    manifest = (constrained().manifest or {}) | {}
    for forged in (
        "kubernetes.io/role=type",
        f"{names.SPREAD_PREFIX}mine=type",
        f"{names.SPREAD_PREFIX}{'g' * 16}=type",
    ):
        annotations = manifest["metadata"]["annotations"] | {names.SPREAD: forged}
        made = parse_proxy(manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}})
        assert made is not None
        assert labels_of(node("a", type="virtual-kubelet"), made) == {}


def test_T8_a_bound_pod_keeps_no_label_where_its_namespace_is_not_served() -> None:
    proxy = constrained("another")
    ((label, _),) = proxy.spread
    assert spread_labels(node("a", **{label: "a"}), lambda n: n == "ci", [proxy], lambda _: None) == {}
