"""Aggregated ClusterRoles: the rules of every role that their selectors name, in one."""

from collections.abc import Iterable
from typing import Any

from federation.kube.api import Api
from federation.kube.resources import CLUSTER_ROLES
from federation.kube.store import Key, Store
from lab.scheduler.selectors import matches_labels

Manifest = dict[str, Any]


def aggregated_rules(role: Manifest, roles: Iterable[Manifest]) -> list[Manifest]:
    """Return the rules of all roles that this one aggregates, by name, each rule once."""
    rules: list[Manifest] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or []:
        for other in sorted(roles, key=lambda one: str(one["metadata"]["name"])):
            if other["metadata"]["name"] == role["metadata"]["name"]:
                continue
            if matches_labels(selector, other["metadata"].get("labels") or {}):
                rules += [rule for rule in other.get("rules") or [] if rule not in rules]
    return rules


class ClusterRoleAggregation:
    """Reconciles one ClusterRole by ("", name)."""

    def __init__(self, api: Api, roles: Store[Manifest]) -> None:
        self._api = api
        self._roles = roles

    async def reconcile(self, key: Key) -> None:
        """Write the rules where they differ."""
        role = self._roles.get(*key)
        if role is None or not role.get("aggregationRule"):
            return
        rules = aggregated_rules(role, list(self._roles.values()))
        if rules != (role.get("rules") or []):
            body = {"metadata": {"resourceVersion": role["metadata"]["resourceVersion"]}, "rules": rules}
            await self._api.patch(CLUSTER_ROLES, key[1], body)
