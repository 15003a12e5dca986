"""Admission and its inverse."""

import copy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.admission.review import proxy_of
from federation.decisions.admission import admit, loosened, restore, tightened_affinity
from federation.decisions.candidate import chaperon_for, pod_of
from federation.decisions.eligibility import obstacle
from federation.model.pod import pinned_nodes
from federation.model.scheduling import SchedulingNode
from tests.decisions.pods import UID, submitted

FINALIZERS = [names.PREFIX + "ci-arm"]


def admitted(pod: dict[str, Any]) -> dict[str, Any]:
    """The proxy as the API server would store it."""
    proxy = proxy_of(copy.deepcopy(pod), FINALIZERS)
    proxy["metadata"]["uid"] = UID
    return proxy


def candidate(proxy: dict[str, Any]) -> dict[str, Any]:
    """The chaperon's pod spec."""
    source = orjson.loads(proxy["metadata"]["annotations"][names.SOURCE_POD_MANIFEST])
    made = chaperon_for(proxy, source, None, cluster_name="home", target="ci-arm", is_kept_label=lambda _: False)
    spec: dict[str, Any] = made["spec"]
    return spec


def test_S6_waiting_is_the_default() -> None:
    tolerations = admitted(submitted())["spec"]["tolerations"]
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        mine = [toleration for toleration in tolerations if toleration.get("key") == key]
        assert mine == [{"key": key, "operator": "Exists", "effect": "NoExecute"}]


def test_S6_the_users_own_eviction_times_stay_in_the_delegate() -> None:
    toleration = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 30,
    }
    pod = submitted(tolerations=[toleration])
    pod["metadata"]["annotations"][names.USE_CONSTRAINTS_FROM_SPEC] = ""
    proxy = admitted(pod)
    assert toleration not in proxy["spec"]["tolerations"]
    del pod["metadata"]["annotations"][names.USE_CONSTRAINTS_FROM_SPEC]
    assert toleration in candidate(admitted(pod))["tolerations"]


def test_M5_what_no_virtual_node_has_is_taken_off_and_put_back() -> None:
    pod = submitted(
        hostNetwork=True,
        runtimeClassName="gvisor",
        resourceClaims=[{"name": "gpu", "resourceClaimName": "g"}],
        containers=[
            {
                "name": "main",
                "image": "busybox",
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "resources": {"claims": [{"name": "gpu"}]},
            }
        ],
        volumes=[
            {"name": "data", "persistentVolumeClaim": {"claimName": "only-there"}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"name": "settings", "configMap": {"name": "settings"}},
        ],
    )
    spec = admitted(pod)["spec"]
    assert not {"hostNetwork", "runtimeClassName", "resourceClaims"} & set(spec)
    assert spec["containers"][0]["ports"] == [{"containerPort": 80}]
    assert "resources" not in spec["containers"][0]
    assert spec["volumes"][:2] == [{"name": "data", "emptyDir": {}}, {"name": "scratch", "emptyDir": {}}]
    again = candidate(admitted(pod))
    for key in ("hostNetwork", "runtimeClassName", "resourceClaims", "containers", "volumes"):
        assert again[key] == pod["spec"][key]


def test_M6_later_additions_reach_the_target() -> None:
    proxy = admitted(submitted(nodeSelector={"disk": "ssd"}))
    proxy["spec"]["containers"].append({"name": "sidecar", "image": "proxy:1"})
    proxy["spec"]["containers"][0]["image"] = "busybox:patched"
    proxy["spec"]["nodeSelector"]["flavor"] = "spot"
    proxy["spec"]["tolerations"].append({"key": "spot", "operator": "Exists"})
    spec = candidate(proxy)
    assert [c["name"] for c in spec["containers"]] == ["main", "sidecar"]
    assert spec["containers"][0]["image"] == "busybox:patched"
    assert spec["nodeSelector"] == {"disk": "ssd", "flavor": "spot"}
    assert spec["tolerations"] == [{"key": "spot", "operator": "Exists"}]


