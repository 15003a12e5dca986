"""A real kube-apiserver that knows the gateway as the kubelet of virtual node `far`, and a tiny server behind it."""

import asyncio
import base64
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation.gateway.authentication import Authenticator
from federation.gateway.authorization import Authorizer
from federation.gateway.certificates import self_signed
from federation.gateway.endpoint import serve, server_context
from federation.gateway.errors import NoDelegate
from federation.gateway.limits import GatewayLimits
from federation.gateway.node import Delegate, ServedNode
from federation.kube.api import Api, Manifest, connect
from federation.kube.errors import ApiError
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, NODES, PODS
from tests.gateway.certificates import SERVER, Authority, Pair
from tests.gateway.upstream import Upstream, serving

NODE = "admiralty-far"
LIMITS = GatewayLimits(head_seconds_max=2.0, idle_seconds_max=20.0, streams_max=3, head_bytes_max=16 * 1024)


def _binaries() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("ISTHMUS_KUBE_BIN", cache / "isthmus/kube/v1.37.2"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Source:
    """The source cluster's API server."""

    port: int
    authority: Authority
    kubelet_client: Pair

    def kubeconfig(self, user: dict[str, Any]) -> dict[str, Any]:
        """A kubeconfig for one of its users."""
        authority = base64.b64encode(self.authority.pem.encode()).decode()
        server = f"https://127.0.0.1:{self.port}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "home",
            "clusters": [{"name": "home", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "home", "user": user}],
            "contexts": [{"name": "home", "context": {"cluster": "home", "user": "home"}}],
        }


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("home-ca"), "home-ca")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger-ca"), "stranger-ca")


