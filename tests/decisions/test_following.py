"""Which ConfigMaps and Secrets a pod refers to, which of them it needs, and what stands for one that is not at home."""

from typing import Any

import pytest

from federation import names
from federation.decisions.following import placeholder, waiting_message
from federation.model.references import Reference, references, required

KEY, SETTINGS = Reference("Secret", "key"), Reference("ConfigMap", "settings")


def env(**source: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "env": [{"name": "E", "valueFrom": source}]}]}


def volume(**source: Any) -> dict[str, Any]:
    return {"containers": [], "volumes": [{"name": "v", **source}]}


@pytest.mark.parametrize("optional", [{}, {"optional": False}, {"optional": True}])
@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        (lambda o: env(secretKeyRef={"name": "key", "key": "k", **o}), KEY),
        (lambda o: env(configMapKeyRef={"name": "settings", "key": "k", **o}), SETTINGS),
        (lambda o: {"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "key", **o}}]}]}, KEY),
        (lambda o: volume(secret={"secretName": "key", **o}), KEY),
        (lambda o: volume(configMap={"name": "settings", **o}), SETTINGS),
        (lambda o: volume(projected={"sources": [{"secret": {"name": "key", **o}}]}), KEY),
    ],
)
def test_t6_what_is_not_called_optional_is_required(spec: Any, reference: Reference, optional: dict[str, bool]) -> None:
    assert references(spec(optional)) == (reference,)
    assert required(spec(optional)) == (frozenset() if optional.get("optional") else {reference})


def test_t6_optional_in_one_place_and_not_in_another_is_required() -> None:
    both = env(secretKeyRef={"name": "key", "optional": True}) | {
        "volumes": [{"name": "v", "secret": {"secretName": "key"}}]
    }
    assert required(both) == {KEY}


def test_a_pod_starts_without_its_pull_secrets() -> None:
    spec = {"containers": [], "imagePullSecrets": [{"name": "key"}]}
    assert references(spec) == (KEY,)
    assert required(spec) == frozenset()


@pytest.mark.parametrize(
    "source",
    [
        {"csi": {"driver": "d", "nodePublishSecretRef": {"name": "key"}}},
        {"iscsi": {"secretRef": {"name": "key"}}},
        {"flexVolume": {"driver": "d", "secretRef": {"name": "key"}}},
        {"azureFile": {"secretName": "key"}},
    ],
)
def test_t6_secrets_that_mount_volumes_count(source: dict[str, Any]) -> None:
    assert required(volume(**source)) == {KEY}


def test_t6_a_placeholder_is_empty_but_leaves_a_copy_that_is_there_as_it_is() -> None:
    assert placeholder(KEY, "ns") == {
        "kind": "Secret",
        "metadata": {"name": "key", "namespace": "ns", "uid": ""},
        "type": "Opaque",
    }
    existing = {"metadata": {"labels": {names.PARENT_UID: "u"}}, "data": {"k": "v"}, "type": "t"}
    kept = placeholder(KEY, "ns", existing)
    assert (kept["metadata"]["uid"], kept["data"], kept["type"]) == ("u", {"k": "v"}, "t")


def test_t6_it_is_said_what_is_missing_where_and_what_to_do() -> None:
    assert waiting_message("arm", [], []) == ""
    said = waiting_message("arm", [KEY], [SETTINGS])
    assert "Secret key not found" in said
    assert "arm has ConfigMap settings of its own" in said
    assert names.SHARED in said