def test_constraints_for_the_proxy_do_not_reach_the_target() -> None:
    pod = submitted(nodeSelector={"kubernetes.io/arch": "arm64"})
    pod["metadata"]["annotations"][names.PROXY_CONSTRAINTS] = "nodeSelector: {region: eu}\ntolerations: [{key: far}]\n"
    proxy = admitted(pod)
    assert proxy["spec"]["nodeSelector"] == {names.PROVIDER_KEY: names.PROVIDER, "region": "eu"}
    source = orjson.loads(proxy["metadata"]["annotations"][names.SOURCE_POD_MANIFEST])
    constraints = {"nodeSelector": {"region": "eu"}, "tolerations": [{"key": "far"}]}
    made = chaperon_for(proxy, source, constraints, cluster_name="home", target="ci-arm", is_kept_label=lambda _: False)
    assert made["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert "tolerations" not in made["spec"]


def test_unknown_fields_pass_through() -> None:
    pod = submitted(fieldOfTheFuture={"a": 1})
    pod["spec"]["containers"][0]["another"] = [1, 2]
    spec = candidate(admitted(pod))
    assert spec["fieldOfTheFuture"] == {"a": 1}
    assert spec["containers"][0]["another"] == [1, 2]


def test_C4_a_candidate_carries_nothing_that_binds_it_to_the_source() -> None:
    pod = submitted()
    pod["metadata"] |= {"ownerReferences": [{"kind": "Job"}], "finalizers": ["batch.kubernetes.io/job-tracking"]}
    proxy = admitted(pod)
    proxy["spec"]["nodeName"] = "admiralty-ci-arm"
    source = orjson.loads(proxy["metadata"]["annotations"][names.SOURCE_POD_MANIFEST])
    made = chaperon_for(proxy, source, None, cluster_name="home", target="ci-arm", is_kept_label=lambda _: False)
    delegate = pod_of({**made, "metadata": made["metadata"] | {"uid": "chaperon-uid"}}, lambda _: False)
    assert not {"ownerReferences", "finalizers"} & made["metadata"].keys(), "an owner that is not there would end it"
    assert "nodeName" not in delegate["spec"]
    assert [owner["kind"] for owner in delegate["metadata"]["ownerReferences"]] == ["PodChaperon"]
    assert names.ELECT not in delegate["metadata"]["annotations"]
    assert delegate["metadata"]["labels"][names.PREFIX + "app"] == "job"
    assert delegate["spec"]["schedulerName"] == "admiralty-candidate"


def test_a_pod_with_a_preset_node_is_not_gated() -> None:
    assert "schedulingGates" not in admitted(submitted(nodeName="admiralty-ci-arm"))["spec"]


def test_tightening_narrows_every_term_and_makes_one_where_there_is_none() -> None:
    assert pinned_nodes({"affinity": tightened_affinity({}, ["b", "a"])}) == {"a", "b"}
    term = {"matchExpressions": [{"key": "region", "operator": "In", "values": ["eu"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term, term]}}
    affinity = tightened_affinity({"affinity": {"nodeAffinity": required}}, ["a"])
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [len(t["matchExpressions"]) for t in terms] == [2, 2]
    assert len(term["matchExpressions"]) == 1, "the input is not changed"


def test_without_reservation_other_namespaces_targets_are_ruled_out() -> None:
    pod = submitted()
    pod["metadata"]["annotations"][names.NO_RESERVATION] = ""
    spec = admitted(pod)["spec"]
    node: dict[str, Any] = {"name": "n", "taints": (), "is_unschedulable": False}
    for namespace, fits in (("ci", True), ("other", False), (None, True)):
        labels = {names.PROVIDER_KEY: names.PROVIDER} | ({names.TARGET_NAMESPACE: namespace} if namespace else {})
        assert (obstacle(spec, SchedulingNode(labels=labels, **node)) == "") == fits
    assert "schedulingGates" not in spec
    assert "affinity" not in candidate(admitted(pod))


def test_M1_what_tightening_added_can_be_taken_off_again() -> None:
    term = {"matchExpressions": [{"key": "region", "operator": "In", "values": ["eu"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    affinities: list[dict[str, Any]] = [{}, {"nodeAffinity": required}]
    for affinity in affinities:
        spec = {"affinity": tightened_affinity({"affinity": affinity}, ["a"])}
        assert (loosened(spec)["affinity"].get("nodeAffinity") or {}) == (affinity.get("nodeAffinity") or {})
    assert loosened({"affinity": {"nodeAffinity": required}}) == {"affinity": {"nodeAffinity": required}}


labels = st.dictionaries(st.sampled_from(["a", "b", "kubernetes.io/arch"]), st.sampled_from(["x", "y"]))
specs = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": labels,
        "tolerations": st.lists(st.sampled_from([{"key": "gpu"}, {"key": "spot", "operator": "Exists"}]), max_size=2),
        "hostNetwork": st.just(True),
        "runtimeClassName": st.just("gvisor"),
        "topologySpreadConstraints": st.just([{"maxSkew": 1}]),
        "terminationGracePeriodSeconds": st.integers(1, 60),
        "volumes": st.lists(
            st.sampled_from(
                [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "w", "emptyDir": {}}]
            ),
            max_size=2,
            unique_by=lambda volume: str(volume["name"]),
        ),
        "schedulingGates": st.just([{"name": "other"}]),
        "affinity": st.just({"podAffinity": {}}),
    },
)


@given(specs)
def test_calling_the_webhook_again_changes_nothing(spec: dict[str, Any]) -> None:
    once = proxy_of(submitted(**{key: value for key, value in spec.items() if value}), FINALIZERS)
    twice = proxy_of(copy.deepcopy(once), FINALIZERS)
    saved = [orjson.loads(p["metadata"]["annotations"].pop(names.SOURCE_POD_MANIFEST)) for p in (once, twice)]
    assert once == twice
    assert saved[0] == saved[1]


@given(specs)
def test_restoring_gives_back_what_was_submitted(spec: dict[str, Any]) -> None:
    pod = submitted(**{key: value for key, value in spec.items() if value})
    proxy = admit(copy.deepcopy(pod), saved="", finalizers=(), constraints=None)
    assert restore(proxy, pod, None)["spec"] == pod["spec"]


def forged() -> dict[str, Any]:
    """An elected pod whose user speaks in our name, wherever that might help."""
    pod = submitted()
    pod["metadata"]["annotations"] |= {
        names.SPREAD: "kubernetes.io/role=type",
        names.ASKING: "all",
        names.UNGATED_AT: "2026-11-23T12:00:00Z",
        names.RESERVATIONS: "admiralty-ci-arm=u",
        names.SUBMITTED_BY: '{"user": "root"}',
        names.IS_ALLOWED: "true",
        names.OURS + "what-comes-next": "x",
        names.ASK: "one",
        "example.com/kept": "mine",
    }
    pod["metadata"]["finalizers"] = [names.PREFIX + "stays-for-ever", names.TARGET_FINALIZER, "example.com/mine"]
    pod["metadata"]["labels"] |= {names.HAS_FINALIZER: "no", names.PARENT_UID: "another", names.TARGET: "another"}
    return pod


def test_T8_what_only_the_agent_may_say_a_user_cannot() -> None:
    metadata = admitted(forged())["metadata"]
    written = {names.ELECT: "", names.ASK: "one", "example.com/kept": "mine", names.ASKING: "one"}
    assert metadata["annotations"] == written | {
        names.SOURCE_POD_MANIFEST: metadata["annotations"][names.SOURCE_POD_MANIFEST]
    }
    assert metadata["finalizers"] == ["example.com/mine", *FINALIZERS]
    assert metadata["labels"] == {"app": "job", names.HAS_FINALIZER: "true"}
    kept = orjson.loads(metadata["annotations"][names.SOURCE_POD_MANIFEST])["metadata"]
    assert names.SPREAD not in kept["annotations"], "nor does it come back with the pod as submitted"


def test_T8_called_again_admission_computes_its_values_anew() -> None:
    proxy = proxy_of(submitted(), FINALIZERS)
    expected = copy.deepcopy(proxy)
    proxy["metadata"]["annotations"] |= {names.ASKING: "all", names.SPREAD: "kubernetes.io/role=type"}
    assert proxy_of(proxy, FINALIZERS) == expected
