"""A Target that cannot be used says why, and stays a Target: what runs behind it must not be taken for gone."""

from typing import Any

import pytest

from federation import names
from federation.model.target import Target, parse_target


def target(spec: object, *, namespace: str = "ci", **metadata: Any) -> Target:
    found = {"name": "arm", "uid": "u", **({"namespace": namespace} if namespace else {}), **metadata}
    return parse_target({"metadata": found, "spec": spec})


@pytest.mark.parametrize(
    ("secret", "namespace", "field"),
    [
        ({"name": "../../kube-system/secrets/key"}, "ci", "name"),
        ({"name": "a/b"}, "ci", "name"),
        ({}, "ci", "name"),
        ({"name": "good"}, "", "namespace"),
        ({"name": "good", "namespace": "../x"}, "", "namespace"),
        ({"name": "good", "namespace": None}, "", "namespace"),
    ],
)
def test_t2_a_secret_that_cannot_be_is_a_flaw_that_names_the_field(
    secret: dict[str, Any], namespace: str, field: str
) -> None:
    read = target({"kubeconfigSecret": secret}, namespace=namespace)
    assert read.flaw == f"spec.kubeconfigSecret.{field} must be a valid object name (a DNS-1123 subdomain)"
    assert read.secret_name == ""


@pytest.mark.parametrize(
    "spec",
    [
        [],
        "x",
        {"self": "yes"},
        {"kubeconfigSecret": "arm"},
        {"kubeconfigSecret": {"name": ["arm"]}},
        {"kubeconfigSecret": {"name": "arm"}, "weight": 10**9},
        {"kubeconfigSecret": {"name": "arm"}, "excludedLabelsRegexp": "a" * 5000},
    ],
)
def test_a_spec_of_another_shape_is_a_flaw_and_no_crash(spec: object) -> None:
    read = target(spec, finalizers=[names.TARGET_FINALIZER])
    assert read.flaw
    assert (read.is_held, read.is_self, read.node_name) == (True, False, "admiralty-ci-arm")


def test_a_good_one_has_no_flaw() -> None:
    assert target({"kubeconfigSecret": {"name": "arm"}}).flaw == ""
    assert target({"kubeconfigSecret": {"name": "arm", "namespace": "ns"}}, namespace="").secret_namespace == "ns"
    assert target({"self": True}).flaw == ""


@pytest.mark.parametrize(
    ("held", "namespace", "kept"),
    [
        ("ci/arm", "ci", "ci/arm"),
        ("kube-system/key", "ci", ""),  # only a ClusterTarget's Secret may be elsewhere
        ("kube-system/key", "", "kube-system/key"),
        ("ci/../kube-system", "ci", ""),
        ("ci/", "ci", ""),
        ("²", "ci", ""),
    ],
)
def test_t2_the_secret_on_record_is_one_that_can_be_ours(held: str, namespace: str, kept: str) -> None:
    assert target({"self": True}, namespace=namespace, annotations={names.HELD_SECRET: held}).held_secret == kept
