"""How a Deployment gets from its old ReplicaSets to the new one: sizes, revision, conditions. Pure.

Not supported: rollback by annotation, adoption of foreign ReplicaSets; while a rollout runs, scaling adds to or takes
from the new ReplicaSet instead of all in proportion.
"""

import hashlib
import json
import math
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from lab.controllers.objects import condition_of, parse_time, timestamp
from lab.controllers.replica_set import replicas_of

Manifest = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"

_HASH_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # upstream's alphabet for names: no vowels, so no words
_PROGRESS_SECONDS = 600  # progressDeadlineSeconds where it is not set


def template_hash(template: Manifest, collisions: int) -> str:
    """Return a short name for a pod template; `collisions` makes another one where two templates share a name."""
    text = json.dumps(template, sort_keys=True) + str(collisions or "")
    digest = hashlib.sha256(text.encode()).digest()[:10]
    return "".join(_HASH_LETTERS[byte % len(_HASH_LETTERS)] for byte in digest)


def bare_template(replica_set: Manifest) -> Manifest:
    """Return a ReplicaSet's template without the hash label that the Deployment added."""
    template: Manifest = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return template | {"metadata": metadata}


def find_new(deployment: Manifest, replica_sets: Collection[Manifest]) -> Manifest | None:
    """Return the oldest ReplicaSet with the Deployment's template, or None."""
    wanted = _comparable(deployment["spec"]["template"])
    same = [one for one in replica_sets if _comparable(bare_template(one)) == wanted]
    return min(same, key=lambda one: str(one["metadata"].get("creationTimestamp")), default=None)


def _comparable(template: Manifest) -> Manifest:
    metadata = {
        key: value for key, value in (template.get("metadata") or {}).items() if value and key != "creationTimestamp"
    }
    return template | {"metadata": metadata}


def _scaled(value: Any, default: str, total: int, *, is_rounded_up: bool) -> int:
    value = default if value is None else value
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * total / 100
        return math.ceil(share) if is_rounded_up else math.floor(share)
    return int(value)


def fenceposts(deployment: Manifest) -> tuple[int, int]:
    """Return maxSurge and maxUnavailable as numbers of pods; never both zero."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, replicas_of(deployment)
    rolling, total = strategy.get("rollingUpdate") or {}, replicas_of(deployment)
    surge = _scaled(rolling.get("maxSurge"), "25%", total, is_rounded_up=True)
    unavailable = min(_scaled(rolling.get("maxUnavailable"), "25%", total, is_rounded_up=False), total)
    return surge, unavailable if surge or unavailable else 1


def revision_of(manifest: Manifest) -> int:
    """Return the revision annotation, 0 where there is none."""
    text = (manifest["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def _status(replica_sets: Collection[Manifest], field: str) -> int:
    return sum(int((one.get("status") or {}).get(field) or 0) for one in replica_sets)


def sizes(deployment: Manifest, new: Manifest | None, old: Sequence[Manifest]) -> dict[str, int]:
    """Return the next size of each ReplicaSet that is to change, by UID; a missing new one has size 0."""
    wanted = replicas_of(deployment)
    surge, unavailable = fenceposts(deployment)
    now = {one["metadata"]["uid"]: replicas_of(one) for one in old}
    size = replicas_of(new) if new else 0
    total = size + sum(now.values())
    is_recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    if deployment["spec"].get("paused"):
        return _paused_sizes(wanted, new, old)
    if is_recreate:
        return _recreate_sizes(wanted, new, old)
    changed: dict[str, int] = {}
    grown = min(wanted, size + max(0, wanted + surge - total)) if size < wanted else wanted
    if new and grown != size:
        return {new["metadata"]["uid"]: grown}
    available = _status([*old, *([new] if new else [])], "availableReplicas")
    new_waiting = size - _status([new] if new else [], "availableReplicas")
    spare = total - (wanted - unavailable) - new_waiting
    # Unhealthy ones first: they serve nobody.
    for one in _by_age(old):
        uid = one["metadata"]["uid"]
        cut = max(0, min(spare, now[uid] - _status([one], "availableReplicas")))
        if cut:
            changed[uid] = now[uid] = now[uid] - cut
            spare -= cut
    surplus = min(available - (wanted - unavailable), spare)
    for one in _by_age(old):
        uid = one["metadata"]["uid"]
        cut = max(0, min(now[uid], surplus))
        if cut:
            changed[uid] = now[uid] = now[uid] - cut
            surplus -= cut
    return changed


def _by_age(replica_sets: Sequence[Manifest]) -> list[Manifest]:
    return sorted(replica_sets, key=lambda one: str(one["metadata"].get("creationTimestamp")))


def _paused_sizes(wanted: int, new: Manifest | None, old: Sequence[Manifest]) -> dict[str, int]:
    """While paused nothing rolls, but a Deployment with one active ReplicaSet can be scaled."""
    active = [one for one in [*old, *([new] if new else [])] if replicas_of(one)]
    only = active[0] if len(active) == 1 else None
    return {only["metadata"]["uid"]: wanted} if only and replicas_of(only) != wanted else {}


def _recreate_sizes(wanted: int, new: Manifest | None, old: Sequence[Manifest]) -> dict[str, int]:
    if down := {one["metadata"]["uid"]: 0 for one in old if replicas_of(one)}:
        return down
    if _status(old, "replicas") or _status(old, "terminatingReplicas"):
        return {}
    return {new["metadata"]["uid"]: wanted} if new and replicas_of(new) != wanted else {}


def surplus_history(deployment: Manifest, old: Sequence[Manifest]) -> list[Manifest]:
    """Return empty old ReplicaSets beyond revisionHistoryLimit, the oldest revisions."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    empty = [one for one in old if not replicas_of(one) and not _status([one], "replicas")]
    keep = 10 if limit is None else int(limit)
    return sorted(empty, key=revision_of)[: max(0, len(empty) - keep)]


