"""Moves each Deployment to its template: one ReplicaSet per template, in steps that `rollout` decides."""

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, NotFound
from federation.kube.resources import DEPLOYMENTS, REPLICA_SETS
from federation.kube.store import Key, Store
from lab.controllers import rollout
from lab.controllers.objects import controller_of, controller_reference, is_terminating
from lab.controllers.recorder import Recorder
from lab.controllers.replica_set import replicas_of

Manifest = dict[str, Any]

_NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", rollout.REVISION, rollout.DESIRED, rollout.MAXIMUM}
# How long a rollout without progress is left until it is looked at for its deadline.
_DEADLINE_LOOK_SECONDS = 10.0


class DeploymentController:
    """Reconciles one Deployment by (namespace, name)."""

    def __init__(
        self,
        api: Api,
        deployments: Store[Manifest],
        replica_sets: Store[Manifest],
        recorder: Recorder,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._deployments = deployments
        self._replica_sets = replica_sets
        self._recorder = recorder
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Make one step of the rollout and write the status."""
        deployment = self._deployments.get(*key)
        if deployment is None:
            return None
        owned = self._replica_sets.by("controller", deployment["metadata"]["uid"])
        new = rollout.find_new(deployment, owned)
        old = [one for one in owned if one is not new]
        if not is_terminating(deployment):
            if new is None and not deployment["spec"].get("paused"):
                new = await self._create(deployment, old)
                if new is None:
                    return 0.1  # our store is behind: it exists already
            deployment, new = await self._mark(deployment, new, old)
            await self._resize(deployment, new, old)
        status = rollout.status_of(deployment, new, old, self._now())
        if status != deployment.get("status"):
            await self._api.replace(DEPLOYMENTS, deployment | {"status": status}, subresource="status")
        if rollout.is_complete(deployment, status):
            await self._forget_history(deployment, old)
            return None
        return _DEADLINE_LOOK_SECONDS

    async def _create(self, deployment: Manifest, old: list[Manifest]) -> Manifest | None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
        name_hash = rollout.template_hash(spec["template"], collisions)
        template = copy.deepcopy(spec["template"])
        labels = {**(template.setdefault("metadata", {}).get("labels") or {}), rollout.HASH: name_hash}
        template["metadata"]["labels"] = labels
        selector = copy.deepcopy(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), rollout.HASH: name_hash}
        surge, _ = rollout.fenceposts(deployment)
        room = replicas_of(deployment) + surge - sum(replicas_of(one) for one in old)
        is_recreate = (spec.get("strategy") or {}).get("type") == "Recreate"
        has_old = any(replicas_of(one) for one in old)
        replicas = 0 if is_recreate and has_old else max(0, min(room, replicas_of(deployment)))
        replica_set: Manifest = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{name_hash}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": self._annotations(deployment, None, old),
                "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            replica_set["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        try:
            created = await self._api.create(REPLICA_SETS, replica_set)
        except AlreadyExists:
            return await self._collided(deployment, replica_set["metadata"]["name"])
        await self._say_scaled(deployment, created, 0, replicas)
        return created

    async def _collided(self, deployment: Manifest, name: str) -> Manifest | None:
        live = await self._api.get(REPLICA_SETS, name, deployment["metadata"]["namespace"])
        if (controller_of(live) or {}).get("uid") == deployment["metadata"]["uid"] and rollout.find_new(
            deployment, [live]
        ):
            return None
        status = copy.deepcopy(deployment.get("status") or {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        await self._api.replace(DEPLOYMENTS, deployment | {"status": status}, subresource="status")
        return None

    def _annotations(self, deployment: Manifest, new: Manifest | None, old: list[Manifest]) -> dict[str, str]:
        revision = max(max((rollout.revision_of(one) for one in old), default=0) + 1, rollout.revision_of(new or _NONE))
        surge, _ = rollout.fenceposts(deployment)
        copied = deployment["metadata"].get("annotations") or {}
        return {
            **{key: value for key, value in copied.items() if key not in _NOT_COPIED},
            rollout.REVISION: str(revision),
            rollout.DESIRED: str(replicas_of(deployment)),
            rollout.MAXIMUM: str(replicas_of(deployment) + surge),
        }

    async def _mark(
        self, deployment: Manifest, new: Manifest | None, old: list[Manifest]
    ) -> tuple[Manifest, Manifest | None]:
        """Keep the revision on both objects; returns them as they are then."""
        if new is None:
            return deployment, None
        wanted = self._annotations(deployment, new, old)
        have = new["metadata"].get("annotations") or {}
        namespace = deployment["metadata"]["namespace"]
        if any(have.get(key) != value for key, value in wanted.items()):
            body = {"metadata": {"annotations": wanted}}
            new = await self._api.patch(REPLICA_SETS, new["metadata"]["name"], body, namespace)
        revision = wanted[rollout.REVISION]
        if (deployment["metadata"].get("annotations") or {}).get(rollout.REVISION) != revision:
            body = {"metadata": {"annotations": {rollout.REVISION: revision}}}
            deployment = await self._api.patch(DEPLOYMENTS, deployment["metadata"]["name"], body, namespace)
        return deployment, new

    async def _resize(self, deployment: Manifest, new: Manifest | None, old: list[Manifest]) -> None:
        every = {one["metadata"]["uid"]: one for one in [*old, *([new] if new else [])]}
        for uid, size in rollout.sizes(deployment, new, old).items():
            one = every[uid]
            metadata = one["metadata"]
            body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"replicas": size}}
            patched = await self._api.patch(REPLICA_SETS, metadata["name"], body, metadata["namespace"])
            await self._say_scaled(deployment, patched, replicas_of(one), size)

    async def _say_scaled(self, deployment: Manifest, replica_set: Manifest, before: int, after: int) -> None:
        if before == after:
            return
        way = "up" if after > before else "down"
        text = f"Scaled {way} replica set {replica_set['metadata']['name']} from {before} to {after}"
        await self._recorder.record(deployment, "apps/v1", "Deployment", reason="ScalingReplicaSet", message=text)

    async def _forget_history(self, deployment: Manifest, old: list[Manifest]) -> None:
        for one in rollout.surplus_history(deployment, old):
            metadata = one["metadata"]
            try:
                await self._api.delete(REPLICA_SETS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except NotFound:
                continue


_NONE: Manifest = {"metadata": {}}
