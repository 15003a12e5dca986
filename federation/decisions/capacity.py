"""How much room there is: a target's summary of itself, and what a virtual node shows of it.

Room is the total less what is *not* federated (rule M5): the source's scheduler subtracts the proxies itself, so what
is merely free would count each delegate twice. When more is bound or reserved in a target than its summary says there
is, the virtual node shows that much at once: the reservation is the truth, the summary only a moment's count.
"""

import re
from collections.abc import Collection, Iterable

from federation.model.pod import ProxyPod
from federation.model.quantity import Amounts, largest, total
from federation.model.summary import ClusterNode, Occupant, Summary

_NUMBER = re.compile(r"[0-9]{1,9}")


def summarise(cluster_id: str, nodes: Iterable[ClusterNode], occupants: Iterable[Occupant]) -> Summary:
    """Return the summary of a cluster's real nodes and of what its own pods leave of them."""
    real = [node for node in nodes if not node.is_virtual]
    usable = {node.name for node in real if node.is_usable}
    taken = total(pod.requests for pod in occupants if pod.node_name in usable and not pod.is_federated)
    there = total(node.allocatable for node in real if node.is_usable)
    return Summary(
        cluster_id=cluster_id,
        kubelet_version=min((node.kubelet_version for node in real if node.kubelet_version), key=_release, default=""),
        capacity=total(node.capacity for node in real),
        allocatable={name: max(value - taken.get(name, 0), 0) for name, value in there.items()},
        labels=_same_everywhere(real),
    )


def shown(summary: Summary | None, committed: Amounts) -> tuple[Amounts, Amounts]:
    """Return capacity and allocatable for a virtual node; without a summary, what is committed and no more."""
    allocatable = largest(summary.allocatable if summary else {}, committed)
    return largest(summary.capacity if summary else {}, allocatable), allocatable


def committed(node_name: str, proxies: Iterable[ProxyPod], reserved_uids: Collection[str]) -> Amounts:
    """Return what proxies bound to a virtual node ask for, and unbound ones for which something is held there."""
    return total(
        proxy.requests
        for proxy in proxies
        if not proxy.is_finished
        and (proxy.node_name == node_name or (not proxy.node_name and proxy.uid in reserved_uids))
    )


def _same_everywhere(nodes: Iterable[ClusterNode]) -> dict[str, str]:
    """Return the labels that have one value on all nodes that have the key at all."""
    values: dict[str, set[str]] = {}
    for node in nodes:
        for key, value in node.labels.items():
            values.setdefault(key, set()).add(value)
    return {key: found.pop() for key, found in sorted(values.items()) if len(found) == 1}


def _release(version: str) -> tuple[int, ...]:
    """Return v1.37.2 as (1, 37, 2), for comparison; what follows the patch number does not count."""
    return tuple(int(number) for number in _NUMBER.findall(version)[:3])
