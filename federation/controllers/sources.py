"""Keeps, in a target, what Sources and ClusterSources stand for: service account, bindings, credential, status.

Nobody is let in where the policies that bound what a source may do are not in force (rule T3), unless the owner says
so. What was given before they vanished stays, because pods of others run by it; nothing is added, nothing renewed.

Objects are read live, one by one: there are few Sources, and what is written here gives rights away. The stores only
say which Source to look at again, and what is left of one that is gone: a namespaced Source cannot own its cluster-wide
binding, so no garbage collector takes that, and nothing has to hold the Source up by a finalizer until it is removed.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from loguru import logger

from federation.clock import Clock
from federation.controllers.issuer import Issuer
from federation.controllers.source_policies import complaints
from federation.decisions import source as decide
from federation.decisions.credential import Issued
from federation.decisions.source_status import (
    BOUND,
    BY_USER,
    FOREIGN_ACCOUNT,
    NOT_YET,
    TURNED_OFF,
    Finding,
    bound_in,
    no_policies,
    refused,
    status_patch,
    taken,
    turned_bad,
)
from federation.events import record
from federation.kinds import source_kind
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound, StatusError
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from federation.kube.store import Store
from federation.model.source import Key, Mark, Reference, Source, mark_of, parse_source
from federation.model.times import format_time

RESOURCES: dict[str, Resource] = {
    resource.kind: resource for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, SECRETS)
}
_LOOK_SECONDS_MAX = 3600.0  # a machine that slept has a loop whose clock stood still
_LOOK_AT_POLICIES_SECONDS = 300.0  # they are not watched; whoever may remove them may do worse
_NAMESPACES_AT_ONCE = 100  # in which a ClusterSource is bound before another Source gets its turn
_GO_ON_SECONDS = 0.2  # by then our watch has seen what was just made
_LOOK_AGAIN_SECONDS = 30.0  # where somebody has to act first, and no watch of ours would show it


def _is_staying(namespace: Manifest) -> bool:
    return "deletionTimestamp" not in namespace["metadata"]


def _marks(kind: str) -> Store[Mark]:
    def by_source(mark: Mark) -> list[str]:
        return ["/".join(mark.source)] if mark.source else []

    return Store(lambda manifest: mark_of(manifest, kind), {"source": by_source})


@dataclass(frozen=True, slots=True)
class SourcesStores:
    """What is followed: both kinds of Source, all service accounts, everything of the other kinds marked ours.

    Of namespaces only whether they are there to stay.
    """

    sources: Store[Source] = field(default_factory=lambda: Store(parse_source))
    cluster_sources: Store[Source] = field(default_factory=lambda: Store(parse_source))
    namespaces: Store[bool] = field(default_factory=lambda: Store(_is_staying))
    marks: dict[str, Store[Mark]] = field(default_factory=lambda: {kind: _marks(kind) for kind in RESOURCES})

    def source(self, key: Key) -> Source | None:
        """Return the Source, or with an empty namespace the ClusterSource."""
        return (self.sources if key[0] else self.cluster_sources).get(*key)

    def marked(self, key: Key) -> list[Mark]:
        """Return everything that says it was made for a Source."""
        return [mark for store in self.marks.values() for mark in store.by("source", "/".join(key))]

    def covered(self, agent_namespace: str) -> tuple[str, ...]:
        """Return the namespaces that a ClusterSource is let into."""
        found = [name for _, name in self.namespaces.keys() if self.namespaces.get("", name)]  # noqa: SIM118  # no dict
        return tuple(name for name in found if decide.is_for_sources(name, agent_namespace))

    def concerned(self, *marks: Mark | None) -> Iterator[Key]:
        """Yield the Sources that an object concerns: the one it was made for, and those that name it."""
        for mark in marks:
            if mark is None:
                continue
            if mark.source:
                yield mark.source
            for store in (self.sources, self.cluster_sources):
                yield from (source.key for source in store.values() if source.account == mark.reference)


@dataclass(frozen=True, slots=True)
class _Stand:
    """How a Source's rights and credential stand, until when that is good, and what the API server refused."""

    rights: Finding
    credential: Finding
    issued: Issued | None = None
    error: StatusError | None = None
    is_begun: bool = False  # there is more to bind


