"""A namespace whose Targets lead to strangers, and what their victims must still be able to do."""

import base64
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation import names
from federation.kinds import TARGETS
from federation.kube.errors import NotFound
from federation.kube.resources import NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS
from lab.running import RunningLab
from lab.waiting import until_object
from tests.protocol.federation import Federation, Manifest, condition, phase
from tests.strangers.hostile import HostileTarget

GOOD = "arm-lab"


def encoded(kubeconfig: object) -> str:
    """A kubeconfig (data, or the text of one) as a Secret carries it."""
    text = kubeconfig if isinstance(kubeconfig, str) else json.dumps(kubeconfig)
    return base64.b64encode(text.encode()).decode()


async def new_namespace(lab: RunningLab) -> str:
    """Make a namespace for a whole module's tests, in every cluster."""
    name = f"siege-{secrets.token_hex(4)}"
    metadata = {"name": name, "labels": {names.NAMESPACE_LABEL: names.NAMESPACE_LABEL_VALUE}}
    for cluster, api in lab.apis.items():
        await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        what = f"{cluster}: service account {name}/default"
        await until_object(
            api,
            SERVICE_ACCOUNTS,
            lambda a: bool(a["metadata"]["name"] == "default"),
            namespace=name,
            what=what,
            seconds=30,
        )
    return name


async def add_target(federation: Federation, name: str, kubeconfig: object, **spec: Any) -> None:
    """Make a Target that leads where a kubeconfig says."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"config": encoded(kubeconfig)}}
    await federation.home.create(SECRETS, secret, federation.namespace)
    target = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": name}}
    target["spec"] = {"kubeconfigSecret": {"name": name}} | spec
    await federation.home.create(TARGETS, target, federation.namespace)


async def add_hostile(federation: Federation, name: str, hostile: HostileTarget) -> None:
    """Make a Target of a stranger's, and wait until the agent takes it for a good one."""
    await add_target(federation, name, hostile.kubeconfig())
    await until_ready(federation, name, "True")


async def drop_target(federation: Federation, name: str) -> None:
    """Ask for a Target's end without waiting for it."""
    with suppress(NotFound):
        await federation.home.delete(TARGETS, name, federation.namespace)


async def until_ready(
    federation: Federation, name: str, status: str, reason: str = "", seconds: float = 20
) -> Manifest:
    """Wait until a Target's condition Ready has a status (and a reason); returns the condition."""

    def holds(target: Manifest | None) -> bool:
        found = condition(target, "Ready") if target else {}
        return bool(found.get("status") == status and (not reason or found.get("reason") == reason))

    target = await federation.until(federation.home, TARGETS, name, holds, seconds=seconds)
    return condition(target, "Ready")


@dataclass(frozen=True, slots=True)
class Witness:
    """The agent of a cluster, as it was when the test began."""

    federation: Federation
    pid: int
    log_bytes: int

    @classmethod
    def of(cls, federation: Federation, cluster: str = "", role: str = "agent") -> "Witness":
        """Remember which process serves now."""
        process = federation.process(role, cluster or federation.lab.source)
        return cls(federation, process.pid, log_of(federation, cluster or federation.lab.source, role).stat().st_size)

    def said(self, cluster: str = "", role: str = "agent") -> str:
        """What it has logged since."""
        with log_of(self.federation, cluster or self.federation.lab.source, role).open("rb") as log:
            log.seek(self.log_bytes)
            return log.read().decode(errors="replace")

    def assert_lives(self, cluster: str = "", role: str = "agent") -> None:
        """Check that the same process still serves, and that nothing escaped it."""
        now = self.federation.process(role, cluster or self.federation.lab.source).pid
        assert now == self.pid, f"the {role} was started anew"
        assert "Traceback" not in self.said(cluster, role)


def log_of(federation: Federation, cluster: str, role: str) -> Path:
    """The log of a program."""
    return federation.lab.directory.root / "logs" / f"{cluster}.{role}.log"


async def until_it_runs(federation: Federation, name: str, target: str) -> None:
    """Wait until a pod is said to run behind a Target."""
    running = await federation.until_pod(name, lambda p: p and phase(p) == "Running")
    assert running["spec"]["nodeName"] == federation.node(target)


async def assert_good_pods_run(federation: Federation, seconds: float = 20) -> None:
    """Check that a pod for the good target runs there, and end it."""
    name = await federation.submit(only=GOOD)
    assert await federation.until_running(name, seconds) == GOOD
    await federation.home.delete(PODS, name, federation.namespace)
