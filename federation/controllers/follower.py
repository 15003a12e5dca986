"""Keeps copies of what follows pods in every target: one reconciler for Services and Ingresses, each with its `Rule`.

As with chaperons, what must be true at the moment of a write is checked live right before it: an original that is gone
is NotFound at home before its copies go, and a finalizer goes only when its target says NotFound (rule S3). An object
that is not our copy is never written; an Event on the original says that it is in the way.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from loguru import logger

from federation.controllers.connection import Connection
from federation.controllers.farewells import WAIT_SECONDS, Farewells
from federation.controllers.follow_rule import Rule, World
from federation.controllers.lane import Errand, errand_key
from federation.decisions.copying import Action, CopyView, Forget, Mark, Put, Remove, decide, forgotten
from federation.events import record
from federation.kube.api import Manifest
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, StatusError
from federation.kube.store import Key
from federation.model.copied import Copy, Original, parse_copy
from federation.model.target import Target
from federation.submitted import BadAnnotation

_IN_THE_WAY_SECONDS = 60.0  # our watch shows copies only: when another object of the name goes, nobody tells us


@dataclass(slots=True)
class Follower:
    """Reconciles one kind's objects by (namespace, name). `again` has one looked at again; set by the wiring."""

    world: World
    rule: Rule
    again: Callable[[Key, float], None] = lambda key, seconds: None
    _farewells: Farewells = field(init=False)
    _unwanted_since: dict[Key, datetime] = field(default_factory=dict)
    _told: dict[Key, dict[str, str]] = field(default_factory=dict)  # finalizer -> what the last Event about it said

    def __post_init__(self) -> None:
        """Begin with nothing to forget."""
        self._farewells = Farewells(self.world.clock)

    async def reconcile(self, key: Key) -> float | None:
        """Bring one object, and its copies in all targets, to what they should be."""
        original = self.world.originals.get(*key)
        connections = {c.target.finalizer: c for c in self.world.connections() if not c.target.is_self}
        targets = [t for t in self.world.targets() if not t.is_self and t.serves(key[0])]
        targets = [t for t in targets if not _stays_with_another(t, targets, connections)]
        connections = {t.finalizer: connections[t.finalizer] for t in targets if t.finalizer in connections}
        views = tuple(self._view(key, target, connections.get(target.finalizer)) for target in targets)
        if original is None:
            self._unwanted_since.pop(key, None)
            self._told.pop(key, None)
            await self._perform_all(decide(None, is_followed=False, change={}, views=views), key, None, connections)
            return None
        again = self._lingering(key, original, self._is_wanted(original, views))
        is_followed = self._is_wanted(original, views) or again is not None
        try:
            change = self.rule.change(original, is_followed=is_followed)
        except BadAnnotation as error:
            await self._explain(original, "", "InvalidAnnotation", str(error))
            return None
        actions = decide(original, is_followed=is_followed, change=change, views=views)
        await self._perform_all(actions, key, original, connections)
        return again

    def _view(self, key: Key, target: Target, connection: Connection | None) -> CopyView:
        if connection is None:
            return CopyView(target.name, target.finalizer, trouble="not connected", is_leaving=target.is_going)
        plural = self.rule.resource.plural
        copies = connection.copies[plural]
        trouble = self.world.trouble(target) or ("" if copies.synced.is_set() else f"its {plural}: {copies.trouble}")
        return CopyView(
            target.name, target.finalizer, trouble=trouble, is_leaving=target.is_going, copy=copies.get(*key)
        )

    def _is_wanted(self, original: Original, views: tuple[CopyView, ...]) -> bool:
        """Whether it leads to federated pods, and some target can take a copy (or once could)."""
        has_target = any(not view.is_leaving and (original.is_marked or not view.trouble) for view in views)
        return has_target and self.rule.is_wanted(original)

    def _lingering(self, key: Key, original: Original, is_wanted: bool) -> float | None:
        """Return for how many seconds an object that lost its last pod still counts as followed; None: no longer."""
        if is_wanted or not original.is_marked or original.is_terminating:
            self._unwanted_since.pop(key, None)
            return None
        since = self._unwanted_since.setdefault(key, self.world.clock())
        remaining = self.rule.linger_seconds - (self.world.clock() - since).total_seconds()
        return remaining if remaining > 0 else None

    async def _perform_all(
        self, actions: tuple[Action, ...], key: Key, original: Original | None, connections: dict[str, Connection]
    ) -> None:
        """Hand each target's part to its lane (rule F4), and carry out the others."""
        abroad: dict[str, list[Put | Remove | Forget]] = defaultdict(list)
        forgetting = [action for action in actions if isinstance(action, Forget)]
        if not forgetting:
            self._farewells.forget(key)
        for action in actions:
            if isinstance(action, Put | Remove):
                abroad[action.finalizer].append(action)
        for forget in forgetting:
            assert original is not None
            awaited = [name for name in forget.finalizers if name in connections]
            known = [name for name in forget.finalizers if name not in connections]
            for finalizer in self._farewells.expect(key, original.uid, awaited, known):
                abroad[finalizer].append(Forget((finalizer,)))
        for finalizer, connection in connections.items():
            self._hand_over(key, abroad.get(finalizer, []), original, connection)
        for action in actions:
            if isinstance(action, Mark):
                assert original is not None
                await self._patch(original, action.patch)
        if original is not None and forgetting and not await self._forget(key, original):
            self._look_again_for(key)

    def _look_again_for(self, key: Key) -> None:
        if self._farewells.has_begun(key):
            self.again(key, WAIT_SECONDS)

    def _hand_over(
        self,
        key: Key,
        actions: list[Put | Remove | Forget],
        original: Original | None,
        connection: Connection,
    ) -> None:
        lane, errand = connection.lane, errand_key(self.rule.resource, *key)
        if not actions:
            lane.drop(errand)
            return

        async def run() -> float | None:
            return _earliest(*[await self._perform(action, key, original, connection) for action in actions])

        what = object()  # never the same: a copy may have changed after it was looked at
        lane.put(errand, Errand(what, run, lambda after: self.again(key, after), is_begun=True))

    async def _perform(
        self, action: Put | Remove | Forget, key: Key, original: Original | None, connection: Connection
    ) -> float | None:
        """Carry out one action in a target, in its lane; returns when to look again, where nothing else would tell."""
        if isinstance(action, Remove):
            await self._remove(action.copy, original, connection)
            return None
        assert original is not None, "all but removing is done to an object that is there"
        match action:
            case Put():
                return await self._put_or_explain(key, original, connection)
            case Forget((finalizer,)):
                if await self._is_gone(original, connection):
                    self._farewells.say(key, original.uid, finalizer)
                    return None if await self._forget(key, original) else WAIT_SECONDS
            case _:
                raise AssertionError(f"not one target's: {action}")
        return None

    async def _put_or_explain(self, key: Key, original: Original, connection: Connection) -> float | None:
        try:
            return await self._put(key, original, connection)
        except Conflict:
            raise
        except ApiError as error:
            message = error.message if isinstance(error, StatusError) else str(error)
            told = f"target {connection.target.name} did not take the copy: {message}"
            await self._explain(original, connection.target.finalizer, "NotFollowed", told)
            raise

    async def _patch(self, original: Original, patch: Manifest) -> None:
        fence = {"uid": original.uid, "resourceVersion": original.resource_version}
        body = {**patch, "metadata": {**(patch.get("metadata") or {}), **fence}}
        with contextlib.suppress(NotFound):
            await self.world.api.patch(self.rule.resource, original.name, body, original.namespace)

    async def _put(self, key: Key, original: Original, connection: Connection) -> float | None:
        existing = connection.copies[self.rule.resource.plural].get(*key) or await self._live(original, connection)
        if existing is not None and existing.uid == original.uid:
            return None  # a kubeconfig that leads back here
        if existing is not None and existing.parent_cluster_name != self.world.cluster_name:
            message = (
                f"{self._what(original)} in target {connection.target.name} is not a copy of this one; it is left alone"
            )
            await self._explain(original, connection.target.finalizer, "NotFollowed", message)
            return _IN_THE_WAY_SECONDS
        if existing is not None and existing.is_terminating:
            return None  # its watch tells when it is gone
        if existing is not None and self.rule.must_be_made_anew(original, existing):
            await self._delete(existing, connection)
            return None
        copy = self.rule.copy_of(original, self.world.cluster_name, existing)
        if copy is None:
            return None
        await self._write(copy, existing, connection)
        self._told.get(key, {}).pop(connection.target.finalizer, None)
        logger.info("copied", what=self._what(original), namespace=key[0], target=connection.target.name)
        return None

    async def _write(self, copy: Manifest, existing: Copy | None, connection: Connection) -> None:
        if existing is not None:
            await connection.api.replace(self.rule.resource, copy)
            return
        try:
            await connection.api.create(self.rule.resource, copy)
        except AlreadyExists as error:
            raise Conflict(409, "Conflict", error.message) from error  # somebody was faster: look again

    async def _live(self, original: Original, connection: Connection) -> Copy | None:
        try:
            return parse_copy(await connection.api.get(self.rule.resource, original.name, original.namespace))
        except NotFound:
            return None

    async def _remove(self, copy: Copy, original: Original | None, connection: Connection) -> None:
        if original is None:
            try:
                await self.world.api.get(self.rule.resource, copy.name, copy.namespace)
            except NotFound as error:
                if not error.is_about(copy.name):
                    raise
            else:
                return  # our store is behind
        await self._delete(copy, connection)

    async def _delete(self, copy: Copy, connection: Connection) -> None:
        with contextlib.suppress(NotFound):
            await connection.api.delete(
                self.rule.resource, copy.name, copy.namespace, uid=copy.uid, resource_version=copy.resource_version
            )
        logger.info("copy removed", name=copy.name, namespace=copy.namespace, target=connection.target.name)

    async def _forget(self, key: Key, original: Original) -> bool:
        """Drop the finalizers of the targets that have confirmed, if it is time; returns whether it was."""
        confirmed = self._farewells.take(key)
        if confirmed:
            await self._patch(original, forgotten(original, tuple(confirmed)))
        return bool(confirmed)

    async def _is_gone(self, original: Original, connection: Connection) -> bool:
        """Whether a target has no copy of ours, live; an object of the name that is not ours stays."""
        await connection.confirm()
        try:
            live = await connection.api.get(self.rule.resource, original.name, original.namespace)
        except NotFound as error:
            if not error.is_about(original.name):
                raise
            return True
        return parse_copy(live).parent_cluster_name != self.world.cluster_name

    async def _explain(self, original: Original, finalizer: str, reason: str, message: str) -> None:
        """Say once on the original what is wrong in one target."""
        told = self._told.setdefault((original.namespace, original.name), {})
        if told.get(finalizer) == f"{original.uid} {message}":
            return
        told[finalizer] = f"{original.uid} {message}"
        await record(self.world.api, self.world.clock, self.rule.resource, original, reason, message)

    def _what(self, original: Original) -> str:
        return f"{self.rule.resource.kind} {original.name}"


def _stays_with_another(target: Target, targets: list[Target], connections: dict[str, Connection]) -> bool:
    """Whether a target that is going leads to a cluster where another, which stays, keeps the same copy."""
    if not target.is_going or target.finalizer not in connections:
        return False
    cluster_id = connections[target.finalizer].cluster_id
    others = [connections[t.finalizer] for t in targets if not t.is_going and t.finalizer in connections]
    return bool(cluster_id) and any(other.cluster_id == cluster_id for other in others)


def _earliest(*seconds: float | None) -> float | None:
    return min((found for found in seconds if found is not None), default=None)
