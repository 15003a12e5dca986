"""Reads the source: its pods, Targets, virtual nodes and their Leases, and its record of lost targets."""

import contextlib
from typing import Any

from federation import names
from federation.audit.collecting import Reader
from federation.kinds import CLUSTER_SUMMARIES, CLUSTER_TARGETS, TARGETS
from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, INGRESSES, LEASES, NAMESPACES, NODES, PODS, SERVICES
from federation.model.audit import MarkedPod, SeenLease, SeenNode, SeenOriginal, SeenSource
from federation.model.audit_parsing import (
    parse_marked_pod,
    parse_seen_lease,
    parse_seen_node,
    parse_seen_original,
    parse_seen_proxy,
)
from federation.model.left_behind import CONFIG_MAP, LeftBehind, parse_left_behind
from federation.model.pod import ProxyPod
from federation.model.target import parse_target

Manifest = dict[str, Any]

_LEASE_NAMESPACE = "kube-node-lease"


async def read_source(reader: Reader, namespace: str, own_name: str) -> SeenSource:
    """Return the source. Raises ApiError.

    `own_name` is what its agent calls it, where the agent does not say so itself. With a `namespace`, of virtual nodes
    and Leases only those that belong to Targets in it are kept.
    """
    cluster_id = str((await reader.api.get(NAMESPACES, "kube-system"))["metadata"]["uid"])
    targets = await reader.collect(TARGETS, parse_target, namespace=namespace)
    targets += await reader.collect(CLUSTER_TARGETS, parse_target)
    nodes, leases = await _nodes_and_leases(reader, namespace)
    pods = _Pods()
    await reader.collect(PODS, pods.take, namespace=namespace)
    return SeenSource(
        id=cluster_id,
        own_name=own_name or await cluster_name(reader.api),
        proxies=tuple(pods.proxies),
        pod_uids=frozenset(pods.uids),
        marked=tuple(pods.marked),
        originals=await _originals(reader, namespace),
        targets=targets,
        nodes=nodes,
        leases=leases,
        left_behind=await _left_behind(reader, namespace),
    )


async def _originals(reader: Reader, namespace: str) -> tuple[SeenOriginal, ...]:
    found: tuple[SeenOriginal, ...] = ()
    for resource in (SERVICES, INGRESSES):
        with contextlib.suppress(NotFound):  # a cluster without such a kind has none to follow
            found += await reader.collect(resource, parse_seen_original, namespace=namespace, is_metadata_only=True)
    return found


async def _left_behind(reader: Reader, namespace: str) -> tuple[LeftBehind, ...]:
    """Return what is on record of lost targets, in whatever namespace the agent runs."""
    records = await reader.collect(CONFIG_MAPS, parse_left_behind, field_selector=f"metadata.name={CONFIG_MAP}")
    return tuple(entry for record in records for entry in record if not namespace or entry.namespace in ("", namespace))


async def cluster_name(api: Api) -> str:
    """Return what a cluster's agent calls it, by its ClusterSummary; empty where there is none, or it does not say."""
    try:
        summary = await api.get(CLUSTER_SUMMARIES, names.SUMMARY_NAME)
    except NotFound:
        return ""
    return str(summary.get("clusterName") or "")


async def _nodes_and_leases(reader: Reader, namespace: str) -> tuple[tuple[SeenNode, ...], tuple[SeenLease, ...]]:
    every = await reader.collect(NODES, _node_with_namespace, label_selector=names.PROVIDER_KEY)
    nodes = tuple(node for node, where in every if not namespace or where in ("", namespace))
    others = {node.name for node, _ in every} - {node.name for node in nodes}
    found = await reader.collect(LEASES, parse_seen_lease, namespace=_LEASE_NAMESPACE)
    prefix = f"admiralty-{namespace}-" if namespace else ""
    leases = tuple(lease for lease in found if lease.name not in others and lease.name.startswith(prefix))
    return nodes, leases


def _node_with_namespace(manifest: Manifest) -> tuple[SeenNode, str] | None:
    node = parse_seen_node(manifest)
    if node is None:
        return None
    return node, (manifest["metadata"].get("labels") or {}).get(names.TARGET_NAMESPACE, "")


class _Pods:
    """Sorts the source's pods as they come, so that none is kept whole."""

    def __init__(self) -> None:
        self.proxies: list[ProxyPod] = []
        self.uids: set[str] = set()
        self.marked: list[MarkedPod] = []

    def take(self, manifest: Manifest) -> None:
        """Take in one pod."""
        self.uids.add(manifest["metadata"]["uid"])
        if (proxy := parse_seen_proxy(manifest)) is not None:
            self.proxies.append(proxy)
        elif (marked := parse_marked_pod(manifest)) is not None:
            self.marked.append(marked)
