"""Reads one cluster as a target: its chaperons, their pods, and the copies that sources brought.

Copies are read as metadata only: nobody needs a Secret's data to see that it is left over. A Target's own kubeconfig
may not read those of ConfigMaps and Secrets at all (its role lets a source write them, rule T3), and that is said.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from federation import names
from federation.audit.collecting import Reader
from federation.kinds import CLUSTER_SUMMARIES, POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import Forbidden, NotFound
from federation.kube.resources import CONFIG_MAPS, INGRESSES, NAMESPACES, PODS, SECRETS, SERVICES, Resource
from federation.model.audit import SeenChaperon, SeenCluster, SeenCopy, SeenPod, Unread
from federation.model.audit_parsing import (
    parse_seen_chaperon,
    parse_seen_copy,
    parse_seen_pod,
)
from federation.model.target import Target

_COPIED = (CONFIG_MAPS, SECRETS, SERVICES, INGRESSES)
_GREETING_SECONDS = 5.0  # a cluster that does not answer so small a question is taken for unreachable
_ADVICE = "its kubeconfig may not list them; give one that may (--target-kubeconfig, deploy/rbac/auditor.yaml)"

Opener = Callable[[], Awaitable[Api]]


@dataclass(frozen=True, slots=True)
class Door:
    """One way into a cluster: the Targets that it stands for, and the namespaces to look at ("" for all)."""

    name: str
    targets: tuple[Target, ...]
    namespaces: tuple[str, ...]
    open: Opener = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inside:
    """What one door showed."""

    cluster: SeenCluster
    unread: tuple[Unread, ...] = ()


async def read_target(reader: Reader, door: Door) -> Inside:
    """Return what is behind a door. Raises ApiError where it could not be read whole."""
    cluster_id = await _identify(reader.api)
    chaperons: list[SeenChaperon] = []
    pods: list[SeenPod] = []
    copies: list[SeenCopy] = []
    unseen: list[str] = []
    for namespace in door.namespaces:
        chaperons += await reader.collect(POD_CHAPERONS, parse_seen_chaperon, namespace=namespace)
        pods += await reader.collect(PODS, parse_seen_pod, namespace=namespace)
        for resource in _COPIED:
            found, missing = await _read_copies(reader, resource, namespace)
            copies += found
            unseen += missing
    seen = SeenCluster(cluster_id, door.name, door.targets, tuple(chaperons), tuple(pods), tuple(copies))
    what = f"copies that are left over ({', '.join(unseen)})"
    by_design = (Unread(door.name, what, _ADVICE, is_by_design=True),) if unseen else ()
    return Inside(seen, (*by_design, *reader.unreadable))


async def _identify(api: Api) -> str:
    """Return the cluster's id (kube-system's uid), or an empty string where it does not let us know."""
    await api.request("GET", "/version", timeout_seconds=_GREETING_SECONDS)
    try:
        return str((await api.get(NAMESPACES, "kube-system"))["metadata"]["uid"])
    except Forbidden:
        pass
    try:
        return str((await api.get(CLUSTER_SUMMARIES, names.SUMMARY_NAME)).get("clusterID") or "")
    except (Forbidden, NotFound):
        return ""


async def _read_copies(reader: Reader, resource: Resource, namespace: str) -> tuple[tuple[SeenCopy, ...], list[str]]:
    """Return the copies of one kind, and in words which could not be seen."""
    try:
        found = await reader.collect(
            resource,
            parse_seen_copy,
            namespace=namespace,
            label_selector=names.PARENT_CLUSTER_NAME,
            is_metadata_only=True,
        )
        return found, []
    except NotFound:
        return (), []  # this cluster has no such kind, and so no copy of it
    except Forbidden:
        return (), [resource.plural]
