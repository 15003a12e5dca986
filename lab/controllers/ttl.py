"""Deletes Jobs that finished `ttlSecondsAfterFinished` ago, and with them their pods."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import JOBS
from federation.kube.store import Key, Store
from lab.controllers.objects import condition_of, is_terminating, is_true, seconds_since

Manifest = dict[str, Any]


def expires_in(job: Manifest, now: datetime) -> float | None:
    """Return the seconds until a Job is to go (0 or less: now), or None where it stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    end = next((kind for kind in ("Complete", "Failed") if is_true(job, kind)), "")
    if ttl is None or not end or is_terminating(job):
        return None
    return float(ttl) - seconds_since(condition_of(job, end)["lastTransitionTime"], now)


class TtlAfterFinished:
    """Reconciles one Job by (namespace, name)."""

    def __init__(self, api: Api, jobs: Store[Manifest], now: Callable[[], datetime]) -> None:
        self._api = api
        self._jobs = jobs
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Delete the Job once its time is up; returns when that will be."""
        job = self._jobs.get(*key)
        left = expires_in(job, self._now()) if job else None
        if job is None or left is None or left > 0:
            return left
        metadata = job["metadata"]
        try:
            await self._api.delete(
                JOBS,
                key[1],
                key[0],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                propagation="Foreground",
            )
        except NotFound:
            return None
        return None
