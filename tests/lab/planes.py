"""Control planes to compare: the real one, ours on the real API server, and ours altogether.

The same scenarios run against each; what the real one does is right. Nodes are only objects here, kept alive by a
lease, and the tests play the kubelet by writing pod status.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from federation.kube.api import Api, connect
from federation.kube.errors import AlreadyExists, ApiError, NotFound
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
)
from lab.engines.control_plane import Site, scheduler_configuration, start_control_plane
from lab.engines.engine import load_engine
from lab.identities import ADMIN_USER, CONTROLLERS_USER, Identities
from lab.plan import EngineName
from lab.processes import Process, ProcessTable

Manifest = dict[str, Any]

LOOK_SECONDS = 0.05


async def eventually(look: Callable[[], Awaitable[Any]], what: str, seconds: float = 20) -> Any:
    """Return the first truthy answer of `look`; an object that is not there yet counts as no answer."""
    deadline = asyncio.get_running_loop().time() + seconds
    last: Any = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            if last := await look():
                return last
        except NotFound as error:
            last = error
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError(f"not after {seconds} s: {what} (last answer: {last!r})")


@dataclass
class Plane:
    """One cluster without kubelets. `kind` says whose parts run: kube, ours-on-kube, embedded."""

    kind: str
    site: Site
    url: str
    api: Api
    nodes: set[str] = field(default_factory=set)

    def start_scheduler(self, profile: str, extenders: Sequence[object]) -> Process:
        """Start one more scheduler, as a target cluster has for candidates."""
        kubeconfig = self.site.identities.kubeconfig(
            self.site.directory / f"{profile}-kubeconfig.json", self.url, ADMIN_USER, ("system:masters",)
        )
        config = self.site.directory / f"{profile}.json"
        config.write_text(json.dumps(scheduler_configuration(kubeconfig, profile, extenders)))
        program = self.site.engine.scheduler if self.kind == "kube" else (sys.executable, "-m", "lab.scheduler")
        return self.site.start(f"scheduler-{profile}", [*program, f"--config={config}", "--secure-port=0"])

    async def stop(self, process: Process) -> None:
        """End a process that a test started."""
        await self.site.processes.stop([process], grace_seconds=5)
        self.site.processes.forget(process)

    async def add_namespace(self, name: str) -> str:
        """Make a namespace and wait for its service account."""
        await self.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        await eventually(lambda: self.api.get(SERVICE_ACCOUNTS, "default", name), f"service account of {name}")
        return name

    async def add_node(
        self, name: str, *, labels: Manifest | None = None, devices: Manifest | None = None, **allocatable: str
    ) -> Manifest:
        """Make a Ready node; `allocatable` overrides cpu, memory, pods."""
        resources = {"cpu": "4", "memory": "8Gi", "pods": "110"} | allocatable | (devices or {})
        node: Manifest = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        }
        await self.api.create(NODES, node)
        await self.beat(name)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", **_now_fields()}
        status = {"capacity": resources, "allocatable": resources, "conditions": [ready]}
        await self.api.patch(NODES, name, {"status": status}, subresource="status")
        self.nodes.add(name)

        async def untainted() -> Manifest | None:
            found = await self.api.get(NODES, name)
            return found if not (found.get("spec") or {}).get("taints") else None

        return dict(await eventually(untainted, f"node {name} without taints"))

    async def beat(self, name: str) -> None:
        """Renew a node's lease."""
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _micro_time()}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        try:
            await self.api.create(LEASES, lease, "kube-node-lease")
        except AlreadyExists:
            await self.api.patch(LEASES, name, {"spec": spec}, "kube-node-lease")

    async def remove_node(self, name: str) -> None:
        """Delete a node and stop its heartbeat."""
        self.nodes.discard(name)
        await self.api.delete(NODES, name)

    async def add_pod(self, namespace: str, name: str, **spec: Any) -> Manifest:
        """Make a pod with one container; `cpu` and `memory` are its requests, the rest goes into the spec."""
        requests = {key: spec.pop(key) for key in ("cpu", "memory") if key in spec}
        metadata = {"name": name, "labels": spec.pop("labels", {})}
        container = {"name": "main", "image": "busybox", "resources": {"requests": requests}}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
        }
        return await self.api.create(PODS, manifest, namespace)

    async def add_priority(self, name: str, value: int, **fields: str) -> None:
        """Make a priority class, unless another test has made it."""
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        with suppress(AlreadyExists):
            await self.api.create(PRIORITY_CLASSES, body | {"value": value} | fields)

    async def set_phase(self, namespace: str, name: str, phase: str, **status: Any) -> None:
        """Write a pod's phase as its kubelet would."""
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False", **_now_fields()}
        body = {"status": {"phase": phase, "conditions": [ready], **status}}
        await self.api.patch(PODS, name, body, namespace, subresource="status", kind="strategic")

    async def node_of(self, namespace: str, name: str, seconds: float = 20) -> str:
        """Wait until a pod is bound and return its node."""

        async def bound() -> str:
            return str((await self.api.get(PODS, name, namespace))["spec"].get("nodeName") or "")

        return str(await eventually(bound, f"pod {name} bound", seconds))

    async def refusal(self, namespace: str, name: str, reason: str = "Unschedulable") -> str:
        """Wait until a pod's PodScheduled condition is False for a reason and return its message."""

        async def refused() -> str:
            pod = await self.api.get(PODS, name, namespace)
            for condition in pod["status"].get("conditions") or []:
                if condition["type"] == "PodScheduled" and condition.get("reason") == reason:
                    return str(condition["message"])
            return ""

        return str(await eventually(refused, f"pod {name} {reason}"))

    async def events(self, namespace: str, name: str) -> list[tuple[str, str]]:
        """Return (reason, message) of the Events about an object."""
        listing = await self.api.list(EVENTS, namespace)
        return [(one["reason"], one["message"]) for one in listing.items if one["involvedObject"]["name"] == name]


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now_fields() -> Manifest:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"lastTransitionTime": now}


