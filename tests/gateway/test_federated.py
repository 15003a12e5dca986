"""Logs and exec of a federated pod, by kubectl, through its virtual node, from the kubelet where it really runs."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import pytest

from federation.kube.resources import PODS
from federation.names import ELECT, USE_CONSTRAINTS_FROM_SPEC, virtual_node_name
from lab.engines.engine import kube_directory
from lab.running import RunningLab
from lab.waiting import until_object

Kubectl = Callable[..., Awaitable[tuple[int, str, str]]]
PROGRAM = 'echo "the word is $WORD"; while :; do sleep 1; done'


@pytest.fixture
def lab_kubectl(federation_lab: RunningLab) -> Kubectl:
    """Run kubectl as the administrator of the source."""
    if not (kube_directory() / "kubectl").exists():
        pytest.skip("no kubectl: run `make kube`")

    async def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            kube_directory() / "kubectl",
            *("--kubeconfig", str(federation_lab.kubeconfig()), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_kubectl_reaches_a_delegate_through_its_proxy(
    federation_lab: RunningLab, federated_namespace: str, lab_kubectl: Kubectl
) -> None:
    namespace, word = federated_namespace, secrets.token_hex(8)
    node = virtual_node_name(namespace, "arm-lab")
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", PROGRAM],
        "env": [{"name": "WORD", "value": word}],
        "resources": {"requests": {"cpu": "10m"}},
    }
    spec = {
        "containers": [container],
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "terminationGracePeriodSeconds": 0,
    }
    metadata = {"name": "far", "namespace": namespace, "annotations": {ELECT: "", USE_CONSTRAINTS_FROM_SPEC: ""}}
    home = federation_lab.api()
    await home.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await until_object(
        home,
        PODS,
        lambda pod: bool(pod["spec"].get("nodeName") == node and (pod["status"].get("phase")) == "Running"),
        namespace=namespace,
        what=f"proxy Running on {node}",
        seconds=60,
    )
    of_pod = ("--namespace", namespace, "far")
    assert await lab_kubectl("logs", *of_pod) == (0, f"the word is {word}\n", "")
    code, out, err = await lab_kubectl("exec", *of_pod, "--", "sh", "-c", "echo out $WORD; echo err >&2; exit 3")
    assert (code, out) == (3, f"out {word}\n"), err
    assert err.startswith("err\n")
    code, out, err = await lab_kubectl("exec", "-i", *of_pod, "--", "cat", stdin=b"there and back\n")
    assert (code, out) == (0, "there and back\n"), err
    code, out, _ = await lab_kubectl("get", "node", node)
    assert code == 0
    assert out.splitlines()[1].split()[1:3] == ["Ready", "cluster"]
    await home.delete(PODS, "far", namespace)
