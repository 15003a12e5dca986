"""Questions that every controller asks of an object: who owns it, is it going, when, and what is its condition."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

Manifest = dict[str, Any]


def timestamp(moment: datetime) -> str:
    """Return a time as Kubernetes writes it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str | None) -> datetime | None:
    """Return a Kubernetes time, with or without fractions, or None."""
    return datetime.fromisoformat(text) if text else None


def seconds_since(text: str | None, now: datetime) -> float:
    """Return how long ago a Kubernetes time was; a missing one is infinitely long ago."""
    moment = parse_time(text)
    return (now - moment).total_seconds() if moment else float("inf")


def is_terminating(manifest: Manifest) -> bool:
    """Whether an object is being deleted."""
    return bool(manifest["metadata"].get("deletionTimestamp"))


def finalizers(manifest: Manifest) -> list[str]:
    """Return metadata.finalizers."""
    return manifest["metadata"].get("finalizers") or []


def controller_of(manifest: Manifest) -> Manifest | None:
    """Return the owner reference that is the controller, or None."""
    owners = manifest["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def controller_uids(manifest: Manifest) -> Iterable[str]:
    """Return the controller's UID: an index for stores."""
    owner = controller_of(manifest)
    return [owner["uid"]] if owner else []


def controller_reference(owner: Manifest, api_version: str, kind: str) -> Manifest:
    """Return the owner reference by which `owner` controls what it creates."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_of(manifest: Manifest, kind: str) -> Manifest:
    """Return a status condition, empty where there is none."""
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), {})


def is_true(manifest: Manifest, kind: str) -> bool:
    """Whether a status condition is True."""
    return bool(condition_of(manifest, kind).get("status") == "True")


def with_condition(conditions: list[Manifest], new: Manifest, now: datetime) -> list[Manifest]:
    """Return the conditions with `new` put in; its transition time moves only when its status does."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    since = timestamp(now)
    if old and old["status"] == new["status"]:
        since = old.get("lastTransitionTime") or since
    written = {**new, "lastTransitionTime": since}
    if old is None:
        return [*conditions, written]
    return [written if one is old else one for one in conditions]


def is_active(pod: Manifest) -> bool:
    """Whether a pod has neither ended nor is it being deleted."""
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") and not is_terminating(pod)


def is_ready(pod: Manifest) -> bool:
    """Whether a pod serves."""
    return is_true(pod, "Ready")