async def _keep_alive(plane: Plane) -> None:
    while True:
        for name in list(plane.nodes):
            try:
                await plane.beat(name)
            except ApiError:
                continue
        await asyncio.sleep(10)


async def _replace_by_ours(site: Site, api: Api) -> None:
    """Stop the real scheduler and controllers and start ours on the same API server."""
    real = [process for process in site.processes.all() if process.role in ("controllers", "scheduler")]
    await site.processes.stop(real, grace_seconds=5)
    # Each real controller has an account of its own; ours are one program, which the lab's API server lets do all that.
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "embedded-controllers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CONTROLLERS_USER}],
    }
    await api.create(CLUSTER_ROLE_BINDINGS, binding)
    python, identities = [sys.executable, "-m"], site.identities
    site.start("scheduler", [*python, "lab.scheduler", f"--config={site.directory / 'scheduler.json'}"])
    flags = [
        f"--kubeconfig={site.directory / 'controllers.json'}",
        f"--root-ca-file={identities.authority.certificate}",
        f"--service-account-private-key-file={identities.service_account_key}",
    ]
    site.start("controllers", [*python, "lab.controllers", *flags])


@asynccontextmanager
async def running_plane(kind: str, directory: Path) -> AsyncIterator[Plane]:
    """Start a control plane of a kind; ends all of it afterwards."""
    engine = load_engine(EngineName.EMBEDDED if kind == "embedded" else EngineName.KUBE)
    processes = ProcessTable(directory / "processes", directory / "logs", f"plane-{kind}-{id(directory)}")
    site = Site(kind, directory, directory / "admin.json", engine, Identities(kind, directory / "pki"), processes)
    try:
        url = await start_control_plane(site)
        async with await connect(site.admin_kubeconfig) as api:
            if kind == "ours-on-kube":
                await _replace_by_ours(site, api)
            plane = Plane(kind, site, url, api)
            beating = asyncio.create_task(_keep_alive(plane))
            yield plane
            beating.cancel()
    finally:
        await processes.stop(processes.all(), grace_seconds=0)
