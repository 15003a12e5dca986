"""The one rule, checked from outside: each chaperon against its proxy, each bound proxy against its chaperons.

    not yet bound        at most one chaperon in each eligible target, none of them allowed
    bound to X           exactly one, in X's target, allowed, and none elsewhere
    gone or terminating  none anywhere

Shares no code with `placement`, which keeps the rule: a misunderstanding there must not hide here.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from federation import names
from federation.decisions.following import is_waiting
from federation.model.audit import Finding, Observed, SeenChaperon, SeenCluster, Severity
from federation.model.pod import ProxyPod

_LIVE_SOURCE = "see that the source's agent runs and reaches this cluster; then delete the PodChaperon by hand"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A chaperon and the cluster that it is in."""

    cluster: SeenCluster
    seen: SeenChaperon

    @property
    def is_allowed(self) -> bool:
        return self.seen.chaperon.is_allowed and self.seen.is_live

    def finding(self, rule: str, severity: Severity, message: str, fix: str) -> Finding:
        chaperon = self.seen.chaperon
        where = (self.cluster.name, names.CHAPERON_KIND, chaperon.namespace, chaperon.name, chaperon.uid)
        return Finding(rule, severity, *where, message, fix)


def breaches(seen: Observed) -> Iterator[Finding]:
    """Yield everything in which proxies and chaperons do not fit together."""
    placed = [_Placed(cluster, one) for cluster in seen.clusters for one in cluster.chaperons]
    own_names = seen.source_names
    yield from _two_allowed(seen, placed)
    ours = [one for one in placed if one.seen.chaperon.parent_cluster_name in own_names]
    proxies = {proxy.uid: proxy for proxy in seen.source.proxies}
    nodes = _nodes(seen)
    for one in ours:
        proxy = proxies.get(one.seen.chaperon.parent_uid)
        if proxy is None:
            yield from _without_proxy(one, seen.source.pod_uids)
        else:
            yield from _with_proxy(one, proxy, nodes)
    yield from _several(ours)
    yield from _bound(seen, ours)


def _nodes(seen: Observed) -> dict[str, str]:
    """Return which virtual node stands for which target, also of Targets that are gone."""
    nodes = {node.target: node.name for node in seen.source.nodes}
    return nodes | {target.label: target.node_name for target in seen.source.targets}


def _two_allowed(seen: Observed, placed: list[_Placed]) -> Iterator[Finding]:
    """Judge all chaperons, other sources' too: whosever they are, one pod may run once."""
    allowed: defaultdict[str, list[_Placed]] = defaultdict(list)
    for one in placed:
        if one.is_allowed and one.seen.chaperon.parent_uid:
            allowed[one.seen.chaperon.parent_uid].append(one)
    for uid, several in allowed.items():
        if len(several) > 1:
            parent = several[0].seen.chaperon
            where = " and ".join(sorted(f"{one.cluster.name} ({one.seen.chaperon.name})" for one in several))
            is_ours = parent.parent_cluster_name in seen.source_names
            yield Finding(
                "two-allowed",
                Severity.VIOLATION,
                seen.source.name if is_ours else parent.parent_cluster_name,
                "Pod",
                parent.parent_namespace,
                parent.parent_name,
                uid,
                f"PodChaperons of this pod are allowed at once in {where}",
                "delete all of them but the one in the cluster that the pod is bound to",
            )


def _without_proxy(one: _Placed, pod_uids: frozenset[str]) -> Iterator[Finding]:
    """A chaperon whose parent is no proxy that lives."""
    chaperon = one.seen.chaperon
    if not one.seen.is_live:
        return
    parent = f"{chaperon.parent_key} (uid {chaperon.parent_uid})"
    if chaperon.parent_uid in pod_uids:
        message = f"its parent {parent} is not an elected pod"
        yield one.finding("parent-not-elected", Severity.VIOLATION, message, "delete the PodChaperon")
    elif chaperon.is_allowed:
        message = f"it is allowed, and its proxy pod {parent} does not exist"
        yield one.finding("allowed-orphan", Severity.VIOLATION, message, _LIVE_SOURCE)
    else:
        message = f"its proxy pod {parent} does not exist"
        yield one.finding("orphan", Severity.LEAK, message, _LIVE_SOURCE)


