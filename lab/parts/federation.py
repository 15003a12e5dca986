"""The federation: in each cluster an agent, in each target a candidate scheduler with its extender, Targets at home.

Every cluster is a target, the source too (`self: true`). The others let the source in by a ClusterSource each, and what
their agents issue for it is what its Targets use. In a real installation `deploy/` is applied and Deployments run the
same programs; here they are processes with client certificates, and the webhook is reached by its URL.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from federation.kinds import CLUSTER_SOURCES, TARGETS
from federation.kube.api import Api
from federation.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, NAMESPACES, NODES, SECRETS
from federation.names import (
    API_VERSION,
    CANDIDATE_SCHEDULER,
    NAMESPACE_LABEL,
    NAMESPACE_LABEL_VALUE,
    virtual_node_name,
)
from lab.construction import WORK_NAMESPACE, Cluster, Construction, isthmus, shipped
from lab.directory import LabDirectory
from lab.engines.control_plane import scheduler_configuration, with_ports
from lab.parts.manifests import Manifest, apply, create, read
from lab.parts.nodes import is_ready
from lab.pki import write_private
from lab.plan import EngineName
from lab.ports import Ports
from lab.processes import Process
from lab.waiting import until_object, until_serving

AGENT_USER = "isthmus-agent"
EXTENDER_USER = "isthmus-extender"
CANDIDATE_SCHEDULER_USER = "isthmus-candidate-scheduler"

READY_SECONDS = 60
# Longer than any hold (rule M3): the extender ends a hold, never the scheduler's client.
EXTENDER_HTTP_TIMEOUT = "120s"


def source_kubeconfig(directory: LabDirectory, cluster: str) -> Path:
    """Where the credential is kept by which the source reaches another cluster."""
    return directory.cluster(cluster) / "source.kubeconfig"


def kinds() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of the federation."""
    return read(sorted((shipped("deploy") / "crds").glob("*.yaml")))


async def start_in_cluster(lab: Construction, cluster: Cluster) -> None:
    """Apply `deploy/` and start the cluster's own programs."""
    is_source = cluster.name == lab.plan.source.name
    deploy = shipped("deploy")
    has_policies = lab.plan.engine is EngineName.KUBE  # the embedded API server cannot evaluate their expressions
    paths = _rights(deploy) + (sorted((deploy / "policies").glob("*.yaml")) if has_policies else [])
    manifests = read([*paths, deploy / "webhook.yaml"] if is_source else paths)
    await apply(cluster.api, manifests, _understood if lab.plan.engine is EngineName.EMBEDDED else lambda m: m)
    async with asyncio.TaskGroup() as group:
        group.create_task(_start_agent(lab, cluster, is_source=is_source))
        group.create_task(_start_candidate_scheduler(lab, cluster))
    lab.report(f"{cluster.name}: agent, extender and candidate scheduler ready")
    if not is_source:
        await _let_in(lab, cluster, lab.plan.source.name)


async def _let_in(lab: Construction, cluster: Cluster, source: str) -> None:
    """Let the source into a target, as the target's owner would, and keep the kubeconfig that its agent issues."""
    account = {"name": f"source-{source}", "namespace": "isthmus"}
    manifest = {"apiVersion": API_VERSION, "kind": "ClusterSource", "metadata": {"name": source}}
    await create(cluster.api, CLUSTER_SOURCES, manifest | {"spec": {"serviceAccount": account}})
    await until_object(
        cluster.api,
        CLUSTER_SOURCES,
        lambda found: bool(found["metadata"]["name"] == source and found.get("status", {}).get("credential")),
        relies_on=[process for process in lab.processes.all() if process.name == f"{cluster.name}.agent"],
        what=f"{cluster.name}: credential for {source} issued",
        seconds=READY_SECONDS,
    )
    where = (await cluster.api.get(CLUSTER_SOURCES, source))["status"]["credential"]
    secret = await cluster.api.get(SECRETS, where["secretName"], where["secretNamespace"])
    write_private(source_kubeconfig(lab.directory, cluster.name), base64.b64decode(secret["data"][where["key"]]))
    lab.report(f"{cluster.name}: let {source} in")


def _understood(manifest: Manifest) -> Manifest:
    """Without matchConditions, which the embedded API server cannot evaluate: our webhook asks the same itself."""
    if manifest["kind"] != "MutatingWebhookConfiguration":
        return manifest
    webhooks = [
        {key: value for key, value in webhook.items() if key != "matchConditions"} for webhook in manifest["webhooks"]
    ]
    return {**manifest, "webhooks": webhooks}


def _rights(deploy: Path) -> list[Path]:
    # Bridge and job pods are other parts' business; they name a namespace that only those create.
    others = {"bridge.yaml", "bridge-deployments.yaml", "runner-kubernetes-executor.yaml"}
    return [path for path in sorted((deploy / "rbac").glob("*.yaml")) if path.name not in others]


async def join(lab: Construction) -> None:
    """Make the work namespace one whose elected pods are federated, with a Target for each cluster."""
    home = lab.source
    labels = {"metadata": {"labels": {NAMESPACE_LABEL: NAMESPACE_LABEL_VALUE}}}
    await home.api.patch(NAMESPACES, WORK_NAMESPACE, labels)
    agents = [process for process in lab.processes.all() if process.role == "agent"]
    names = [plan.name for plan in lab.plan.clusters]
    await add_targets(home.api, lab.directory, names, WORK_NAMESPACE, relies_on=agents)
    lab.report(f"{home.name}: {len(names)} virtual nodes Ready")


