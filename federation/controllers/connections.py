"""Keeps one live Connection for every Target and ClusterTarget whose credentials can be used.

Targets come, change and go at run time: each runs in a task of its own, so that one touches no other, and is started
anew when its spec or its kubeconfig changes. A kubeconfig that only has another token breaks nothing off.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loguru import logger

from federation import foreign_yaml
from federation.clock import Clock
from federation.controllers.connection import PULSE_SECONDS, Connection
from federation.decisions.credential import KUBECONFIG, new_token
from federation.kube.api import Api, Manifest, connect
from federation.kube.dialling import Dialable
from federation.kube.errors import BadKubeconfig
from federation.kube.limits import STRANGER, Limits
from federation.kube.resources import SECRETS
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.kube.workqueue import MayWork, always
from federation.model.reading import Unreadable, check, fitting
from federation.model.shape import Words
from federation.model.target import Target

Key = tuple[str, str]
# Returns a client for a Target and the text in its kubeconfig Secret (None: there is none); raises BadKubeconfig.
OpenTarget = Callable[[Target, str | None], Awaitable[Api]]
Service = Callable[[Connection], Awaitable[None]]  # runs beside a connection until cancelled (virtual node, gateway)

_RESTART_SECONDS = 5.0  # after a defect of ours within one connection


_KUBECONFIG_BASE64_MAX = foreign_yaml.BYTES_MAX * 4 // 3 + 4


def _secret_data(manifest: Manifest) -> dict[str, str]:
    return fitting(manifest.get("data") or {}, Words()) or {}


@dataclass(slots=True)
class _Entry:
    """What runs for one target."""

    target: Target
    secrets: Store[dict[str, str]]
    follower: asyncio.Task[None] | None = None
    kubeconfig: str | None = None
    runner: asyncio.Task[None] | None = None
    lane: asyncio.Task[None] | None = None  # while we lead
    connection: Connection | None = field(default=None)


class Connections:
    """Reconciles targets by (namespace, name); read the live connections with `current()`."""

    def __init__(
        self,
        *,
        api: Api,
        cluster_name: str,
        targets: list[Store[Target]],
        clock: Clock,
        service: Service,
        open_target: OpenTarget,
        pulse_seconds: float = PULSE_SECONDS,
    ) -> None:
        self._api = api
        self._cluster_name = cluster_name
        self._targets = targets
        self._clock = clock
        self._service = service
        self._open_target = open_target
        self._pulse_seconds = pulse_seconds
        self._entries: dict[Key, _Entry] = {}
        self._group: asyncio.TaskGroup | None = None
        self._leading: tuple[asyncio.TaskGroup, MayWork] | None = None
        self.on_connected: Callable[[Connection], None] = lambda _: None
        self.on_problem: Callable[[Key], None] = lambda _: None
        self.on_secret: Callable[[Key], None] = lambda _: None  # called when a target's kubeconfig Secret changed
        self.add: Callable[[Key], None] = lambda _: None  # puts a key on our queue; set by the wiring
        self.problems: dict[Key, str] = {}  # why a target has no connection

    def current(self) -> list[Connection]:
        """Return the live connections."""
        return [entry.connection for entry in self._entries.values() if entry.connection is not None]

    def get(self, key: Key) -> Connection | None:
        """Return the live connection of one target."""
        entry = self._entries.get(key)
        return entry.connection if entry is not None else None

    async def run(self) -> None:
        """Own the tasks of all connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    async def lead(self, may_work: MayWork = always) -> None:
        """Let every connection's lane work until cancelled; while nobody does this, the connections only read."""
        try:
            async with asyncio.TaskGroup() as group:
                self._leading = group, may_work
                for entry in self._entries.values():
                    self._open_lane(entry)
                await asyncio.Event().wait()
        finally:
            self._leading = None

    def _open_lane(self, entry: _Entry) -> None:
        if self._leading is not None and entry.connection is not None:
            group, may_work = self._leading
            entry.lane = group.create_task(entry.connection.lane.run(may_work))

    async def reconcile(self, key: Key) -> float | None:
        """Start, change or end one target's connection."""
        if self._group is None:
            return 0.1
        target = next((found for store in self._targets if (found := store.get(*key)) is not None), None)
        entry = self._entries.get(key)
        if entry is not None and (target is None or target != entry.target):
            await self._stop(key, entry)
            entry = None
        if entry is not None and target is not None and target is not entry.target:
            entry.target = target
            if entry.connection is not None:
                entry.connection.take(target)
        if target is None:
            return None
        if entry is None:
            entry = self._entries[key] = self._begin(key, target)
        entry.target = target  # what differs needs no new connection
        if entry.connection is not None:
            entry.connection.target = target
        return await self._connect(key, entry)

    async def _open(self, target: Target, text: str | None) -> Api:
        if target.flaw:
            raise BadKubeconfig(target.flaw)
        return await self._open_target(target, text)

    def _begin(self, key: Key, target: Target) -> _Entry:
        assert self._group is not None
        entry = _Entry(target, Store(_secret_data))
        if not target.is_self and not target.flaw:
            entry.secrets.subscribe(lambda *_: self.add(key))
            entry.secrets.subscribe(lambda *_: self.on_secret(key))
            entry.follower = self._group.create_task(
                follow(
                    self._api,
                    SECRETS,
                    entry.secrets,
                    namespace=target.secret_namespace,
                    field_selector=f"metadata.name={target.secret_name}",
                )
            )
        return entry

    async def _connect(self, key: Key, entry: _Entry) -> float | None:
        """Bring the running connection to the kubeconfig as it is now."""
        assert self._group is not None
        target = entry.target
        text: str | None = ""
        if not target.is_self and not target.flaw:
            if not entry.secrets.synced.is_set():
                return 0.2
            secret = entry.secrets.get(target.secret_namespace, target.secret_name)
            text = None if secret is None else secret.get(target.secret_key)
        if entry.runner is not None and text == entry.kubeconfig:
            return None
        if entry.runner is not None and _took_token(entry, text):
            logger.info("target's token renewed", target=target.name, namespace=target.namespace)
            return None
        await self._disconnect(entry)
        try:
            api = await self._open(target, text)
        except BadKubeconfig as error:
            self._tell_problem(key, target, str(error))
            return 30.0
        self.problems.pop(key, None)
        entry.kubeconfig = text
        entry.connection = Connection(target, api, self._cluster_name, self._clock, self._pulse_seconds)
        self.on_connected(entry.connection)
        entry.runner = self._group.create_task(self._run(entry.connection))
        self._open_lane(entry)
        logger.info("target connected", target=target.name, namespace=target.namespace, node=target.node_name)
        return None

    def _tell_problem(self, key: Key, target: Target, problem: str) -> None:
        if self.problems.get(key) != problem and not target.is_going:
            logger.warning("target cannot be used", target=target.name, namespace=target.namespace, error=problem)
        self.problems[key] = problem
        self.on_problem(key)

    async def _run(self, connection: Connection) -> None:
        """Run one connection and its service; a defect in it is logged and ends nothing else."""
        try:
            while True:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(connection.run())
                        group.create_task(_awaited(self._service, connection))
                except* Exception as errors:  # noqa: BLE001  # see above: logged, and begun again
                    logger.opt(exception=errors).error("a target's tasks failed", target=connection.target.name)
                await asyncio.sleep(_RESTART_SECONDS)
        finally:
            await connection.api.close()

    async def _disconnect(self, entry: _Entry) -> None:
        entry.connection = None
        ending = [task for task in (entry.lane, entry.runner) if task is not None]
        entry.lane = entry.runner = None
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)  # never swallows that we are cancelled ourselves

    async def _stop(self, key: Key, entry: _Entry) -> None:
        del self._entries[key]
        self.problems.pop(key, None)
        if entry.follower is not None:
            entry.follower.cancel()
        await self._disconnect(entry)
        logger.info("target disconnected", target=entry.target.name, namespace=entry.target.namespace)