def status_of(deployment: Manifest, new: Manifest | None, old: Sequence[Manifest], now: datetime) -> Manifest:
    """Return the Deployment's status, conditions included."""
    every = [*old, *([new] if new else [])]
    total, available = sum(replicas_of(one) for one in every), _status(every, "availableReplicas")
    before = deployment.get("status") or {}
    counts = {
        "replicas": _status(every, "replicas"),
        "updatedReplicas": _status([new] if new else [], "replicas"),
        "readyReplicas": _status(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total - available),
    }
    status: Manifest = {name: count for name, count in counts.items() if count}
    status["observedGeneration"] = deployment["metadata"].get("generation", 0)
    status["terminatingReplicas"] = _status(every, "terminatingReplicas")
    if before.get("collisionCount"):
        status["collisionCount"] = before["collisionCount"]
    status["conditions"] = before.get("conditions") or []
    _set_available(deployment, status, available, now)
    _set_progress(deployment, status, new, now)
    return status


def is_complete(deployment: Manifest, status: Manifest) -> bool:
    """Whether all replicas are of the new template and available."""
    wanted = replicas_of(deployment)
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(int(status.get(name) or 0) == wanted for name in names)


def _put(status: Manifest, condition: Manifest, now: datetime, *, touches: bool = False) -> None:
    old: Manifest = next((one for one in status["conditions"] if one["type"] == condition["type"]), {})
    is_same = all(old.get(field) == condition[field] for field in ("status", "reason"))
    if is_same and not touches:
        return
    since = old.get("lastTransitionTime") if old.get("status") == condition["status"] else None
    written = {**condition, "lastUpdateTime": timestamp(now), "lastTransitionTime": since or timestamp(now)}
    status["conditions"] = [one for one in status["conditions"] if one["type"] != condition["type"]] + [written]


def _set_available(deployment: Manifest, status: Manifest, available: int, now: datetime) -> None:
    enough = available >= replicas_of(deployment) - fenceposts(deployment)[1]
    condition = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }
    _put(status, condition, now)


def _set_progress(deployment: Manifest, status: Manifest, new: Manifest | None, now: datetime) -> None:
    old = condition_of(deployment, "Progressing")
    name = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    is_old_story = old.get("reason") == "NewReplicaSetAvailable" and status.get("replicas") == status.get(
        "updatedReplicas"
    )
    if is_old_story:
        return
    condition = {"type": "Progressing", "status": "True"}
    if is_complete(deployment, status):
        text = f"{name} has successfully progressed."
        _put(status, condition | {"reason": "NewReplicaSetAvailable", "message": text}, now)
    elif _has_moved(deployment.get("status") or {}, status):
        condition |= {"reason": "ReplicaSetUpdated", "message": f"{name} is progressing."}
        _put(status, condition, now, touches=True)
    elif _is_late(deployment, old, now):
        text = f"{name} has timed out progressing."
        _put(status, {**condition, "status": "False", "reason": "ProgressDeadlineExceeded", "message": text}, now)


def _has_moved(before: Manifest, status: Manifest) -> bool:
    def count(of: Manifest, name: str) -> int:
        return int(of.get(name) or 0)

    def old_ones(of: Manifest) -> int:
        return count(of, "replicas") - count(of, "updatedReplicas")

    grows = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return (
        any(count(status, name) > count(before, name) for name in grows)
        or old_ones(status) < old_ones(before)
        or not any(one["type"] == "Progressing" for one in status["conditions"])
    )


def _is_late(deployment: Manifest, progressing: Manifest, now: datetime) -> bool:
    last = parse_time(progressing.get("lastUpdateTime"))
    limit = deployment["spec"].get("progressDeadlineSeconds")
    return bool(last and (now - last).total_seconds() > (_PROGRESS_SECONDS if limit is None else limit))