async def add_targets(
    home: Api, directory: LabDirectory, clusters: Sequence[str], namespace: str, *, relies_on: Sequence[Process] = ()
) -> None:
    """Create a Target for each cluster in a namespace of the first, and wait until their virtual nodes are Ready."""
    source = clusters[0]
    for name in clusters:
        metadata = {"name": name, "namespace": namespace}
        spec: dict[str, object] = {"self": True}
        if name != source:
            data = {"config": base64.b64encode(source_kubeconfig(directory, name).read_bytes()).decode()}
            await create(home, SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            spec = {"kubeconfigSecret": {"name": name}}
        target = {"apiVersion": API_VERSION, "kind": "Target", "metadata": metadata, "spec": spec}
        await create(home, TARGETS, target)
    wanted = {virtual_node_name(namespace, name) for name in clusters}
    await until_object(
        home,
        NODES,
        lambda node: node["metadata"]["name"] in wanted and is_ready(node),
        count=len(wanted),
        relies_on=relies_on,
        what=f"{source}: virtual nodes {', '.join(sorted(wanted))} Ready",
        seconds=READY_SECONDS,
    )


async def _start_agent(lab: Construction, cluster: Cluster, *, is_source: bool) -> None:
    """Start the agent; in the source, return when the API server can call its webhook."""

    async def attempt(ports: Ports, chosen: list[int]) -> str:
        url = f"https://127.0.0.1:{chosen[0]}"
        has_policies = lab.plan.engine is EngineName.KUBE
        env = {
            "ISTHMUS_AGENT_ALLOW_SOURCES_WITHOUT_POLICIES": str(not has_policies).lower(),
            "ISTHMUS_AGENT_KUBECONFIG": str(cluster.kubeconfig(AGENT_USER)),
            "ISTHMUS_AGENT_CLUSTER_NAME": cluster.name,
            "ISTHMUS_AGENT_LEADER_ELECT": "false",  # it is alone, and a machine that runs a lab may stall for seconds
            "ISTHMUS_AGENT_API_SERVER_URL": cluster.url,
            "ISTHMUS_AGENT_WEBHOOK_ENABLED": str(is_source).lower(),
            "ISTHMUS_AGENT_WEBHOOK_BIND": "127.0.0.1",
            "ISTHMUS_AGENT_WEBHOOK_PORT": str(chosen[0]),
            "ISTHMUS_AGENT_WEBHOOK_URL": url,
            "ISTHMUS_AGENT_GATEWAY_ADDRESS": "127.0.0.1",
            "ISTHMUS_AGENT_DIALABLE": "127.0.0.0/8",  # every cluster of a lab is at this machine
            # The lab's own pods have 127.0.0.1, which is never believed of another cluster; tests play such pods.
            "ISTHMUS_AGENT_ENDPOINT_CIDRS": json.dumps({"*": ["10.64.0.0/16"]}),
        }
        ports.release()
        process = lab.start("agent", isthmus("agent"), cluster=cluster.name, env=env)
        if is_source:
            await until_serving(process, lambda: _answers(f"{url}/readyz"), seconds=READY_SECONDS)
            await _until_registered(cluster, process)
        return url

    await with_ports(1, attempt)


async def _until_registered(cluster: Cluster, process: Process) -> None:
    await until_object(
        cluster.api,
        MUTATING_WEBHOOK_CONFIGURATIONS,
        lambda configuration: all(hook["clientConfig"].get("caBundle") for hook in configuration["webhooks"]),
        relies_on=[process],
        what=f"{cluster.name}: webhook registered",
        seconds=READY_SECONDS,
    )


async def _start_candidate_scheduler(lab: Construction, cluster: Cluster) -> None:
    """Start the extender, then the scheduler that calls it."""

    password = secrets.token_urlsafe(24)
    password_file = cluster.directory / "extender-password"
    write_private(password_file, password.encode())

    async def attempt(ports: Ports, chosen: list[int]) -> str:
        env = {
            "ISTHMUS_EXTENDER_SECRET_FILE": str(password_file),
            "ISTHMUS_EXTENDER_KUBECONFIG": str(cluster.kubeconfig(EXTENDER_USER)),
            "ISTHMUS_EXTENDER_PORT": str(chosen[0]),
        }
        url = f"http://127.0.0.1:{chosen[0]}"
        ports.release()
        process = lab.start("extender", isthmus("extender"), cluster=cluster.name, env=env)
        await until_serving(process, lambda: _answers(f"{url}/healthz"), seconds=READY_SECONDS)
        return f"http://scheduler:{password}@127.0.0.1:{chosen[0]}"

    extender = {
        "urlPrefix": await with_ports(1, attempt),
        "bindVerb": "bind",
        "httpTimeout": EXTENDER_HTTP_TIMEOUT,
        "nodeCacheCapable": True,
        "weight": 1,
    }
    kubeconfig = cluster.kubeconfig(CANDIDATE_SCHEDULER_USER)
    config = cluster.directory / "candidate-scheduler.json"
    text = json.dumps(scheduler_configuration(kubeconfig, CANDIDATE_SCHEDULER, [extender]), indent=2)
    write_private(config, text.encode())
    command = [*lab.engine.scheduler, f"--config={config}", "--secure-port=0"]
    lab.start("candidate-scheduler", command, cluster=cluster.name)


async def _answers(url: str) -> bool:
    """Whether a server of the lab says it is well; who it is, the API server will check by its caBundle."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(url, ssl=False) as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
