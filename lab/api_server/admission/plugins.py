"""What an admission plugin gets to see, and the chain of the built-in ones.

A plugin is a function that changes `attributes.new` in place or raises. The built-in ones read other objects through
`Cluster`; webhooks come after them, and after a webhook changed something the built-in ones run once more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lab.api_server.core.manifest import Manifest
from lab.api_server.core.request import User
from lab.api_server.core.store import Store, Version
from lab.api_server.kinds.model import Kind


@dataclass(slots=True)
class Attributes:
    """One write on its way to the store."""

    operation: str  # CREATE, UPDATE, DELETE, CONNECT
    kind: Kind
    subresource: str
    namespace: str
    name: str
    user: User
    new: Manifest
    old: Manifest | None = None
    is_dry_run: bool = False
    options: Manifest | None = None

    @property
    def resource(self) -> str:
        """Return `pods` or `pods/status`, without the group."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def is_for(self, shelf: str, *operations: str) -> bool:
        """Return whether this is one of `operations` on the main resource kept on `shelf`."""
        return self.kind.shelf == shelf and not self.subresource and self.operation in operations


class Cluster:
    """The objects that plugins look at."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, resource: str, namespace: str, name: str) -> Manifest | None:
        """Return an object, or None."""
        version = self._store.shelf(resource).get((namespace, name))
        return None if version is None else version.manifest

    def all(self, resource: str, namespace: str = "") -> list[Version]:
        """Return all objects of a resource, by name."""
        return list(self._store.shelf(resource).select(namespace))


Plugin = Callable[[Attributes, Cluster], None]
