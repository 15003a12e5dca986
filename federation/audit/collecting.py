"""Reads whole collections page by page and keeps little of each object; says how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from federation.kube.api import Api
from federation.kube.errors import Gone
from federation.kube.limits import STRANGER, Limits
from federation.kube.resources import Resource
from federation.model.audit import Unread
from federation.model.reading import Unreadable

_NOTES_MAX = 100  # of unreadable objects in one cluster: a stranger may make many

T = TypeVar("T")
Report = Callable[[str], None]

LIMITS = Limits(
    connections_max=20,  # an audit is in no hurry: it must not crowd out those it audits
    request_timeout_seconds=10.0,
    read_attempts_max=2,
)
OF_TARGETS = replace(  # by kubeconfigs that others wrote: all of their pods are read
    LIMITS,
    body_bytes_max=STRANGER.body_bytes_max,
    parts_max=STRANGER.parts_max,
    depth_max=STRANGER.depth_max,
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one cluster; `name` is what people call it, `report` takes a line for whoever waits."""

    api: Api
    name: str
    report: Report = field(repr=False)
    unreadable: list[Unread] = field(default_factory=list, repr=False)  # objects: they are not taken for absent

    async def collect(
        self,
        resource: Resource,
        parse: Callable[[dict[str, Any]], T | None],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        is_metadata_only: bool = False,
    ) -> tuple[T, ...]:
        """Return what `parse` makes of each object, without the Nones. A list that expires midway is begun again."""
        selectors = (label_selector, field_selector)
        try:
            return await self._once(resource, parse, namespace, selectors, is_metadata_only)
        except Gone:
            return await self._once(resource, parse, namespace, selectors, is_metadata_only)

    async def _once(
        self,
        resource: Resource,
        parse: Callable[[dict[str, Any]], T | None],
        namespace: str,
        selectors: tuple[str, str],
        is_metadata_only: bool,
    ) -> tuple[T, ...]:
        found: list[T] = []
        read = 0
        pages = self.api.pages(
            resource,
            namespace,
            label_selector=selectors[0],
            field_selector=selectors[1],
            is_metadata_only=is_metadata_only,
        )
        async for page in pages:
            read += len(page.items)
            self.report(f"{self.name}: {read} {resource.plural}")
            found += [one for item in page.items if (one := self.parsed(resource, parse, item)) is not None]
        return tuple(found)

    def parsed(self, resource: Resource, parse: Callable[[dict[str, Any]], T | None], item: dict[str, Any]) -> T | None:
        """Return what `parse` makes of an object; None, and a note that it was there, where it cannot be read."""
        try:
            return parse(item | {"kind": resource.kind})  # a list of metadata says of its items that they are metadata
        except Unreadable as error:
            if len(self.unreadable) < _NOTES_MAX:
                self.unreadable.append(Unread(self.name, f"an object among its {resource.plural}", str(error)))
            return None
