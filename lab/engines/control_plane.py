"""Starts one cluster's control plane, on either engine: [etcd], API server, controllers, scheduler.

One after the other up to the API server, then the rest at once; all clusters do this side by side. A program whose
port was taken between its choice and its start is started again with another one, before anybody knows the first.
Secrets of etcd are kept from other users of the machine by client certificates.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from federation.kube.api import Api, Manifest, connect
from federation.kube.errors import ApiError
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, CUSTOM_RESOURCE_DEFINITIONS, SERVICE_ACCOUNTS
from lab.engines.engine import Engine
from lab.identities import (
    ADMIN_USER,
    API_SERVER_USER,
    CONTROLLERS_USER,
    KUBELET_USER,
    SCHEDULER_USER,
    Identities,
    KeyFiles,
)
from lab.ports import Ports
from lab.processes import Process, ProcessTable
from lab.waiting import PortTaken, until_object, until_serving

# A control plane is ready after 5-15 s on two busy cores; ten times that is a machine that will not manage.
READY_SECONDS = 120
# Three collisions of a kernel-chosen port in a row do not happen by chance.
PORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """Where a cluster's control plane is put: its name, its directory, and the processes it is added to."""

    cluster: str
    directory: Path
    admin_kubeconfig: Path
    engine: Engine
    identities: Identities
    processes: ProcessTable

    def start(self, role: str, command: Sequence[str]) -> Process:
        """Start one part of the control plane."""
        return self.processes.start(f"{self.cluster}.{role}", command, role=role, cluster=self.cluster)


async def start_control_plane(site: Site, kinds: Sequence[Manifest] = ()) -> str:
    """Start everything and return the API server's URL once pods can be created; raises StartFailed.

    `kinds` are CustomResourceDefinitions to create before the controllers start: the garbage collector looks for new
    kinds every 30 s only, and until it knows one, nothing of that kind is deleted in the foreground.
    """
    url = await start_api_server(site)
    async with await connect(site.admin_kubeconfig) as api:
        await _bind_users(api, site.engine)
        for kind in kinds:
            await api.create(CUSTOM_RESOURCE_DEFINITIONS, kind)
        others = [_start_controllers(site, url), _start_scheduler(site, url)]
        await until_object(
            api,
            SERVICE_ACCOUNTS,
            lambda account: bool(account["metadata"]["name"] == "default"),
            namespace="default",
            relies_on=others,
            what=f"{site.cluster}: service account default/default, made by the controllers",
            seconds=READY_SECONDS,
        )
    return url


async def start_api_server(site: Site) -> str:
    """Start the API server alone, with etcd where it needs one, and return its URL once it is ready."""
    etcd = await _start_etcd(site) if site.engine.etcd else ()
    return await _start_api_server(site, etcd)


async def with_ports(count: int, attempt: Callable[[Ports, list[int]], Awaitable[str]]) -> str:
    """Run `attempt` with fresh ports, again while it finds them taken."""
    for number in range(PORT_ATTEMPTS):
        with Ports() as ports:
            try:
                return await attempt(ports, [ports.reserve() for _ in range(count)])
            except PortTaken:
                if number + 1 == PORT_ATTEMPTS:
                    raise
    raise AssertionError("unreachable")


async def _start_etcd(site: Site) -> tuple[str, ...]:
    """Start etcd; returns the API server's flags for it."""
    keys, authority = site.identities.etcd(), site.identities.authority.certificate

    async def attempt(ports: Ports, chosen: list[int]) -> str:
        client, peer = (f"https://127.0.0.1:{port}" for port in chosen)
        # A directory of its own for each attempt: etcd remembers its peer address in its data.
        data = site.directory / f"etcd-{secrets.token_hex(4)}"
        command = [*site.engine.etcd, *_etcd_flags(data, client, peer, keys, authority)]
        ports.release()
        process = site.start("etcd", command)
        await until_serving(process, _accepts(chosen[0]), seconds=READY_SECONDS)
        return client

    client = await with_ports(2, attempt)
    return (
        f"--etcd-servers={client}",
        f"--etcd-cafile={authority}",
        f"--etcd-certfile={keys.certificate}",
        f"--etcd-keyfile={keys.key}",
    )


