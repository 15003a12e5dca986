"""A federation under test, as a user and the owners of its clusters see it: submit here, look and meddle there.

Everything waits on watches through the administrators' clients; nothing of the agents is imported but names.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import NotFound, ServerError
from federation.kube.resources import NODES, PODS, Resource
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.engines.engine import kube_directory
from lab.parts.federation import add_targets
from lab.processes import Process
from lab.running import RunningLab

Manifest = dict[str, Any]
Test = Callable[[Manifest | None], Any]

FOREVER = "trap 'exit 0' TERM; echo started; while :; do sleep 0.1; done"
INTERRUPTED = "trap 'exit 7' TERM; while :; do sleep 0.1; done"


@dataclass(frozen=True, slots=True)
class Federation:
    """Three clusters and a namespace with a Target for each."""

    lab: RunningLab
    namespace: str

    @property
    def home(self) -> Api:
        """The source's administrator."""
        return self.lab.api()

    @property
    def clusters(self) -> list[str]:
        """All clusters, the source first."""
        return list(self.lab.apis)

    async def join(self) -> None:
        """Make the Targets and wait for their virtual nodes."""
        await add_targets(self.home, self.lab.directory, self.clusters, self.namespace)
        for cluster in self.clusters:
            await self.until(self.home, NODES, self.node(cluster), _is_ready, namespace="", seconds=30)

    def node(self, cluster: str) -> str:
        """The virtual node of a cluster's Target in this namespace."""
        return names.virtual_node_name(self.namespace, cluster)

    def cluster_of(self, node_name: str) -> str:
        """The cluster that a virtual node stands for."""
        return next(cluster for cluster in self.clusters if self.node(cluster) == node_name)

    def process(self, role: str, cluster: str) -> Process:
        """The running program of a role in a cluster."""
        table = self.lab.directory.processes(self.lab.record.mark)
        return next(p for p in table.all() if (p.role, p.cluster) == (role, cluster) and p.is_alive())

    @contextmanager
    def frozen(self, role: str, cluster: str) -> Iterator[None]:
        """Stop a program in its tracks for the length of the block."""
        process = self.process(role, cluster)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def kill(self, role: str, cluster: str, **settings: str) -> Callable[[], object]:
        """kill -9 a program; call what is returned to start it again as it was, but for these settings."""
        process = self.process(role, cluster)
        start_again = self.starter(process, process.name, role, **settings)
        os.kill(process.pid, signal.SIGKILL)
        return start_again

    def starter(self, process: Process, name: str, role: str, **settings: str) -> Callable[[], Process]:
        """Return what starts the same program once more under a name, with its settings but for these."""
        proc = Path(f"/proc/{process.pid}")
        command = [part.decode() for part in (proc / "cmdline").read_bytes().split(b"\0") if part]
        pairs = [part.decode().split("=", 1) for part in (proc / "environ").read_bytes().split(b"\0") if b"=" in part]
        env = {key: value for key, value in pairs if key.startswith("ISTHMUS_")}
        env = {key: value for key, value in (env | settings).items() if value}
        table = self.lab.directory.processes(self.lab.record.mark)
        return lambda: table.start(name, command, role=role, cluster=process.cluster, env=env)

    @asynccontextmanager
    async def agent_with(self, **settings: str) -> AsyncIterator[None]:
        """Let the source's agent, the only one, run with other settings for the length of the block."""
        self.kill("agent", self.lab.source, **settings)()
        try:
            await self.until_admitting()
            yield
        finally:
            self.kill("agent", self.lab.source, **dict.fromkeys(settings, ""))()
            await self.until_admitting()

    async def until_admitting(self, seconds: float = 30) -> None:
        """Wait until the API server reaches the webhook of an agent that was started anew."""
        tried = pod("exit 0", annotations={names.ELECT: ""})
        async with asyncio.timeout(seconds):
            while True:
                with suppress(ServerError):
                    await self.home.request("POST", PODS.path(self.namespace), [("dryRun", "All")], body=tried)
                    return
                await asyncio.sleep(0.1)

    async def submit(self, script: str = FOREVER, name: str = "", only: str = "", **spec: Any) -> str:
        """Create an elected pod (`only` names the one cluster it may go to) and return its name."""
        annotations = {names.ELECT: ""}
        if only:
            annotations[names.PROXY_CONSTRAINTS] = f"nodeSelector: {{{names.TARGET_NAME}: {only}}}"
        return await self.create(pod(script, name=name, annotations=annotations, **spec))

    async def create(self, manifest: Manifest, cluster: str = "") -> str:
        """Create a pod in a cluster (the source if none is named) and return its name."""
        made = await self.lab.api(cluster).create(PODS, manifest, self.namespace)
        return str(made["metadata"]["name"])

    async def until(
        self,
        api: Api,
        resource: Resource,
        name: str,
        holds: Test,
        *,
        namespace: str | None = None,
        seconds: float = 20,
    ) -> Manifest:
        """Watch one object until `holds` (called with None while there is none); returns it, or {} for none."""
        where = self.namespace if namespace is None else namespace
        store: Store[Manifest] = Store(lambda manifest: manifest)
        changed = asyncio.Event()
        store.subscribe(lambda *_: changed.set())
        watching = asyncio.create_task(
            follow(api, resource, store, namespace=where, field_selector=f"metadata.name={name}")
        )
        try:
            async with asyncio.timeout(seconds):
                await store.synced.wait()
                while True:
                    changed.clear()
                    found = store.get(where, name)
                    if holds(found):
                        return found or {}
                    await changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"{resource.plural}/{name}: not after {seconds} s; it is {store.get(where, name)}"
            ) from None
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def until_pod(self, name: str, holds: Test, cluster: str = "", seconds: float = 20) -> Manifest:
        """Watch a pod in a cluster (the source if none is named)."""
        return await self.until(self.lab.api(cluster), PODS, name, holds, seconds=seconds)

    async def until_running(self, name: str, seconds: float = 20) -> str:
        """Wait until a proxy shows Running; returns the cluster it is bound to."""
        running = await self.until_pod(name, lambda p: p and phase(p) == "Running", seconds=seconds)
        return self.cluster_of(running["spec"]["nodeName"])

    async def clear(self) -> None:
        """Delete all pods of the namespace at home and wait until they are gone."""
        for manifest in (await self.home.list(PODS, self.namespace)).items:
            with contextlib.suppress(NotFound):
                await self.home.delete(PODS, manifest["metadata"]["name"], self.namespace)
            await self.until_pod(manifest["metadata"]["name"], is_gone, seconds=40)

    async def exec(self, name: str, *command: str) -> tuple[int, bytes, bytes]:
        """Run a command in a proxy by kubectl; returns its exit code and what it said."""
        program = shutil.which("kubectl", path=f"{kube_directory()}:{os.environ['PATH']}")
        if program is None:
            pytest.skip("no kubectl: run `make kube`")
        kubectl = await asyncio.create_subprocess_exec(
            *(program, f"--kubeconfig={self.lab.kubeconfig()}", f"--namespace={self.namespace}"),
            *("exec", name, "--", *command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await kubectl.communicate()
        assert kubectl.returncode is not None
        return kubectl.returncode, out, err

    async def chaperon_name(self, name: str, cluster: str = "arm-lab") -> str:
        """The name of a proxy's chaperon, and so of its candidate, in a cluster."""
        live = await self.home.get(PODS, name, self.namespace)
        return names.chaperon_name(name, live["metadata"]["uid"], names.target_key(self.namespace, cluster))

    async def chaperon_names(self, name: str) -> dict[str, str]:
        """The names of a proxy's chaperons by cluster."""
        return {cluster: await self.chaperon_name(name, cluster) for cluster in self.clusters}

    async def chaperon(self, cluster: str, name: str, holds: Test, seconds: float = 20) -> Manifest:
        """Watch a chaperon by its own name in a cluster."""
        return await self.until(self.lab.api(cluster), POD_CHAPERONS, name, holds, seconds=seconds)

    async def exists(self, resource: Resource, cluster: str, name: str) -> bool:
        """Whether an object is there, live."""
        try:
            await self.lab.api(cluster).get(resource, name, self.namespace)
        except NotFound:
            return False
        return True

    async def ask(
        self, cluster: str, name: str, script: str = FOREVER, annotations: dict[str, str] | None = None, **spec: Any
    ) -> Manifest:
        """Play a source: create a chaperon in a target, of a proxy that no agent knows; returns it."""
        uid = secrets.token_hex(8)
        chaperon = {
            "apiVersion": names.API_VERSION,
            "kind": names.CHAPERON_KIND,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {names.PARENT_UID: uid, names.PARENT_CLUSTER_NAME: "a-test"},
                "annotations": {names.PARENT_NAME: name, names.PARENT_NAMESPACE: self.namespace, **(annotations or {})},
            },
            "spec": pod(script, **({"schedulerName": names.CANDIDATE_SCHEDULER} | spec))["spec"],
        }
        return await self.lab.api(cluster).create(POD_CHAPERONS, chaperon)

    async def allow(self, cluster: str, name: str) -> None:
        """Play a source: let a candidate go ahead."""
        patch = {"metadata": {"annotations": {names.IS_ALLOWED: "true"}}}
        await self.lab.api(cluster).patch(POD_CHAPERONS, name, patch, self.namespace)

    @property
    def real_nodes(self) -> dict[str, list[str]]:
        """The nodes that run things, by cluster."""
        return {cluster.name: list(cluster.nodes) for cluster in self.lab.record.clusters}

    async def cordon(self, cluster: str, is_cordoned: bool = True) -> None:
        """Cordon, or uncordon, a cluster's own nodes."""
        for node in self.real_nodes[cluster]:
            await self.lab.api(cluster).patch(NODES, node, {"spec": {"unschedulable": is_cordoned or None}})


def pod(script: str, *, name: str = "", annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """A pod of one container that runs a shell script."""
    metadata: Manifest = {"annotations": annotations or {}}
    metadata |= {"name": name} if name else {"generateName": "pod-"}
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 5} | spec,
    }


def phase(manifest: Manifest) -> str:
    """A pod's phase."""
    return str((manifest.get("status") or {}).get("phase"))


def condition(manifest: Manifest, kind: str) -> Manifest:
    """A condition of an object, or {}."""
    conditions = manifest.get("status", {}).get("conditions") or []
    return next((dict(found) for found in conditions if found["type"] == kind), {})


def is_marked(manifest: Manifest | None, annotation: str) -> bool:
    """Whether an object is there and has an annotation."""
    return manifest is not None and annotation in (manifest["metadata"].get("annotations") or {})


def is_gone(manifest: Manifest | None) -> bool:
    """Whether an object is not there."""
    return manifest is None


def _is_ready(node: Manifest | None) -> bool:
    return node is not None and condition(node, "Ready").get("status") == "True"
