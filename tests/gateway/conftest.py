"""A control plane that knows the gateway as the kubelet of a virtual node, and a tiny server behind it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation.gateway.authentication import Authenticator
from federation.gateway.authorization import Authorizer
from federation.gateway.certificates import load_signed, self_signed
from federation.gateway.endpoint import serve, server_context
from federation.gateway.errors import NoDelegate
from federation.gateway.limits import GatewayLimits
from federation.gateway.node import Delegate, ServedNode
from federation.kube.api import Api, Manifest, connect
from federation.kube.resources import NODES, PODS
from lab.engines.engine import kube_directory
from lab.identities import KeyFiles
from lab.pki import Authority
from lab.plan import EngineName
from tests.gateway.upstream import Upstream, serving
from tests.source_plane import Source, source

NODE = "admiralty-far"
LIMITS = GatewayLimits(
    head_seconds_max=2.0, idle_seconds_max=20.0, streams_max=3, head_bytes_max=16 * 1024, strangers_max=8
)

Kubectl = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture(scope="session")
def stranger() -> Authority:
    """An authority that the source does not know."""
    return Authority("stranger")


@pytest.fixture
async def upstream(stranger: Authority) -> AsyncIterator[Upstream]:
    """The tiny API server of the target."""
    async with serving(stranger) as upstream:
        yield upstream


@dataclass(frozen=True)
class Gateway:
    """A running endpoint and what a caller needs for it."""

    port: int
    source: Source

    @property
    def api_server(self) -> KeyFiles:
        """The certificate by which the source's API server comes."""
        return self.source.plane.site.identities.api_server_client


@pytest.fixture
async def gateway(source: Source, engine: EngineName, upstream: Upstream) -> AsyncIterator[Gateway]:
    """The endpoint of virtual node `admiralty-far`, where pod `default/proxy` has delegate `default/delegate`."""
    tls = server_context(source.plane.site.identities.authority_pem.decode())
    async with (
        await connect(source.kubeconfig("isthmus-agent")) as api,
        await connect(upstream.kubeconfig) as far,
    ):
        self_signed(NODE, "127.0.0.1", datetime.now(UTC)).load_into(tls)
        if engine is EngineName.KUBE:  # nobody signs on the other
            await load_signed(tls, api, NODE, "127.0.0.1")

        async def find(namespace: str, pod: str) -> Delegate:
            if (namespace, pod) != ("default", "proxy"):
                raise NoDelegate(f'pod "{namespace}/{pod}" has no delegate yet')
            return Delegate(far, "default", "delegate")

        async def pods() -> list[Manifest]:
            return [{"metadata": {"name": "proxy"}}]

        clock = asyncio.get_running_loop().time
        async with serve(
            ServedNode(NODE, "far-lab", find, pods),
            address="127.0.0.1",
            port=0,
            tls=tls,
            authenticator=Authenticator(api, clock),
            authorizer=Authorizer(api, clock),
            limits=LIMITS,
        ) as port:
            yield Gateway(port, source)


@pytest.fixture
async def proxy(source: Source, gateway: Gateway) -> AsyncIterator[str]:
    """A proxy pod bound to a virtual node whose kubelet address is the gateway's."""
    admin = source.admin
    await _create_node(admin, gateway.port)
    containers = [{"name": "main", "image": "busybox"}]
    spec = {"nodeName": NODE, "containers": containers, "tolerations": [{"operator": "Exists"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "proxy", "namespace": "default"}, "spec": spec}
    await admin.create(PODS, pod)
    await admin.patch(PODS, "proxy", {"status": {"phase": "Running"}}, "default", subresource="status")
    yield "proxy"
    await admin.delete(PODS, "proxy", "default", grace_period_seconds=0)
    await admin.delete(NODES, NODE)


async def _create_node(admin: Api, port: int) -> None:
    await admin.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
    }
    await admin.patch(NODES, NODE, {"status": status}, subresource="status")


@pytest.fixture
def kubectl(source: Source, tmp_path: Path) -> Kubectl:
    """Run kubectl as the source's administrator; returns exit code, output, errors."""
    if not (kube_directory() / "kubectl").exists():
        pytest.skip("no kubectl: run `make kube`")

    async def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        config = tmp_path / "kubectl.json"
        config.write_text(json.dumps(source.kubeconfig("admin", "system:masters")))
        process = await asyncio.create_subprocess_exec(
            kube_directory() / "kubectl",
            *("--kubeconfig", str(config), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return process.returncode or 0, out.decode(), err.decode()

    return run


def certificate_of(kubeconfig: dict[str, Any], directory: Path) -> KeyFiles:
    """Write the client certificate of a kubeconfig into files, as TLS wants it."""
    user = kubeconfig["users"][0]["user"]
    files = KeyFiles(directory / "client.crt", directory / "client.key")
    files.certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    files.key.write_bytes(base64.b64decode(user["client-key-data"]))
    return files


__all__ = ["source"]  # a fixture, found here by name
