"""Which pods a node refuses."""

from typing import Any

import pytest

from lab.kubelet.fit import refusal, requests, selects

NODE: dict[str, Any] = {
    "metadata": {"name": "n", "labels": {"kubernetes.io/arch": "arm64", "size": "7"}},
    "spec": {"taints": [{"key": "gone", "effect": "NoExecute"}, {"key": "kept", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "2"}, "nodeInfo": {"operatingSystem": "linux"}},
}
TOLERATING = [{"key": "gone", "operator": "Exists"}]


def pod(cpu: str = "1", **spec: Any) -> dict[str, Any]:
    """A pod that asks for that much."""
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], "tolerations": TOLERATING, **spec}}


@pytest.mark.parametrize(
    ("manifest", "others", "reason"),
    [
        (pod(), [], None),
        (pod("2"), [], None),
        (pod("2001m"), [], "OutOfcpu"),
        (pod(), [pod("1500m")], "OutOfcpu"),
        (pod("0"), [pod("2")], None),
        (pod("0"), [pod("0"), pod("0")], "OutOfpods"),
        (pod(nodeSelector={"kubernetes.io/arch": "arm64"}), [], None),
        (pod(nodeSelector={"kubernetes.io/arch": "amd64"}), [], "NodeAffinity"),
        (pod(tolerations=[]), [], "TaintToleration"),
        (pod(os={"name": "windows"}), [], "PodOSNotSupported"),
    ],
)
def test_refusal(manifest: dict[str, Any], others: list[dict[str, Any]], reason: str | None) -> None:
    found = refusal(manifest, NODE, others)
    assert (found.reason if found else None) == reason


def test_the_message_has_the_figures() -> None:
    found = refusal(pod("1"), NODE, [pod("1500m")])
    assert found is not None
    assert found.message.endswith("resource: cpu, requested: 1000, used: 1500, capacity: 2000")


def test_requests_are_the_most_that_runs_at_once() -> None:
    def asking(cpu: str, **rest: str) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **rest}

    spec = {
        "initContainers": [asking("3"), asking("1", restartPolicy="Always"), asking("4")],
        "containers": [asking("2"), asking("500m")],
        "overhead": {"cpu": "100m"},
    }
    assert requests({"spec": spec})["cpu"] * 1000 == 5100  # the second init container beside the sidecar


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("In", "size", ["7", "8"], True),
        ("NotIn", "size", ["7"], False),
        ("NotIn", "none", ["7"], True),
        ("Exists", "size", [], True),
        ("DoesNotExist", "size", [], False),
        ("Gt", "size", ["6"], True),
        ("Lt", "size", ["6"], False),
        ("Gt", "none", ["6"], False),
    ],
)
def test_expressions(operator: str, key: str, values: list[str], expected: bool) -> None:
    term = {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}
    assert selects(term, NODE["metadata"]["labels"], "n") is expected


def test_an_empty_term_selects_nothing() -> None:
    assert not selects({}, {}, "n")
    assert selects({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}, {}, "n")