class Sources:
    """Reconciles Sources by (namespace, name), ClusterSources by ("", name)."""

    def __init__(
        self,
        *,
        api: Api,
        stores: SourcesStores,
        issuer: Issuer,
        namespace: str,
        is_issuing: bool,
        needs_policies: bool,
        clock: Clock,
    ) -> None:
        self._api = api
        self._stores = stores
        self._issuer = issuer
        self._namespace = namespace  # the agent's
        self._is_issuing = is_issuing
        self._needs_policies = needs_policies
        self._clock = clock

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Source's objects, credential and status to what it says."""
        source = self._stores.source(key)
        if source is None or source.is_terminating:
            for mark in decide.leftovers(self._stores.marked(key)):
                await self._delete(mark.reference, mark.uid)
            return None
        stand = await self._keep(source)
        await self._tell(source, stand)
        if stand.error is not None:
            raise stand.error  # said, and tried again: soon at first, for a namespace may be just coming
        if stand.is_begun:
            return _GO_ON_SECONDS
        is_settled = stand.rights.is_good and stand.credential in (BY_USER, TURNED_OFF, FOREIGN_ACCOUNT)
        if stand.issued is None and not is_settled:
            return _LOOK_AGAIN_SECONDS
        wait = _LOOK_AT_POLICIES_SECONDS if self._needs_policies else _LOOK_SECONDS_MAX
        if stand.issued is None:
            return wait if self._needs_policies else None
        return min(max((stand.issued.term.issue_at - self._clock()).total_seconds(), 1.0), wait)

    async def _keep(self, source: Source) -> _Stand:
        """Do what can be done; return how rights and credential stand."""
        marks = self._stores.marked(source.key)
        place = decide.Place(self._namespace, () if source.namespace else self._stores.covered(self._namespace))
        objects = decide.wanted(source, place, has_credential=source.account is not None)
        if self._needs_policies and (wrong := await complaints(self._api)):
            for mark in decide.leftovers(marks):
                if mark.reference not in objects:
                    await self._delete(mark.reference, mark.uid)
            return _Stand(no_policies(wrong), NOT_YET)
        known = decide.settled(objects, marks) if not source.namespace else frozenset()
        due = [reference for reference in objects if reference not in known]
        now, later = due[:_NAMESPACES_AT_ONCE], due[_NAMESPACES_AT_ONCE:]
        observed = await self._observe(now)
        has_credential = decide.issues_for(source, observed, is_enabled=self._is_issuing)
        objects = decide.wanted(source, place, has_credential=has_credential)
        chosen = {reference: objects[reference] for reference in now if reference in objects}
        plan = decide.decide(source, chosen, observed, marks, kept=objects.keys())
        try:
            for action in plan.actions:
                await self._perform(source, action)
        except (Forbidden, Invalid, NotFound) as error:
            return _Stand(refused(error.message), NOT_YET, error=error)
        if plan.taken:
            return _Stand(taken(plan.taken), NOT_YET)
        count = len(place.namespaces)
        rights = BOUND if source.namespace else bound_in(max(count - len(later), 0), count, self._namespace)
        if later:
            return _Stand(rights, NOT_YET, is_begun=True)
        return await self._issue(source, rights) if has_credential else _Stand(rights, self._reason_for_none(source))

    async def _issue(self, source: Source, rights: Finding) -> _Stand:
        try:
            finding, issued = await self._issuer.keep(source)
        except (Forbidden, Invalid, NotFound) as error:
            return _Stand(rights, refused(error.message), error=error)
        return _Stand(rights, finding, issued)

    def _reason_for_none(self, source: Source) -> Finding:
        if source.account is None:
            return BY_USER
        return FOREIGN_ACCOUNT if self._is_issuing else TURNED_OFF

    async def _observe(self, references: Collection[Reference]) -> dict[Reference, Manifest]:
        found = await asyncio.gather(*(self._get(reference) for reference in references))
        return {
            reference: manifest for reference, manifest in zip(references, found, strict=True) if manifest is not None
        }

    async def _get(self, reference: Reference) -> Manifest | None:
        if reference.kind in ("Secret", "Role") and not self._is_issuing:
            return None  # nor have we the right to look
        return await self._read(RESOURCES[reference.kind], reference.name, reference.namespace)

    async def _read(self, resource: Resource, name: str, namespace: str = "") -> Manifest | None:
        try:
            return await self._api.get(resource, name, namespace)
        except NotFound:
            return None

    async def _perform(self, source: Source, action: decide.Action) -> None:
        match action:
            case decide.Create(reference, manifest):
                try:
                    await self._api.create(RESOURCES[reference.kind], manifest)
                except AlreadyExists as error:
                    raise Conflict(409, "Conflict", error.message) from error  # made meanwhile: look again
                logger.info("made for a source", object=str(reference), source=source.name, namespace=source.namespace)
            case decide.Change(reference, patch):
                await self._api.patch(RESOURCES[reference.kind], reference.name, patch, reference.namespace)
                logger.info("put right", object=str(reference), source=source.name, namespace=source.namespace)
            case decide.Delete(reference, uid):
                await self._delete(reference, uid)
            case _:
                assert_never(action)

    async def _delete(self, reference: Reference, uid: str) -> None:
        with contextlib.suppress(NotFound):
            await self._api.delete(RESOURCES[reference.kind], reference.name, reference.namespace, uid=uid)
            logger.info("taken back from a source", object=str(reference))

    async def _tell(self, source: Source, stand: _Stand) -> None:
        now = format_time(self._clock())[:19] + "Z"
        patch = status_patch(source, stand.rights, stand.credential, stand.issued, now)
        if not patch:
            return
        resource = source_kind(source.namespace)
        body = {"metadata": {"uid": source.uid}, "status": patch}
        with contextlib.suppress(NotFound):
            await self._api.patch(resource, source.name, body, source.namespace, subresource="status")
        for reason, message in turned_bad(source, patch):
            await record(self._api, self._clock, resource, source, reason, message)
