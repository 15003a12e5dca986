"""A control plane with process kubelets of its own, for the tests of this room: started, stopped and killed at will."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from federation.kube.api import Api, connect
from federation.kube.errors import NotFound
from federation.kube.resources import NODES, PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.directory import LabDirectory
from lab.down import end_processes
from lab.engines.control_plane import Site, start_control_plane
from lab.engines.engine import kube_directory, load_engine
from lab.identities import KUBELET_USER, Identities
from lab.plan import EngineName, LabPlan, parse_clusters

Manifest = dict[str, Any]

NODE = "here"  # says what this machine is
FOREIGN_NODE = "there"  # says it is linux/riscv64, which this machine is not
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Kubelet:
    """The kubelet's program and its configuration file."""

    config: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, environment: dict[str, str] | None = None) -> None:
        """Start it."""
        command = [sys.executable, "-m", "lab.kubelet", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stderr=log, stdout=log, cwd=ROOT, env={**os.environ, **(environment or {})}
            )

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 20)


@dataclass
class Cluster:
    """A cluster to test in."""

    api: Api
    kubeconfig: Path
    kubelet: Kubelet
    root: Path
    identities: Identities
    pods: Store[Manifest] = field(default_factory=lambda: Store(lambda manifest: manifest))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, manifest: Manifest, namespace: str) -> Manifest:
        """Create a pod."""
        return await self.api.create(PODS, manifest, namespace)

    async def until(
        self, name: str, namespace: str, holds: Callable[[Manifest | None], bool], seconds: float = 30
    ) -> Manifest | None:
        """Wait until the pod (None: it has gone) is as wanted."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self.changed.clear()
                    pod = self.pods.get(namespace, name)
                    if holds(pod):
                        return pod
                    await self.changed.wait()
        except TimeoutError:
            found = self.pods.get(namespace, name)
            raise AssertionError(f"pod {name} stayed: {json.dumps((found or {}).get('status'), indent=1)}") from None

    async def until_phase(self, name: str, namespace: str, phase: str, seconds: float = 30) -> Manifest:
        """Wait until the pod has that phase."""
        pod = await self.until(name, namespace, lambda pod: pod is not None and phase_of(pod) == phase, seconds)
        assert pod is not None
        return pod

    async def until_gone(self, name: str, namespace: str, seconds: float = 30) -> None:
        """Wait until the API has no such pod."""
        await self.until(name, namespace, lambda pod: pod is None, seconds)

    async def logs(self, name: str, namespace: str, **query: str) -> str:
        """The pod's log through the API server."""
        path = PODS.path(namespace, name, "log")
        return (await self.api.request("GET", path, list(query.items()))).body.decode()

    async def kubectl(self, *arguments: str, input_: bytes = b"") -> tuple[int, str, str]:
        """Run kubectl; exit code, output, errors."""
        program = kube_directory() / "kubectl"
        process = await asyncio.create_subprocess_exec(
            program, f"--kubeconfig={self.kubeconfig}", *arguments, stdin=-1, stdout=-1, stderr=-1
        )
        out, err = await asyncio.wait_for(process.communicate(input_), 60)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def cluster(engine: EngineName, directory: Path, **settings: object) -> AsyncIterator[Cluster]:
    """A cluster with two nodes for the length of the block."""
    plan = LabPlan(directory / "lab", engine, parse_clusters("kubelet:linux/amd64"))
    lab = LabDirectory(plan.directory)
    lab.root.mkdir(parents=True)
    table = lab.processes(lab.create(plan).mark)
    identities = Identities("kubelet", lab.cluster("kubelet") / "keys")
    site = Site("kubelet", lab.cluster("kubelet"), lab.kubeconfig("kubelet"), load_engine(engine), identities, table)
    kubelet = Kubelet(directory / "kubelet.json", directory / "kubelet.log")
    try:
        url = await start_control_plane(site)
        _configure(kubelet, directory, identities, url, settings)
        kubelet.start()
        async with await connect(site.admin_kubeconfig) as api:
            found = Cluster(api, site.admin_kubeconfig, kubelet, directory / "root", identities)
            watching = asyncio.create_task(follow(api, PODS, found.pods))
            found.pods.subscribe(lambda *_: found.changed.set())
            await _nodes_ready(api, kubelet)
            try:
                yield found
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
    finally:
        if kubelet.process is not None and kubelet.process.poll() is None:
            await kubelet.stop()
        await end_processes(table)


def _configure(
    kubelet: Kubelet, directory: Path, identities: Identities, url: str, settings: dict[str, object]
) -> None:
    kubeconfig = identities.kubeconfig(directory / "kubelet.kubeconfig", url, KUBELET_USER, ("system:nodes",))
    keys = identities.server("node")
    node = {"tls_cert_file": str(keys.certificate), "tls_private_key_file": str(keys.key), "cpu": "2"}
    content = {
        "kubeconfig": str(kubeconfig),
        "root_dir": str(directory / "root"),
        "client_ca_file": str(identities.authority.certificate),
        "nodes": [{**node, "name": NODE}, {**node, "name": FOREIGN_NODE, "arch": "riscv64", "pods": 3}],
        "back_off_seconds": 1,
        "volume_refresh_seconds": 1,
        **settings,
    }
    kubelet.config.write_text(json.dumps(content), encoding="utf-8")


async def _nodes_ready(api: Api, kubelet: Kubelet) -> None:
    async with asyncio.timeout(30):
        for name in (NODE, FOREIGN_NODE):
            while not await _is_ready(api, name):
                assert kubelet.process is not None
                assert kubelet.process.poll() is None, kubelet.log.read_text(encoding="utf-8")
                await asyncio.sleep(0.05)


async def _is_ready(api: Api, name: str) -> bool:
    try:
        node = await api.get(NODES, name)
    except NotFound:
        return False
    return any(entry["type"] == "Ready" for entry in node.get("status", {}).get("conditions", ()))


def phase_of(pod: Manifest) -> str:
    """The phase, or an empty string."""
    return str(pod.get("status", {}).get("phase", ""))


def pod(name: str, *command: str, node: str = NODE, image: str = "busybox", **spec: Any) -> Manifest:
    """A pod of one container `main`, bound to a node; ends at once when told to, unless its spec says otherwise."""
    container: Manifest = {"name": "main", "image": image, **spec.pop("container", {})}
    if command:
        container["command"] = list(command)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **spec.pop("metadata", {})},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            **spec,
        },
    }