async def _awaited(service: Service, connection: Connection) -> None:
    await service(connection)


def _took_token(entry: _Entry, text: str | None) -> bool:
    """Give a running connection its new token, where its kubeconfig has changed in nothing else."""
    if entry.connection is None or not entry.kubeconfig:
        return False
    try:
        old, new = (read_kubeconfig(data, entry.target) for data in (entry.kubeconfig, text))
    except BadKubeconfig:
        return False
    token = new_token(old, new, entry.target.context)
    if token is None or not entry.connection.api.use_token(token):
        return False
    entry.kubeconfig = text
    return True


async def client_for(data: str | None, target: Target, dialable: Dialable, limits: Limits = STRANGER) -> Api:
    """Return a client by the value of a Target's kubeconfig Secret (None: there is none). Raises BadKubeconfig.

    `dialable` is what it may have us dial (rule T7), `limits` bound what its server may have us hold (rule T1).
    """
    return await connect(read_kubeconfig(data, target), target.context, limits, dialable)


def read_kubeconfig(data: str | None, target: Target) -> Manifest:
    """Return a target's kubeconfig from the base64 text in its Secret; raises BadKubeconfig."""
    if target.flaw:
        raise BadKubeconfig(target.flaw)
    where = f"Secret {target.secret_namespace}/{target.secret_name}"
    if data is None:
        raise BadKubeconfig(f"{where} does not exist or has no key {target.secret_key!r} (spec.kubeconfigSecret)")
    what = f"{where}, key {target.secret_key!r}: not a kubeconfig: it"
    if len(data) > _KUBECONFIG_BASE64_MAX:
        raise BadKubeconfig(f"{what} is longer than {foreign_yaml.BYTES_MAX} bytes")
    try:
        kubeconfig = foreign_yaml.load(base64.b64decode(data), what)
        check(kubeconfig, KUBECONFIG, what)
    except Unreadable as error:
        raise BadKubeconfig(str(error)) from error
    except ValueError as error:
        raise BadKubeconfig(f"{what} is not base64: {error}") from error
    return dict(kubeconfig)
