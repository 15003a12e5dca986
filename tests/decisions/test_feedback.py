"""A proxy's status from its delegate's, and copies of what it refers to."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.decisions.feedback import ended_patch, proxy_status, status_patch
from federation.decisions.following import copy_of
from federation.decisions.patches import json_patch, merge_patch
from federation.model.references import Reference, references
from tests.decisions.pods import chaperon

LIVE = {
    "phase": "Pending",
    "qosClass": "Burstable",
    "conditions": [
        {"type": "PodScheduled", "status": "True"},
        {"type": "example.com/mine", "status": "True"},
        {"type": "Ready", "status": "True"},
    ],
}
DELEGATE = {
    "phase": "Running",
    "qosClass": "BestEffort",
    "observedGeneration": 4,
    "podIP": "10.0.0.1",
    "conditions": [{"type": "Ready", "status": "False", "observedGeneration": 4}, {"type": "target.dev/x"}],
    "containerStatuses": [{"name": "main"}, {"name": "injected"}],
}


def test_the_delegates_status_is_shown_but_for_what_is_the_sources_own() -> None:
    status = proxy_status(LIVE, DELEGATE, frozenset({"main"}))
    assert status == {
        "phase": "Running",
        "qosClass": "Burstable",
        "podIP": "10.0.0.1",
        "containerStatuses": [{"name": "main"}],
        "conditions": [
            {"type": "Ready", "status": "False"},
            {"type": "PodScheduled", "status": "True"},
            {"type": "example.com/mine", "status": "True"},
        ],
    }


def test_C3_a_second_look_finds_nothing_to_write() -> None:
    status = proxy_status(LIVE, DELEGATE, frozenset({"main"}))
    assert status_patch(status, DELEGATE, frozenset({"main"})) == {}
    flipped = status | {"conditions": [{"type": "Ready", "status": "True"}]}
    assert status_patch(flipped, DELEGATE, frozenset({"main"})) != {}


def test_C1_an_ended_proxy_is_failed_and_not_ready() -> None:
    patch = ended_patch(LIVE, "DelegateGone", "gone", "now", is_disruption=True)
    conditions = {c["type"]: c["status"] for c in patch["conditions"]}
    assert patch["phase"] == "Failed"
    assert conditions["DisruptionTarget"] == "True"
    assert conditions["Ready"] == conditions["ContainersReady"] == "False"
    assert conditions["example.com/mine"] == "True"


def test_what_a_pod_refers_to() -> None:
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "a",
                "envFrom": [{"configMapRef": {"name": "c1"}}, {"secretRef": {"name": "s1"}}],
                "env": [
                    {"name": "X", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}},
                    {"name": "Y", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
            }
        ],
        "initContainers": [{"name": "i", "env": [{"name": "Z", "valueFrom": {"configMapKeyRef": {"name": "c2"}}}]}],
        "imagePullSecrets": [{"name": "s3"}],
        "volumes": [
            {"name": "v1", "configMap": {"name": "c3"}},
            {"name": "v2", "secret": {"secretName": "s4"}},
            {
                "name": "v3",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "kube-root-ca.crt"}},
                        {"secret": {"name": "s5"}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]
                },
            },
        ],
    }
    expected = {Reference("ConfigMap", n) for n in ("c1", "c2", "c3")}
    assert set(references(spec)) == expected | {Reference("Secret", f"s{i}") for i in range(1, 6)}


def test_a_copy_belongs_to_the_chaperons_that_need_it() -> None:
    original = {"kind": "Secret", "metadata": {"name": "s", "namespace": "ci", "uid": "o"}, "data": {"k": "dg=="}}
    copy = copy_of(original, [chaperon()], None)
    assert copy is not None
    assert [owner["uid"] for owner in copy["metadata"]["ownerReferences"]] == [chaperon().uid]
    stored = {**copy, "metadata": copy["metadata"] | {"resourceVersion": "5"}}
    assert copy_of(original, [chaperon()], stored) is None, "nothing to write"
    second = copy_of(original, [chaperon(uid="another")], stored)
    assert second is not None
    assert len(second["metadata"]["ownerReferences"]) == 2
    assert second["metadata"]["resourceVersion"] == "5"


def test_the_targets_own_object_of_that_name_is_left_alone() -> None:
    original = {"kind": "Secret", "metadata": {"name": "s", "namespace": "ci", "uid": "o"}, "data": {}}
    metadata: dict[str, Any] = {"name": "s", "namespace": "ci", "uid": "t", "resourceVersion": "1"}
    foreign: dict[str, Any] = {"kind": "Secret", "metadata": metadata}
    mine = chaperon()
    assert mine.parent_cluster_name == ""
    labelled = metadata | {"labels": {names.PARENT_CLUSTER_NAME: "another-source"}}
    assert copy_of(original, [mine], {**foreign, "metadata": labelled}) is None
    assert copy_of(original, [mine], foreign) is None


leaves = st.sampled_from([0, 1, "x", "", [], [1]])
keys = st.sampled_from(["a", "b", "a/b", "~"])
objects = st.dictionaries(keys, leaves | st.dictionaries(keys, leaves | st.dictionaries(keys, leaves)))


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7386's own algorithm."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


@given(objects, objects)
def test_a_merge_patch_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert _merge(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}


@given(objects)
def test_a_json_patch_of_equals_is_empty(document: dict[str, Any]) -> None:
    assert json_patch(document, document) == []