def _etcd_flags(data: Path, client: str, peer: str, keys: KeyFiles, authority: Path) -> list[str]:
    return [
        "--name=lab",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        f"--cert-file={keys.certificate}",
        f"--key-file={keys.key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={keys.certificate}",
        f"--peer-key-file={keys.key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
        # A lab is thrown away: nothing needs to survive a power cut, and fsync is most of a write's time on slow disks.
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


async def _start_api_server(site: Site, etcd: Sequence[str]) -> str:
    """Start the API server, write the administrator's kubeconfig, wait for /readyz; returns its URL."""

    async def attempt(ports: Ports, chosen: list[int]) -> str:
        url = f"https://127.0.0.1:{chosen[0]}"
        site.identities.kubeconfig(site.admin_kubeconfig, url, ADMIN_USER, ("system:masters",))
        command = [*site.engine.api_server, *_api_server_flags(site, chosen[0]), *etcd, *site.engine.api_server_extra]
        ports.release()
        process = site.start("api-server", command)
        async with await connect(site.admin_kubeconfig) as api:
            await until_serving(process, lambda: _is_ready(api), seconds=READY_SECONDS)
        return url

    return await with_ports(1, attempt)


def _api_server_flags(site: Site, port: int) -> list[str]:
    identities = site.identities
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={identities.api_server.certificate}",
        f"--tls-private-key-file={identities.api_server.key}",
        f"--client-ca-file={identities.authority.certificate}",
        f"--kubelet-client-certificate={identities.api_server_client.certificate}",
        f"--kubelet-client-key={identities.api_server_client.key}",
        # No --kubelet-certificate-authority, as with kubeadm: where nobody signs CSRs, virtual nodes sign their own.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={identities.service_account_public_key}",
        f"--service-account-signing-key-file={identities.service_account_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--event-ttl=1h",
    ]


def _start_controllers(site: Site, url: str) -> Process:
    identities = site.identities
    kubeconfig = identities.kubeconfig(site.directory / "controllers.json", url, CONTROLLERS_USER)
    signing = [
        f"--cluster-signing-cert-file={identities.authority.certificate}",
        f"--cluster-signing-key-file={identities.authority.key}",
    ]
    command = [
        *site.engine.controllers,
        f"--kubeconfig={kubeconfig}",
        f"--root-ca-file={identities.authority.certificate}",
        f"--service-account-private-key-file={identities.service_account_key}",
        *(signing if site.engine.etcd else []),
        *site.engine.controllers_extra,
    ]
    return site.start("controllers", command)


def _start_scheduler(site: Site, url: str) -> Process:
    kubeconfig = site.identities.kubeconfig(site.directory / "scheduler-kubeconfig.json", url, SCHEDULER_USER)
    config = site.directory / "scheduler.json"
    config.write_text(json.dumps(scheduler_configuration(kubeconfig, "default-scheduler"), indent=2))
    return site.start("scheduler", [*site.engine.scheduler, f"--config={config}", "--secure-port=0"])


def scheduler_configuration(kubeconfig: Path, profile: str, extenders: Sequence[object] = ()) -> dict[str, object]:
    """The configuration of a kube-scheduler with one profile, which works alone and as fast as it can."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        # The defaults of 50 and 100 a second make the scheduler's client, not the scheduler, the limit.
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 500, "burst": 1000},
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": profile}],
        **({"extenders": list(extenders)} if extenders else {}),
    }


async def _bind_users(api: Api, engine: Engine) -> None:
    """Give the lab's own identities the rights that upstream's ClusterRoles describe."""
    roles = {API_SERVER_USER: "system:kubelet-api-admin", KUBELET_USER: "system:node"}
    if engine.controllers_role:
        roles[CONTROLLERS_USER] = engine.controllers_role
    for user, role in roles.items():
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"isthmus-lab:{user}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        await api.create(CLUSTER_ROLE_BINDINGS, binding)


async def _is_ready(api: Api) -> bool:
    try:
        await api.request("GET", "/readyz", timeout_seconds=2)
    except ApiError:
        return False
    return True


def _accepts(port: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return probe
