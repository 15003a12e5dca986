"""A target's own part: one pod for every chaperon, a chaperon for every candidate, nothing runs unallowed.

Needs no source: whose chaperons they are makes no difference to what the target owes them.
"""

from collections.abc import Iterator

from federation.model.audit import Finding, SeenChaperon, SeenCluster, SeenPod, Severity
from federation.names import CHAPERON_KIND

_AGENT = "see that this cluster's agent runs, and the Events of the PodChaperon (quota, ServiceAccount, admission)"


def disagreements(cluster: SeenCluster) -> Iterator[Finding]:
    """Yield everything in which a cluster's chaperons and pods do not fit together."""
    pods = {(pod.namespace, pod.name): pod for pod in cluster.pods}
    uids = {seen.chaperon.uid for seen in cluster.chaperons}
    for seen in cluster.chaperons:
        if seen.is_live:
            yield from _of_chaperon(cluster, seen, pods.get((seen.chaperon.namespace, seen.chaperon.name)))
    for pod in cluster.pods:
        if not pod.is_terminating and pod.owner_uid not in uids:
            yield _stray(cluster, pod)


def _of_chaperon(cluster: SeenCluster, seen: SeenChaperon, pod: SeenPod | None) -> Iterator[Finding]:
    chaperon = seen.chaperon

    def finding(rule: str, severity: Severity, message: str, fix: str) -> Finding:
        where = (cluster.name, CHAPERON_KIND, chaperon.namespace, chaperon.name, chaperon.uid)
        return Finding(rule, severity, *where, message, fix)

    if pod is None:
        if chaperon.is_marked_reserved and not chaperon.is_allowed:
            message = "it is marked is-reserved, and there is no pod that a node could be held for"
            yield finding("reserved-without-pod", Severity.WARNING, message, "see that this cluster's extender runs")
        if chaperon.is_allowed and chaperon.pod_missing_since is None and not chaperon.remade_count:
            message = "it is allowed, and has no pod"
            yield finding("allowed-without-pod", Severity.VIOLATION, message, _AGENT)
        elif chaperon.is_allowed or not chaperon.waits_to_be_allowed:
            message = "it has no pod" + (" (it was made before)" if chaperon.remade_count else "")
            yield finding("without-pod", Severity.WARNING, message, _AGENT)
    elif pod.owner_uid != chaperon.uid:
        message = "the pod of its name is not controlled by it"
        yield finding("name-taken", Severity.VIOLATION, message, "delete the pod, or the PodChaperon")
    elif pod.node_name and pod.is_by_candidate_scheduler and not chaperon.is_allowed:
        message = f"its pod is bound to {pod.node_name}, and it is not allowed"
        fix = "delete the pod; see that nothing but the candidate scheduler and its extender binds candidates"
        yield finding("runs-unallowed", Severity.VIOLATION, message, fix)


def _stray(cluster: SeenCluster, pod: SeenPod) -> Finding:
    """A candidate or delegate that no chaperon controls: nobody will ever end it (rule C4)."""
    if pod.owner_uid:
        rule, message = "orphan-pod", "the PodChaperon that controls it does not exist"
    else:
        rule, message = "stray-candidate", "it is, or looks like, a candidate, and no PodChaperon controls it"
    where = (cluster.name, "Pod", pod.namespace, pod.name, pod.uid)
    return Finding(rule, Severity.LEAK, *where, message, "delete the pod")
