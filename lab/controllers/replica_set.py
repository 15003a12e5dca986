"""Keeps each ReplicaSet at its number of pods, and its status true.

Pods that match but have no controller are not adopted: in the lab nobody makes such pods. Of too many, those that have
got least far go first.
"""

import copy
import random
import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import PODS, REPLICA_SETS
from federation.kube.store import Key, Store
from lab.controllers.expectations import Expectations
from lab.controllers.objects import (
    condition_of,
    controller_reference,
    is_active,
    is_ready,
    is_terminating,
    parse_time,
    with_condition,
)
from lab.controllers.recorder import Recorder

Manifest = dict[str, Any]

_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")  # upstream refuses +5 and 05
_BATCH_MAX = 500  # pods created or deleted in one go, as upstream
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def replicas_of(manifest: Manifest) -> int:
    """Return spec.replicas, 1 where it is not set."""
    value = manifest["spec"].get("replicas")
    return 1 if value is None else int(value)


def available_at(pod: Manifest, min_ready_seconds: int) -> datetime | None:
    """Return since or from when a ready pod counts as available, or None for one that is not ready."""
    since = parse_time(condition_of(pod, "Ready").get("lastTransitionTime"))
    return since + timedelta(seconds=min_ready_seconds) if is_ready(pod) and since else None


def removal_order(pod: Manifest) -> tuple[bool, bool, bool, int, str]:
    """Sort key for pods to remove: unbound, pending, not ready, the cheapest by its annotation, the youngest first."""
    status = pod.get("status") or {}
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        is_ready(pod),
        deletion_cost(pod),
        "".join(chr(0x7F - ord(letter)) for letter in pod["metadata"].get("creationTimestamp") or ""),
    )


def deletion_cost(pod: Manifest) -> int:
    """Return what a pod's annotation says that its deletion costs; 0 where it says nothing that is a 32-bit number."""
    text = (pod["metadata"].get("annotations") or {}).get(_DELETION_COST, "0")
    cost = int(text) if _NUMBER.fullmatch(text) else 0
    return cost if -(2**31) <= cost < 2**31 else 0


def status_of(replica_set: Manifest, pods: Collection[Manifest], now: datetime) -> tuple[Manifest, float | None]:
    """Return the status for these pods, and when a ready one will become available."""
    active = [pod for pod in pods if is_active(pod)]
    wait = int(replica_set["spec"].get("minReadySeconds") or 0)
    times = [time for pod in active if (time := available_at(pod, wait))]
    template = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(
            1 for pod in active if template.items() <= (pod["metadata"].get("labels") or {}).items()
        ),
        "readyReplicas": len(times),
        "availableReplicas": sum(1 for time in times if time <= now),
    }
    status: Manifest = {name: count for name, count in counts.items() if count or name == "replicas"}
    status["observedGeneration"] = replica_set["metadata"].get("generation", 0)
    status["terminatingReplicas"] = sum(
        1
        for pod in pods
        if is_terminating(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )
    if conditions := (replica_set.get("status") or {}).get("conditions"):
        status["conditions"] = conditions
    later = [(time - now).total_seconds() for time in times if time > now]
    return status, min(later, default=None)


class ReplicaSetController:
    """Reconciles one ReplicaSet by (namespace, name)."""

    def __init__(
        self,
        api: Api,
        replica_sets: Store[Manifest],
        pods: Store[Manifest],
        expectations: Expectations,
        recorder: Recorder,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._replica_sets = replica_sets
        self._pods = pods
        self._expectations = expectations
        self._recorder = recorder
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Create or remove pods, then write the status."""
        replica_set = self._replica_sets.get(*key)
        if replica_set is None:
            self._expectations.forget(key)
            return None
        if wait := self._expectations.wait_seconds(key):
            return wait
        pods = self._pods.by("controller", replica_set["metadata"]["uid"])
        error = None if is_terminating(replica_set) else await self._manage(key, replica_set, pods)
        status, again = status_of(replica_set, pods, self._now())
        self._set_failure(status, error)
        if status != replica_set.get("status"):
            await self._api.replace(REPLICA_SETS, replica_set | {"status": status}, subresource="status")
        if error:
            raise error
        return again

    def _set_failure(self, status: Manifest, error: ApiError | None) -> None:
        conditions = [one for one in status.pop("conditions", []) if error or one["type"] != "ReplicaFailure"]
        if error:
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": str(error)}
            conditions = with_condition(conditions, failure, self._now())
        if conditions:
            status["conditions"] = conditions

    async def _manage(self, key: Key, replica_set: Manifest, pods: Collection[Manifest]) -> ApiError | None:
        active = [pod for pod in pods if is_active(pod)]
        missing = replicas_of(replica_set) - len(active)
        try:
            for _ in range(min(missing, _BATCH_MAX)):
                await self._create(key, replica_set)
            for pod in sorted(active, key=removal_order)[: max(0, min(-missing, _BATCH_MAX))]:
                await self._delete(replica_set, pod)
        except ApiError as error:
            text = f"Error creating: {error}"
            await self._say(replica_set, "FailedCreate", text, is_warning=True)
            return error
        return None

    async def _create(self, key: Key, replica_set: Manifest) -> None:
        pod = await self._api.create(PODS, new_pod(replica_set), key[0])
        self._expectations.expect(key, pod)
        await self._say(replica_set, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    async def _delete(self, replica_set: Manifest, pod: Manifest) -> None:
        metadata = pod["metadata"]
        try:
            await self._api.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            return
        await self._say(replica_set, "SuccessfulDelete", f"Deleted pod: {metadata['name']}")

    async def _say(self, replica_set: Manifest, reason: str, message: str, *, is_warning: bool = False) -> None:
        await self._recorder.record(
            replica_set, "apps/v1", "ReplicaSet", reason=reason, message=message, is_warning=is_warning
        )


def new_pod(replica_set: Manifest) -> Manifest:
    """Return the pod that a ReplicaSet's template describes."""
    template = copy.deepcopy(replica_set["spec"]["template"])
    metadata = template.get("metadata") or {}
    prefix = f"{replica_set['metadata']['name'][:57]}-"
    suffix = "".join(random.choices(_SUFFIX_LETTERS, k=5))  # noqa: S311  # a name, not a secret
    metadata |= {
        "name": prefix + suffix,
        "generateName": prefix,
        "ownerReferences": [controller_reference(replica_set, "apps/v1", "ReplicaSet")],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
