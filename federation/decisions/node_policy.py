"""What a target may say of its virtual node (rule T1): home's schedulers, controllers and users act on it.

A Target of a namespace is made by a user of that namespace, about a cluster that nobody else knows. So it says what the
agent's settings list, and shows no more room than they allow. A ClusterTarget is the administrator's: all but the
labels that Kubernetes keeps for nodes' own kubelets and administrators.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from federation import names
from federation.decisions.travelling import matcher
from federation.model.quantity import AMOUNT_MAX, Amounts
from federation.model.summary import Summary
from federation.model.target import Target

# By key, or by the key's prefix: who bears these is trusted with something, or is kept out of something.
_NEVER = (names.HOSTNAME, "type", "kubernetes.io/role", names.PROVIDER_KEY, "kubernetes.azure.com/role")
_NEVER_PREFIXES = (
    names.PREFIX,
    names.OURS,
    names.SPREAD_PREFIX,
    "node-restriction.kubernetes.io/",
    "node-role.kubernetes.io/",
    "node.kubernetes.io/exclude-",
    "node.kubernetes.io/not-",
    "alpha.service-controller.kubernetes.io/",
    "node.cluster.x-k8s.io/",
)
EVERY_RESOURCE = "*"
_MILLI = 1000  # amounts of cpu are in thousandths


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """`is_listed` says which labels the settings let a Target of a namespace set; `capacity` is the most by resource.

    It is in base units; the entry `*` is for all resources that have none of their own.
    """

    is_listed: Callable[[str], bool]
    capacity: Amounts

    def believed(self, target: Target, summary: Summary | None) -> Summary | None:
        """Return a target's summary as far as it is believed."""
        if summary is None:
            return None
        labels = {key: value for key, value in summary.labels.items() if self._may_set(target, key)}
        if not target.namespace:
            return replace(summary, labels=labels)
        return replace(
            summary,
            labels=labels,
            capacity=self._capped(summary.capacity),
            allocatable=self._capped(summary.allocatable),
        )

    def _may_set(self, target: Target, label: str) -> bool:
        if label in _NEVER or label.startswith(_NEVER_PREFIXES):
            return False
        return not target.namespace or self.is_listed(label)

    def _capped(self, amounts: Amounts) -> Amounts:
        rest = self.capacity.get(EVERY_RESOURCE, AMOUNT_MAX)
        return {name: min(value, self.capacity.get(name, rest)) for name, value in amounts.items()}


def node_policy(labels: str, capacity: Mapping[str, int]) -> NodePolicy:
    """Return the policy of the agent's settings: labels separated by commas; CPUs, bytes and pieces."""
    return NodePolicy(
        matcher(labels.split(",")),
        {name: most * _MILLI if name == "cpu" else most for name, most in capacity.items()},
    )
