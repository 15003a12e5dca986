"""A sound federation as an audit sees it, to be spoilt in one place: a bound pod, one that waits, two targets."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from federation import names
from federation.model.audit import (
    Observed,
    SeenChaperon,
    SeenCluster,
    SeenCopy,
    SeenLease,
    SeenNode,
    SeenOriginal,
    SeenPod,
    SeenSource,
)
from federation.model.audit_parsing import (
    parse_seen_chaperon,
    parse_seen_copy,
    parse_seen_pod,
    parse_seen_proxy,
)
from federation.model.pod import ProxyPod
from federation.model.target import Target, parse_target

Manifest = dict[str, Any]

HOME = "home"
MADE = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def target(name: str) -> Target:
    """The Target `ci/<name>`."""
    spec = {"kubeconfigSecret": {"name": name}}
    return parse_target({"metadata": {"name": name, "namespace": "ci", "uid": f"target-{name}"}, "spec": spec})


ARM, WINDOWS = target("arm"), target("windows")


def proxy(name: str, node: str = "", finalizers: tuple[str, ...] = (ARM.finalizer, WINDOWS.finalizer)) -> ProxyPod:
    """A proxy pod; its uid is `uid-<name>`."""
    metadata: Manifest = {
        "name": name,
        "namespace": "ci",
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "annotations": {names.ELECT: "", names.SOURCE_POD_MANIFEST: "{}"},
        "finalizers": list(finalizers),
    }
    spec: Manifest = {"containers": [{"name": "main"}]} | ({"nodeName": node} if node else {})
    found = parse_seen_proxy({"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}})
    assert found is not None
    return found


def chaperon(
    parent: str,
    to: str,
    *marks: str,
    label: str | None = None,
    source: str = HOME,
    suffix: str = "",
    terminating: bool = False,
) -> SeenChaperon:
    """The chaperon of a proxy in a target; its uid is `chaperon-<parent>-<to>`."""
    metadata: Manifest = {
        "name": f"{parent}-{to}{suffix}",
        "namespace": "ci",
        "uid": f"chaperon-{parent}-{to}{suffix}",
        "resourceVersion": "3",
        "annotations": {names.PARENT_NAMESPACE: "ci", names.PARENT_NAME: parent, **dict.fromkeys(marks, "true")},
        "labels": {
            names.PARENT_UID: f"uid-{parent}",
            names.PARENT_CLUSTER_NAME: source,
            names.TARGET: f"ci-{to}" if label is None else label,
        },
    }
    if terminating:
        metadata["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    return parse_seen_chaperon({"metadata": metadata, "spec": {}})


def pod_of(seen: SeenChaperon, node: str = "", owner: str | None = None, scheduler: str = "") -> SeenPod:
    """The pod of a chaperon."""
    uid = seen.chaperon.uid if owner is None else owner
    reference = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "uid": uid, "controller": True}
    metadata = {
        "name": seen.chaperon.name,
        "namespace": "ci",
        "uid": f"pod-of-{seen.chaperon.uid}",
        "labels": {names.PARENT_UID: seen.chaperon.parent_uid},
        "ownerReferences": [reference] if uid else [],
    }
    spec = {"schedulerName": scheduler or names.CANDIDATE_SCHEDULER} | ({"nodeName": node} if node else {})
    found = parse_seen_pod({"metadata": metadata, "spec": spec})
    assert found is not None
    return found


def copy(kind: str, *owners: str, source: str = HOME, original: str = "original") -> SeenCopy:
    """A copy `ci/settings` with these chaperons as its owners, or of the Service with this uid."""
    metadata = {
        "name": "settings",
        "namespace": "ci",
        "uid": f"copy-{kind}",
        "labels": {names.PARENT_CLUSTER_NAME: source, names.PARENT_UID: original},
        "ownerReferences": [
            {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "uid": uid} for uid in owners
        ],
    }
    found = parse_seen_copy({"kind": kind, "metadata": metadata})
    assert found is not None
    return found


RUNNING = chaperon("job", "arm", names.IS_RESERVED, names.IS_ALLOWED)
WAITING = chaperon("waiting", "arm", names.IS_RESERVED), chaperon("waiting", "windows")


def sound() -> Observed:
    """`job` runs in arm with a Secret and a Service; `waiting` was asked for in both, and arm holds a node for it."""
    service = SeenOriginal("Service", "ci", "web", "uid-web", (ARM.finalizer, WINDOWS.finalizer))
    source = SeenSource(
        id="home-id",
        own_name=HOME,
        proxies=(proxy("job", ARM.node_name, (ARM.finalizer,)), proxy("waiting")),
        pod_uids=frozenset({"uid-job", "uid-waiting", "uid-ordinary"}),
        targets=(ARM, WINDOWS),
        originals=(service,),
        nodes=tuple(SeenNode(t.node_name, f"node-{t.name}", t.label, False) for t in (ARM, WINDOWS)),
        leases=tuple(SeenLease(t.node_name, f"lease-{t.name}", f"node-{t.name}") for t in (ARM, WINDOWS)),
    )
    arm = SeenCluster(
        "arm-id",
        "arm",
        (ARM,),
        chaperons=(RUNNING, WAITING[0]),
        pods=(pod_of(RUNNING, "arm-node"), pod_of(WAITING[0])),
        copies=(copy("Secret", RUNNING.chaperon.uid), copy("Service", original="uid-web")),
    )
    windows = SeenCluster("windows-id", "windows", (WINDOWS,), chaperons=(WAITING[1],), pods=(pod_of(WAITING[1]),))
    return Observed(source, (arm, windows))


def in_source(seen: Observed, **values: Any) -> Observed:
    """The same with other values in the source."""
    return replace(seen, source=replace(seen.source, **values))


def in_cluster(seen: Observed, name: str, **values: Any) -> Observed:
    """The same with other values in a cluster."""
    clusters = tuple(replace(c, **values) if c.name == name else c for c in seen.clusters)
    return replace(seen, clusters=clusters)


def adding(seen: Observed, name: str, *chaperons: SeenChaperon, node: str = "") -> Observed:
    """The same with more chaperons, and their pods, in a cluster."""
    cluster = next(c for c in seen.clusters if c.name == name)
    pods = tuple(pod_of(one, node if one.chaperon.is_allowed else "") for one in chaperons)
    return in_cluster(seen, name, chaperons=cluster.chaperons + chaperons, pods=cluster.pods + pods)
