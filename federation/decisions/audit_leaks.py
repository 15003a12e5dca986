"""What is left where nobody will remember it: copies, virtual nodes, Leases, finalizers, labels, lost targets."""

from collections.abc import Iterator, Mapping

from federation import names
from federation.decisions.following import is_waiting
from federation.model.audit import Finding, Observed, SeenChaperon, SeenCluster, SeenCopy, SeenOriginal, Severity
from federation.model.left_behind import CONFIG_MAP, LeftBehind
from federation.model.pod import ProxyPod

_PODS_SHOWN = 3


def leaks(seen: Observed) -> Iterator[Finding]:
    """Yield what nobody will remove."""
    ours = seen.source_names
    originals = {original.uid: original for original in seen.source.originals}
    waiting = frozenset(proxy.uid for proxy in seen.source.proxies if is_waiting(proxy.waiting_message))
    for cluster in seen.clusters:
        yield from _owned_copies(cluster, ours, waiting)
        yield from _following_copies(cluster, ours, originals)
        yield from _identity(cluster)
    yield from _virtual_nodes(seen)
    yield from _leases(seen)
    yield from _finalizers(seen)
    for entry in seen.source.left_behind:
        yield _left_behind(entry)


def _owned_copies(cluster: SeenCluster, ours: frozenset[str], waiting: frozenset[str]) -> Iterator[Finding]:
    """A ConfigMap or Secret has the chaperons that need it as owners, and is brought for a committed one only.

    `waiting` are the uids of bound proxies of which some configuration is there and some is not (rule T6).
    """
    chaperons = {seen.chaperon.uid: seen for seen in cluster.chaperons}
    for copy in cluster.copies:
        if copy.is_terminating or copy.follows_original:
            continue
        living = [chaperons[uid] for uid in copy.owners if uid in chaperons]
        if living:
            if not any(_may_have_copies(one, waiting) for one in living):
                message = "none of the PodChaperons that own it is allowed: a losing cluster must never see it"
                yield _of_copy(cluster, copy, "copied-too-early", Severity.VIOLATION, message, "delete the copy")
        elif copy.owners or copy.parent_cluster_name in ours:
            # Another source without owners may be Admiralty's, which keeps its copies by hand.
            what = "no PodChaperon that owns it exists" if copy.owners else "no PodChaperon owns it"
            message = f"{what}: it stays for ever"
            yield _of_copy(cluster, copy, "copy-without-owner", Severity.LEAK, message, "delete the copy")


def _may_have_copies(one: SeenChaperon, waiting: frozenset[str]) -> bool:
    return one.chaperon.is_allowed or not one.is_live or one.chaperon.parent_uid in waiting


def _following_copies(
    cluster: SeenCluster, ours: frozenset[str], originals: Mapping[str, SeenOriginal]
) -> Iterator[Finding]:
    """A Service or Ingress is there as long as its original, which has this target on record (rule S3)."""
    finalizers = {target.finalizer for target in cluster.targets}
    for copy in cluster.copies:
        if copy.is_terminating or not copy.follows_original or copy.parent_cluster_name not in ours:
            continue
        original = originals.get(copy.parent_uid)
        if original is None:
            message = f"the {copy.kind} of the source that it is a copy of (uid {copy.parent_uid}) does not exist"
            yield _of_copy(cluster, copy, "copy-without-original", Severity.LEAK, message, "delete the copy")
        elif finalizers and not finalizers & set(original.finalizers):
            message = f"its original has none of {', '.join(sorted(finalizers))}: deleting that would leave this behind"
            fix = "see that the source's agent runs"
            yield _of_copy(cluster, copy, "unrecorded-copy", Severity.LEAK, message, fix)


def _identity(cluster: SeenCluster) -> Iterator[Finding]:
    """A Target leads to the cluster that it led to when its chaperons were made (rule S4)."""
    for target in cluster.targets:
        recorded = target.status.get("clusterID")
        if recorded and cluster.id and recorded != cluster.id:
            kind = "Target" if target.namespace else "ClusterTarget"
            message = (
                f"it leads to the cluster {cluster.id}, and led to {recorded} before: what it had there is not here"
            )
            fix = "give it the kubeconfig of that cluster again, or delete it and create another"
            where = (cluster.name, kind, target.namespace, target.name, target.uid)
            yield Finding("another-cluster", Severity.VIOLATION, *where, message, fix)


