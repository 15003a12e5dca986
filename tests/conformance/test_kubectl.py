"""Stock kubectl's everyday commands, printed the same by both API servers."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from lab.engines.engine import kube_directory
from tests.conformance.conftest import Server

Kubectl = Callable[..., Awaitable[str]]


@pytest.fixture
def kubectl(server: Server, home: str) -> Kubectl:
    """Run kubectl as administrator in the test's namespace; returns what it printed on both streams."""
    program = kube_directory() / "kubectl"
    if not program.exists():
        pytest.skip("no kubectl: run `make kube`")

    async def run(*arguments: str, text: str = "", fails: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            program,
            *("--kubeconfig", str(server.site.admin_kubeconfig), "-n", home.rsplit("/", 1)[1]),
            *("--cache-dir", str(server.site.directory / "kubectl-cache")),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate(text.encode())
        assert bool(process.returncode) is fails, out.decode()
        return out.decode()

    return run


async def test_create_and_get(kubectl: Kubectl) -> None:
    made = [
        ("configmap", "c", "--from-literal=a=b"),
        ("secret", "generic", "s", "--from-literal=a=b"),
        ("deployment", "d", "--image=b", "--replicas=0"),
        ("job", "j", "--image=b", "--", "echo", "hi"),
        ("role", "r", "--verb=get", "--resource=pods"),
        ("rolebinding", "rb", "--role=r", "--user=u"),
        ("quota", "q", "--hard=cpu=1"),
        ("service", "clusterip", "sv", "--tcp=80:80"),
        ("serviceaccount", "sa"),
    ]
    for arguments in made:
        assert (await kubectl("create", *arguments)).endswith(" created\n")
    assert len((await kubectl("create", "token", "sa")).split(".")) == 3
    assert re.search(r"deployment.apps/d +0/0 +0 +0", await kubectl("get", "all"))
    assert await kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.replicas}{'\\n'}") == "0\n"
    assert await kubectl("scale", "deploy", "d", "--replicas=3") == "deployment.apps/d scaled\n"
    assert await kubectl("set", "image", "deploy/d", "b=c:2") == "deployment.apps/d image updated\n"
    assert await kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[*].image}") == "c:2"
    again = await kubectl("create", "configmap", "c", fails=True)
    assert again == 'error: failed to create configmap: configmaps "c" already exists\n'


async def test_apply_twice_and_delete(kubectl: Kubectl) -> None:
    text = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {a: b, gone: later}}
spec:
  containers: [{name: c, image: "b:1"}]
"""
    assert await kubectl("apply", "-f", "-", text=text) == "pod/p created\n"
    assert await kubectl("apply", "-f", "-", text=text) == "pod/p unchanged\n"
    changed = text.replace(", gone: later", "").replace("b:1", "b:2")
    assert await kubectl("apply", "-f", "-", text=changed) == "pod/p configured\n"
    assert (
        await kubectl("get", "pod", "p", "-o", "jsonpath={.metadata.labels} {.spec.containers[0].image}")
        == '{"a":"b"} b:2'
    )
    assert await kubectl("label", "pod", "p", "x=y") == "pod/p labeled\n"
    assert await kubectl("annotate", "pod", "p", "x=y") == "pod/p annotated\n"
    wide = await kubectl("get", "pods", "-o", "wide", "-l", "x=y")
    assert re.fullmatch(
        r"NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n"
        r"p +0/1 +Pending +0 +\S+ +<none> +<none> +<none> +<none>\n",
        wide,
    )
    assert "deleted" in await kubectl("delete", "pod", "p")
    missing = await kubectl("get", "pod", "p", fails=True)
    assert missing == 'Error from server (NotFound): pods "p" not found\n'


async def test_who_may_what(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "list", "pods") == "yes\n"
    assert "system:masters" in await kubectl("auth", "whoami")
    assert "v1.37" in await kubectl("version")
    assert "pods" in await kubectl("api-resources", "--api-group=", "-o", "name")
    assert (
        await kubectl("wait", "--for=jsonpath={.status.phase}=Active", "ns/default")
        == "namespace/default condition met\n"
    )


async def test_custom_resources(kubectl: Kubectl, home: str) -> None:
    group = f"{home.rsplit('/', 1)[1]}.ex.io"
    definition = f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets}}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{{name: Size, type: integer, jsonPath: .spec.size}}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {{type: object, properties: {{size: {{type: integer}}}}}}
"""
    await kubectl("apply", "-f", "-", text=definition)
    await kubectl("wait", "--for=condition=Established", f"crd/widgets.{group}")
    widget = f"{{apiVersion: {group}/v1, kind: Widget, metadata: {{name: w}}, spec: {{size: 3}}}}"
    for _ in range(20):
        try:
            await kubectl("apply", "-f", "-", text=widget)
            break
        except AssertionError:
            await asyncio.sleep(0.25)
    assert re.fullmatch(r"NAME +SIZE\nw +3\n", await kubectl("get", f"widgets.{group}"))
    wrong = await kubectl("apply", "-f", "-", text=widget.replace("size: 3", "length: 3"), fails=True)
    assert 'unknown field "spec.length"' in wrong
    await kubectl("delete", "crd", f"widgets.{group}")