@pytest.fixture(scope="session")
def source(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    binaries = _binaries()
    if not (binaries / "kube-apiserver").exists():
        pytest.skip("no kube-apiserver: run `make kube`")
    directory = tmp_path_factory.mktemp("home")
    etcd, peer, port = _free_port(), _free_port(), _free_port()
    serving_pair = authority.issue("home-api-server", usage=SERVER)
    kubelet_client = authority.issue("kube-apiserver-kubelet-client", ("system:masters",))
    tokens = [f"{name}-token,{name},uid-{name}" for name in ("isthmus-agent", "monitor", "nobody")]
    (directory / "tokens.csv").write_text("\n".join(['admin-token,admin,uid-admin,"system:masters"', *tokens]) + "\n")
    commands = {
        "etcd": [
            *("--data-dir", directory / "etcd", "--unsafe-no-fsync", "--log-level", "error"),
            *(
                "--listen-client-urls",
                f"http://127.0.0.1:{etcd}",
                "--advertise-client-urls",
                f"http://127.0.0.1:{etcd}",
            ),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", f"default=http://127.0.0.1:{peer}"),
        ],
        "kube-apiserver": [
            *("--etcd-servers", f"http://127.0.0.1:{etcd}", "--bind-address", "127.0.0.1", "--secure-port", port),
            *("--tls-cert-file", serving_pair.certificate, "--tls-private-key-file", serving_pair.key),
            *("--client-ca-file", authority.pair.certificate, "--token-auth-file", directory / "tokens.csv"),
            *("--kubelet-client-certificate", kubelet_client.certificate, "--kubelet-client-key", kubelet_client.key),
            *("--kubelet-preferred-address-types", "InternalIP", "--service-account-issuer", "https://home"),
            *(
                "--service-account-key-file",
                serving_pair.certificate,
                "--service-account-signing-key-file",
                serving_pair.key,
            ),
            *("--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "Node,RBAC"),
            *("--endpoint-reconciler-type", "none", "--disable-admission-plugins", "ServiceAccount"),
        ],
    }
    with ExitStack() as stack:
        for program, arguments in commands.items():
            log = stack.enter_context((directory / f"{program}.log").open("wb"))
            command: list[str | Path] = [binaries / program, *map(str, arguments)]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)  # it holds nothing worth a graceful end
        yield Source(port, authority, kubelet_client)


@pytest.fixture(scope="session")
async def admin(source: Source) -> AsyncIterator[Api]:
    async with await connect(source.kubeconfig({"token": "admin-token"})) as api:
        deadline = time.monotonic() + 60
        while True:
            try:
                await api.request("GET", "/readyz")
                break
            except ApiError:
                assert time.monotonic() < deadline, "kube-apiserver is not ready after 60 s"
                await asyncio.sleep(0.2)
        yield api


@pytest.fixture
async def upstream(stranger: Authority) -> AsyncIterator[Upstream]:
    async with serving(stranger) as upstream:
        yield upstream


@dataclass(frozen=True)
class Gateway:
    """A running endpoint and what a caller needs for it."""

    port: int
    source: Source


@pytest.fixture
async def gateway(source: Source, admin: Api, upstream: Upstream) -> AsyncIterator[Gateway]:
    """The endpoint of virtual node `admiralty-far`, where pod `default/proxy` has delegate `default/delegate`."""
    await _grant(admin, "isthmus-agent", "system:auth-delegator")
    tls = server_context(source.authority.pem)
    self_signed(NODE, "127.0.0.1", _now()).load_into(tls)
    async with (
        await connect(source.kubeconfig({"token": "isthmus-agent-token"})) as api,
        await connect(upstream.kubeconfig) as far,
    ):

        async def find(namespace: str, pod: str) -> Delegate:
            if (namespace, pod) != ("default", "proxy"):
                raise NoDelegate(f'pod "{namespace}/{pod}" has no delegate yet')
            return Delegate(far, "default", "delegate")

        async def pods() -> list[Manifest]:
            return [{"metadata": {"name": "proxy"}}]

        node = ServedNode(NODE, "far-lab", find, pods)
        clock = asyncio.get_running_loop().time
        async with serve(
            node,
            address="127.0.0.1",
            port=0,
            tls=tls,
            authenticator=Authenticator(api, clock),
            authorizer=Authorizer(api, clock),
            limits=LIMITS,
        ) as port:
            yield Gateway(port, source)


@pytest.fixture
async def proxy(admin: Api, gateway: Gateway) -> AsyncIterator[str]:
    """A proxy pod bound to a virtual node whose kubelet address is the gateway's."""
    await _create_node(admin, gateway.port)
    spec = {
        "nodeName": NODE,
        "containers": [{"name": "main", "image": "busybox"}],
        "tolerations": [{"operator": "Exists"}],
    }
    await admin.create(PODS, {"metadata": {"name": "proxy", "namespace": "default"}, "spec": spec})
    status = {"phase": "Running", "containerStatuses": []}
    await admin.patch(PODS, "proxy", {"status": status}, "default", subresource="status")
    yield "proxy"
    await admin.delete(PODS, "proxy", "default", grace_period_seconds=0)
    await admin.delete(NODES, NODE)


@pytest.fixture
def kubectl(source: Source, tmp_path: Path) -> Callable[..., Any]:
    """Run kubectl as a user of the source; returns the finished process."""
    import json  # noqa: PLC0415

    async def run(*arguments: str, stdin: bytes = b"", user: str = "admin") -> tuple[int, str, str]:
        config = tmp_path / f"{user}.json"
        config.write_text(json.dumps(source.kubeconfig({"token": f"{user}-token"})))
        process = await asyncio.create_subprocess_exec(
            _binaries() / "kubectl",
            *("--kubeconfig", str(config), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return process.returncode or 0, out.decode(), err.decode()

    return run


def _now() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.now(UTC)


async def _grant(admin: Api, user: str, role: str) -> None:
    name = f"{user}-{role}".replace(":", "-")
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    try:
        await admin.create(CLUSTER_ROLE_BINDINGS, binding)
    except ApiError as error:
        if "already exists" not in str(error):
            raise


async def _create_node(admin: Api, port: int) -> None:
    await admin.create(NODES, {"metadata": {"name": NODE}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    await admin.patch(NODES, NODE, {"status": status}, subresource="status", kind="strategic")