def _of_copy(cluster: SeenCluster, copy: SeenCopy, rule: str, severity: Severity, message: str, fix: str) -> Finding:
    return Finding(rule, severity, cluster.name, copy.kind, copy.namespace, copy.name, copy.uid, message, fix)


def _virtual_nodes(seen: Observed) -> Iterator[Finding]:
    source = seen.source
    targets = {target.label: target for target in source.targets}
    busy = {proxy.node_name for proxy in source.proxies}
    for node in source.nodes:
        # One that proxies are bound to stays until they are gone; those proxies are findings themselves.
        if node.target not in targets and node.name not in busy and not node.is_terminating:
            message = f"the Target or ClusterTarget that it stands for ({node.target}) does not exist"
            where = (source.name, "Node", "", node.name, node.uid)
            yield Finding("node-without-target", Severity.LEAK, *where, message, "delete the Node")
    there = {node.name for node in source.nodes}
    for target in source.targets:
        if target.node_name not in there:
            kind = "Target" if target.namespace else "ClusterTarget"
            message = f"it has no virtual node {target.node_name}: no pod can go there"
            fix = "see its status and the agent's log: its kubeconfig may be unusable"
            where = (source.name, kind, target.namespace, target.name, target.uid)
            yield Finding("target-without-node", Severity.WARNING, *where, message, fix)


def _leases(seen: Observed) -> Iterator[Finding]:
    nodes = {node.name: node.uid for node in seen.source.nodes}
    for lease in seen.source.leases:
        if lease.name not in nodes:
            message, fix = "there is no virtual node of its name", "delete the Lease"
            where = (seen.source.name, "Lease", "kube-node-lease", lease.name, lease.uid)
            yield Finding("lease-without-node", Severity.LEAK, *where, message, fix)


def _finalizers(seen: Observed) -> Iterator[Finding]:
    source = seen.source
    for proxy in source.proxies:
        known = {target.finalizer for target in source.targets if target.serves(proxy.namespace)}
        if unknown := sorted(set(proxy.finalizers) - known):
            yield _unknown(source.name, proxy, ", ".join(unknown))
    for original in source.originals:
        known = {target.finalizer for target in source.targets if target.serves(original.namespace)}
        if unknown := sorted(set(original.finalizers) - known):
            message = f"finalizers of targets that do not exist: {', '.join(unknown)}"
            where = (source.name, original.kind, original.namespace, original.name, original.uid)
            yield Finding("finalizer-of-unknown-target", Severity.LEAK, *where, message, "remove the finalizer")
    for pod in source.marked:
        where = (source.name, "Pod", pod.namespace, pod.name, pod.uid)
        if pod.finalizers:
            message = f"it is not elected, and has {', '.join(pod.finalizers)}: it can never be deleted"
            fix = "remove the finalizer"
            yield Finding("finalizer-on-ordinary-pod", Severity.LEAK, *where, message, fix)
        else:
            message = f"it is not elected, and has the label {names.HAS_FINALIZER}"
            yield Finding("label-without-election", Severity.WARNING, *where, message, "remove the label")


def _unknown(cluster: str, proxy: ProxyPod, finalizers: str) -> Finding:
    """An agent drops such a finalizer once it settles the pod; while the pod waits to be placed it may stay."""
    is_due = proxy.is_terminating or bool(proxy.node_name)
    message = f"finalizers of targets that do not exist: {finalizers}"
    where = (cluster, "Pod", proxy.namespace, proxy.name, proxy.uid)
    severity = Severity.LEAK if is_due else Severity.WARNING
    return Finding("finalizer-of-unknown-target", severity, *where, message, "remove the finalizer")


def _left_behind(entry: LeftBehind) -> Finding:
    """Its agent clears it up where a Target leads to that cluster, so what stays on record can be reached by nobody."""
    kind = "Target" if entry.namespace else "ClusterTarget"
    cluster = entry.cluster_id or "a cluster that did not tell its id"
    shown = ", ".join(entry.pods[:_PODS_SHOWN]) + (", ..." if entry.pod_count > _PODS_SHOWN else "")
    held = f"{entry.pod_count} pods may have left something there ({shown})" if entry.pod_count else "without a pod"
    message = f"it was given up at {entry.since} while it could not be reached: {held}"
    fix = (
        "create a Target to that cluster again, and the agent clears up; if it is gone for good, delete the entry "
        f"{entry.key} of the ConfigMap {CONFIG_MAP}"
    )
    severity = Severity.LEAK if entry.pod_count else Severity.WARNING
    return Finding("left-behind", severity, cluster, kind, entry.namespace, entry.name, "", message, fix)