def _with_proxy(one: _Placed, proxy: ProxyPod, nodes: dict[str, str]) -> Iterator[Finding]:
    """A chaperon whose proxy lives: bound here, bound elsewhere, not bound, or about to go."""
    if not one.seen.is_live:
        return
    target, is_allowed = one.seen.target, one.seen.chaperon.is_allowed
    if target and names.PREFIX + target not in proxy.finalizers:
        message = f"its proxy pod has no finalizer {names.PREFIX}{target}: deleting it would leave this behind"
        yield one.finding("unrecorded-target", Severity.VIOLATION, message, "add the finalizer to the proxy pod")
    if proxy.is_terminating:
        message = f"its proxy pod {proxy.namespace}/{proxy.name} is terminating, and this is not being deleted"
        yield one.finding("outlives-proxy", Severity.LEAK, message, _LIVE_SOURCE)
    elif not proxy.node_name:
        if is_allowed:
            message = f"it is allowed, and its proxy pod {proxy.namespace}/{proxy.name} is not bound"
            fix = "bind the pod to this virtual node; where it may not go there, delete the chaperon"
            yield one.finding("allowed-unbound", Severity.VIOLATION, message, fix)
    elif not _is_here(one, proxy, nodes):
        rule, what = ("allowed-elsewhere", "is allowed") if is_allowed else ("chaperon-elsewhere", "is still here")
        message = f"it {what}, and its proxy pod is bound to {proxy.node_name}"
        yield one.finding(rule, Severity.VIOLATION, message, _LIVE_SOURCE)
    elif not is_allowed and is_waiting(proxy.waiting_message):
        yield one.finding("waits-for-configuration", Severity.WARNING, proxy.waiting_message, "see the message")
    elif not is_allowed:
        message = f"its proxy pod is bound to {proxy.node_name}, and it is not allowed"
        fix = "see that the source's agent runs and may write ConfigMaps, Secrets and PodChaperons here"
        yield one.finding("bound-not-allowed", Severity.VIOLATION, message, fix)


def _is_here(one: _Placed, proxy: ProxyPod, nodes: dict[str, str]) -> bool:
    if one.seen.target:
        return nodes.get(one.seen.target) == proxy.node_name
    return proxy.node_name in {target.node_name for target in one.cluster.targets}


def _several(ours: list[_Placed]) -> Iterator[Finding]:
    """More than one chaperon of one proxy for one target."""
    counted: defaultdict[tuple[str, str, str], list[_Placed]] = defaultdict(list)
    for one in ours:
        if one.seen.is_live:
            counted[one.cluster.key, one.seen.target, one.seen.chaperon.parent_uid].append(one)
    for several in counted.values():
        for one in sorted(several, key=lambda one: one.seen.chaperon.name)[1:]:
            message = f"it is one of {len(several)} PodChaperons of {one.seen.chaperon.parent_key} here"
            yield one.finding("several-chaperons", Severity.VIOLATION, message, "delete all but the allowed one")


def _bound(seen: Observed, ours: list[_Placed]) -> Iterator[Finding]:
    """A bound proxy whose chaperon is missing, or that is bound to a node that nothing stands behind."""
    targets = {target.node_name: target for target in seen.source.targets}
    read = {target.node_name for cluster in seen.clusters for target in cluster.targets}
    served = {
        (one.seen.chaperon.parent_uid, node)
        for one in ours
        for node in ({target.node_name for target in one.cluster.targets if one.seen.target in ("", target.label)})
    }
    for proxy in seen.source.proxies:
        if not proxy.node_name or proxy.is_terminating or proxy.is_finished:
            continue
        if proxy.node_name not in targets:
            message = f"it is bound to {proxy.node_name}, and no Target or ClusterTarget stands behind that"
            fix = "create the Target again, or delete the pod"
            yield _proxy_finding(seen, proxy, "bound-without-target", Severity.LEAK, message, fix)
        elif proxy.node_name in read and (proxy.uid, proxy.node_name) not in served:
            message = f"it is bound to {proxy.node_name}, and there is no PodChaperon of it in that target"
            fix = "see that the source's agent runs and may create PodChaperons there"
            yield _proxy_finding(seen, proxy, "bound-without-chaperon", Severity.VIOLATION, message, fix)


def _proxy_finding(seen: Observed, proxy: ProxyPod, rule: str, severity: Severity, message: str, fix: str) -> Finding:
    where = (seen.source.name, "Pod", proxy.namespace, proxy.name, proxy.uid)
    return Finding(rule, severity, *where, message, fix)
