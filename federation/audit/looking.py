"""One look at a whole federation: the source, then every cluster behind its Targets, a few at a time.

A cluster that cannot be read is said to be unread and holds up nothing else. Several Targets may lead to one cluster;
it is told by its id, and counts once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from federation.audit.collecting import LIMITS, OF_TARGETS, Reader, Report
from federation.audit.source import read_source
from federation.audit.target import Door, Inside, Opener, read_target
from federation.controllers.connections import client_for
from federation.kube.api import Api, connect
from federation.kube.dialling import NOTHING_MORE, Dialable
from federation.kube.errors import ApiError, BadKubeconfig, NotFound
from federation.kube.resources import SECRETS
from federation.model.audit import Observed, SeenCluster, SeenSource, Unread
from federation.model.target import Target

_AT_ONCE = 8  # clusters


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at. `kubeconfigs` are the auditor's own, by a Target's name or `namespace/name`.

    One whose name no Target has is looked at all the same: a Target that is gone may have left something behind.
    `dialable` is where the Targets' own kubeconfigs may lead (rule T7).
    """

    namespace: str = ""
    own_name: str = ""
    kubeconfigs: Mapping[str, Path] = field(default_factory=dict)
    dialable: Dialable = NOTHING_MORE


async def look(source: Api, scope: Scope, report: Report) -> Observed:
    """Return what there is to see now. Raises ApiError where the source itself cannot be read."""
    reader = Reader(source, "source", report)
    seen = await read_source(reader, scope.namespace, scope.own_name)
    at_once = asyncio.Semaphore(_AT_ONCE)
    doors = _doors(source, seen, scope)

    async def enter(door: Door) -> Inside | Unread:
        async with at_once:
            return await _enter(door, source, report)

    answers = await asyncio.gather(*(enter(door) for door in doors))
    inside = [answer for answer in answers if isinstance(answer, Inside)]
    unread = [answer for answer in answers if isinstance(answer, Unread)]
    unread += [one for answer in inside for one in answer.unread]
    unread += reader.unreadable
    return Observed(seen, _merged([answer.cluster for answer in inside]), tuple(unread))


async def _enter(door: Door, source: Api, report: Report) -> Inside | Unread:
    api: Api | None = None
    try:
        api = await door.open()
        return await read_target(Reader(api, door.name, report), door)
    except (ApiError, BadKubeconfig) as error:
        return Unread(door.name, "everything", str(error))
    finally:
        if api is not None and api is not source:
            await api.close()


def _doors(source: Api, seen: SeenSource, scope: Scope) -> list[Door]:
    """Return the ways in: the source itself, each of the auditor's own kubeconfigs, and the Targets that have none."""

    async def home() -> Api:
        return source

    own_targets = tuple(target for target in seen.targets if target.is_self)
    doors = [Door(seen.name, own_targets, (scope.namespace,), home)]
    left = [target for target in seen.targets if not target.is_self]
    for name, file in scope.kubeconfigs.items():
        meant = tuple(target for target in left if name in (target.name, f"{target.namespace}/{target.name}"))
        left = [target for target in left if target not in meant]
        doors.append(Door(name, meant, (scope.namespace,), _by_file(file)))
    return doors + [_own_door(source, target, scope) for target in left]


def _own_door(source: Api, target: Target, scope: Scope) -> Door:
    enter = _by_secret(source, target, scope.dialable)
    return Door(target.name, (target,), (target.namespace or scope.namespace,), enter)


def _by_file(file: Path) -> Opener:
    async def enter() -> Api:
        return await connect(file, limits=LIMITS)

    return enter


def _by_secret(source: Api, target: Target, dialable: Dialable) -> Opener:
    async def enter() -> Api:
        if target.flaw:
            raise BadKubeconfig(target.flaw)
        try:
            secret = await source.get(SECRETS, target.secret_name, target.secret_namespace)
        except NotFound:
            secret = {}
        return await client_for((secret.get("data") or {}).get(target.secret_key), target, dialable, OF_TARGETS)

    return enter


def _merged(seen: list[SeenCluster]) -> tuple[SeenCluster, ...]:
    """Return each cluster once, with all that any door showed of it."""
    merged: dict[str, SeenCluster] = {}
    for cluster in seen:
        known = merged.get(cluster.key)
        merged[cluster.key] = cluster if known is None else _both(known, cluster)
    return tuple(merged.values())


def _both(one: SeenCluster, other: SeenCluster) -> SeenCluster:
    called = sorted({*one.name.split(", "), other.name})
    return SeenCluster(
        id=one.id,
        name=", ".join(called),
        targets=one.targets + other.targets,
        chaperons=tuple({seen.chaperon.uid: seen for seen in one.chaperons + other.chaperons}.values()),
        pods=tuple({pod.uid: pod for pod in one.pods + other.pods}.values()),
        copies=tuple({copy.uid: copy for copy in one.copies + other.copies}.values()),
    )
