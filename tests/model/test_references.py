"""T2, a name is checked before it is part of a URL: a user's pod names only what an object can be called."""

from typing import Any

import pytest

from federation.model.references import Reference, impossible_references, references

OUTSIDE = "../../kube-system/secrets/bootstrap"


def containers(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c"}, {"name": "d", **fields}]}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"volumes": [{"name": "v", "secret": {"secretName": OUTSIDE}}]}, "spec.volumes[0].secret.secretName"),
        ({"volumes": [{"name": "v", "configMap": {"name": OUTSIDE}}]}, "spec.volumes[0].configMap.name"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": OUTSIDE}}]}}]},
            "spec.volumes[0].projected.sources[0].secret.name",
        ),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{}, {"configMap": {"name": OUTSIDE}}]}}]},
            "spec.volumes[0].projected.sources[1].configMap.name",
        ),
        ({"volumes": [{"name": "v", "azureFile": {"secretName": OUTSIDE}}]}, "spec.volumes[0].azureFile.secretName"),
        (
            {"volumes": [{"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": OUTSIDE}}}]},
            "spec.volumes[0].csi.nodePublishSecretRef.name",
        ),
        (
            {"volumes": [{"name": "v", "rbd": {"secretRef": {"name": OUTSIDE}, "image": 7}, "x": {"secretRef": 7}}]},
            "spec.volumes[0].rbd.secretRef.name",
        ),
        ({"imagePullSecrets": [{"name": OUTSIDE}]}, "spec.imagePullSecrets[0].name"),
        (containers(envFrom=[{"secretRef": {"name": OUTSIDE}}]), "spec.containers[1].envFrom[0].secretRef.name"),
        (containers(envFrom=[{"configMapRef": {"name": OUTSIDE}}]), "spec.containers[1].envFrom[0].configMapRef.name"),
        (
            containers(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": OUTSIDE, "key": "k"}}}]),
            "spec.containers[1].env[0].valueFrom.secretKeyRef.name",
        ),
        (
            {"initContainers": [{"name": "i", "env": [{"valueFrom": {"configMapKeyRef": {"name": "A_b"}}}]}]},
            "spec.initContainers[0].env[0].valueFrom.configMapKeyRef.name",
        ),
    ],
)
def test_t2_a_name_that_no_object_has_refers_to_nothing_and_is_named(spec: dict[str, Any], field: str) -> None:
    assert references(spec) == ()
    assert impossible_references(spec) == [field]


def test_names_that_objects_have_are_found_once_each() -> None:
    spec = {
        "volumes": [
            {"name": "a", "secret": {"secretName": "key.one"}},
            {"name": "b", "configMap": {"name": "kube-root-ca.crt"}},
            {"name": "c", "emptyDir": {}},
        ],
        "imagePullSecrets": [{"name": "key.one"}, {}],
        **containers(envFrom=[{"configMapRef": {"name": "settings"}}], env=[{"name": "A", "value": "b"}]),
    }
    assert references(spec) == (Reference("ConfigMap", "settings"), Reference("Secret", "key.one"))
    assert impossible_references(spec) == []
