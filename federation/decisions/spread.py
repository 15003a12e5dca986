"""Spread over clusters: what a topology spread constraint of a proxy counts as domains (rule C2).

A proxy is tied to the virtual nodes that reserved, and kube-scheduler counts no domain outside a pod's node affinity:
pods tied to one node each would all find their skew to be nought. So the constraint ignores node affinity and goes by
a label of its own instead, which only virtual nodes carry, and of these only the ones that the pod as submitted could
go to. Its name is a hash of what decides that; admission writes it into the constraint, the virtual-node controller
onto the nodes, and a proxy is not ungated before it is there.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from federation import names
from federation.decisions.eligibility import REQUIRED, mismatch
from federation.model.pod import ProxyPod
from federation.model.scheduling import SchedulingNode

Manifest = dict[str, Any]


def topology_label(namespace: str, topology_key: str, spec: Mapping[str, Any]) -> str:
    """Return the label that stands for a topology key, for pods of this namespace with these node constraints."""
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    parts = [namespace, topology_key, spec.get("nodeSelector") or {}, required]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return names.SPREAD_PREFIX + digest


def over_virtual_nodes(namespace: str, spec: Manifest) -> dict[str, str]:
    """Make a proxy's spread constraints count virtual nodes only; returns the submitted key by its label.

    `spec` is changed in place.
    """
    found: dict[str, str] = {}
    for constraint in spec.get("topologySpreadConstraints") or []:
        if not (key := constraint.get("topologyKey")):
            continue  # the API server refuses the pod, in its own words
        label = topology_label(namespace, key, spec)
        found[label] = key
        constraint["topologyKey"] = label
        constraint["nodeAffinityPolicy"] = "Ignore"
    return found


def domain(topology_key: str, node: SchedulingNode) -> str | None:
    """Return the domain of a virtual node by a topology key as submitted, or None where it is in none."""
    return node.name if topology_key == names.HOSTNAME else node.labels.get(topology_key)


def is_counted(proxy: ProxyPod, node: SchedulingNode) -> bool:
    """Whether a virtual node carries all labels by which a proxy's spread is counted there."""
    return all(node.labels.get(label) == domain(key, node) for label, key in proxy.spread)


def spread_labels(
    node: SchedulingNode,
    is_served: Callable[[str], bool],
    proxies: Iterable[ProxyPod],
    submitted_spec: Callable[[ProxyPod], Mapping[str, Any] | None],
) -> dict[str, str]:
    """Return the spread labels that a virtual node should carry, for the proxies there are.

    `is_served(namespace)` says whether pods of a namespace may go there. `submitted_spec(proxy)` is the proxy's spec
    without the tie to reserved nodes, or None for a bound one, of which no spec is kept: it keeps the label that the
    node has.
    """
    wanted: dict[str, str] = {}
    for proxy in proxies:
        if not is_served(proxy.namespace):
            continue
        spec = submitted_spec(proxy)
        for label, key in proxy.spread:
            value = node.labels.get(label) if spec is None else None
            if spec is not None and not mismatch(spec, node):
                value = domain(key, node)
            if value is not None:
                wanted[label] = value
    return wanted
