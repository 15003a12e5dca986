"""What is wrong in a federation, from looks at its objects: the one rule, its traces in each target, and leaks.

A federation in motion is not in violation: lists of several clusters are never of one moment, and every write has a
moment before it. So a finding counts only if each of several looks shows it of the same objects; the exception is two
allowed chaperons of one proxy, which no order of reading can feign. What a cluster that could not be read might hold
is never a finding; it is said beside them.
"""

from collections.abc import Sequence

from federation.decisions.audit_leaks import leaks
from federation.decisions.audit_rule import breaches
from federation.decisions.audit_target import disagreements
from federation.model.audit import Finding, Observed, Severity

_ORDER = tuple(Severity)


def findings(seen: Observed) -> frozenset[Finding]:
    """Return everything that one look shows."""
    found = [*breaches(seen), *leaks(seen)]
    for cluster in seen.clusters:
        found += disagreements(cluster)
    return frozenset(found)


def persisting(looks: Sequence[frozenset[Finding]]) -> frozenset[Finding]:
    """Return what every look shows, and what any look shows that is certain at once."""
    certain = {finding for look in looks for finding in look if finding.is_certain}
    return frozenset.intersection(*looks) | certain


def in_order(found: frozenset[Finding]) -> list[Finding]:
    """Return findings as people read them: the worst first, then by place."""
    return sorted(
        found,
        key=lambda one: (_ORDER.index(one.severity), one.rule, one.cluster, one.namespace, one.kind, one.name, one.uid),
    )


def is_sound(found: Sequence[Finding]) -> bool:
    """Whether there is no violation and no leak; a warning is neither."""
    return all(finding.severity is Severity.WARNING for finding in found)
