"""A lab with its federation: what is annotated at home runs elsewhere, and is seen at home."""

from typing import Any

from federation.kube.resources import NODES, PODS
from lab.running import RunningLab
from lab.status import status
from lab.waiting import until_object


def pod(name: str, command: str, *, arch: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {"multicluster.admiralty.io/elect": ""}},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/arch": arch},
            "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", command]}],
        },
    }


def test_every_cluster_has_its_agent_and_every_target_its_scheduler(federation_lab: RunningLab) -> None:
    agents = status(federation_lab.directory)["agents"]
    for cluster in federation_lab.apis:
        roles = {agent["role"] for agent in agents if agent["cluster"] == cluster and agent["alive"]}
        assert roles == {"agent", "extender", "candidate-scheduler"}


async def test_the_source_has_a_virtual_node_for_each_cluster(federation_lab: RunningLab) -> None:
    nodes = (await federation_lab.api().list(NODES, label_selector="virtual-kubelet.io/provider=admiralty")).items
    assert {node["metadata"]["name"] for node in nodes} >= {"admiralty-default-home"}
    assert len([node for node in nodes if "default" in node["metadata"]["name"]]) == 3


async def test_an_elected_pod_runs_where_its_hardware_is(federation_lab: RunningLab, federated_namespace: str) -> None:
    home = federation_lab.api()
    await home.create(PODS, pod("hello", "echo hello from the other side", arch="arm64"), federated_namespace)
    await until_object(
        home,
        PODS,
        lambda found: bool(found["metadata"]["name"] == "hello" and found["status"].get("phase") == "Succeeded"),
        namespace=federated_namespace,
        what="proxy pod hello Succeeded",
        seconds=60,
    )
    (delegate,) = (await federation_lab.api("arm-lab").list(PODS, federated_namespace)).items
    assert delegate["spec"]["nodeName"] == "arm-lab-linux-arm64"
    answer = await home.request("GET", PODS.path(federated_namespace, "hello", "log"))
    assert answer.body == b"hello from the other side\n"
