"""The order of admission: built-in plugins, mutating webhooks, built-in plugins again, then validation.

Upstream runs the mutating plugins a second time where a webhook changed the object; so does this. Roles and bindings
are then checked for what they give away, before they are validated.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from lab.api_server.admission.namespaces import namespace_lifecycle
from lab.api_server.admission.plugins import Attributes, Cluster, Plugin
from lab.api_server.admission.pods import default_tolerations, priority, service_account, taint_new_nodes
from lab.api_server.admission.webhooks import Webhooks
from lab.api_server.core.decoding import normalized, unknown_fields
from lab.api_server.core.manifest import clone


class Admits(Protocol):
    """Admission as writers see it."""

    async def mutate(self, attributes: Attributes) -> None:
        """Change or refuse a write."""

    async def validate(self, attributes: Attributes) -> None:
        """Refuse a write that is otherwise complete."""


class Chain:
    """All of admission."""

    def __init__(
        self, cluster: Cluster, webhooks: Webhooks, random: Random, check_rights: Callable[[Attributes], None]
    ) -> None:
        self._cluster, self._webhooks, self._check_rights = cluster, webhooks, check_rights
        self._plugins: tuple[Plugin, ...] = (
            namespace_lifecycle,
            service_account(random),
            taint_new_nodes,
            priority,
            default_tolerations,
        )

    async def mutate(self, attributes: Attributes) -> None:
        """Run everything that may change the object."""
        self._run_plugins(attributes)
        if attributes.operation == "DELETE" or not self._webhooks.has_mutating():
            await self._webhooks.mutate(attributes)
            self._check_rights(attributes)
            return
        before = clone(attributes.new)
        await self._webhooks.mutate(attributes)
        if attributes.new != before:
            if not attributes.subresource:
                unknown_fields(attributes.kind, attributes.new)
                attributes.new = normalized(attributes.kind, attributes.new, attributes.namespace)
            self._run_plugins(attributes)
        self._check_rights(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """Run the validating webhooks."""
        await self._webhooks.validate(attributes)

    def _run_plugins(self, attributes: Attributes) -> None:
        for plugin in self._plugins:
            plugin(attributes, self._cluster)
