"""The home cluster, as far as the bridge needs it: its runner Jobs and Deployments with their pods, and its Secrets.

Jobs, pods and, where a profile needs one, Deployments are mirrored by a watch; Secrets are read by name, so that the
bridge needs no right to list them. What may have changed meanwhile is written with uid and resourceVersion: a write
that comes too late is refused, and the next look decides anew.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from bridge import names
from bridge.errors import ConfigurationError
from bridge.manifests import JOB_OF_POD, is_manager, manager_pod, runner_deployment, runner_pod
from bridge.observed import Fleet, ManagerPod, RunnerDeployment, RunnerPod
from federation.kube.api import Api, Manifest, PatchKind
from federation.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from federation.kube.resources import DEPLOYMENTS, JOBS, PODS, SECRETS, Resource
from federation.kube.store import Store
from federation.kube.watch import follow


class Cluster:
    """One namespace of one cluster, and in it what one bridge owns."""

    def __init__(self, api: Api, namespace: str, bridge: str, *, has_deployments: bool = False) -> None:
        self._api = api
        self._namespace = namespace
        self._bridge = bridge
        self._selector = names.selector(bridge)
        self._jobs: Store[Manifest] = Store(lambda manifest: manifest)
        self._pods: Store[Manifest] = Store(lambda manifest: manifest, {"job": lambda pod: [_job_of(pod)]})
        self._deployments: Store[Manifest] = Store(lambda manifest: manifest)
        self._mirrors: dict[Resource, Store[Manifest]] = {JOBS: self._jobs, PODS: self._pods}
        if has_deployments:  # else we need no right to see any
            self._mirrors[DEPLOYMENTS] = self._deployments

    async def follow(self) -> None:
        """Keep the mirrors current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for resource, store in self._mirrors.items():
                tasks.create_task(
                    follow(self._api, resource, store, namespace=self._namespace, label_selector=self._selector)
                )

    async def synced(self) -> None:
        """Wait until everything has been listed once."""
        for store in self._mirrors.values():
            await store.synced.wait()

    @property
    def trouble(self) -> str:
        """Why what we know of the cluster may be old, or nothing."""
        return next((store.trouble for store in self._mirrors.values() if store.trouble), "")

    def runners(self) -> list[RunnerPod]:
        """Return all one-job runners of this bridge, also those that have finished."""
        return [runner_pod(job, self._pods.by("job", names.name_of(job))) for job in self._jobs.values()]

    def fleet(self) -> Fleet:
        """Return all runners of this bridge, of both modes."""
        return Fleet(self.runners(), _managers(self._pods.values()), _by_profile(self._deployments.values()))

    async def read_once(self) -> Fleet:
        """Return all runners by one list of each kind, for a command that does not stay."""
        for resource, store in self._mirrors.items():
            found = await self._api.list(resource, self._namespace, label_selector=self._selector)
            for manifest in found.items:
                store.upsert(manifest)
        return self.fleet()

    async def create_job(self, manifest: Manifest) -> bool:
        """Create a Job; one that is there already is what we wanted (False)."""
        try:
            created = await self._api.create(JOBS, manifest)
        except AlreadyExists:
            return False
        # The next look may come before the watch tells: without this it would see room for runners that are there.
        if self._jobs.get(self._namespace, names.name_of(created)) is None:
            self._jobs.upsert(created)
        return True

    async def delete_job(self, pod: RunnerPod) -> None:
        """Delete this very Job and its pod; one that is gone or another is fine."""
        try:
            await self._api.delete(JOBS, pod.job, self._namespace, uid=pod.uid, propagation="Background")
        except NotFound:
            self._jobs.remove({"metadata": {"namespace": self._namespace, "name": pod.job}})
        except Conflict:
            return

    async def secret(self, name: str) -> Manifest | None:
        """Return a Secret, live."""
        try:
            return await self._api.get(SECRETS, name, self._namespace)
        except NotFound:
            return None

    async def write_secret(self, manifest: Manifest) -> None:
        """Create a Secret, or overwrite the one of that name."""
        try:
            await self._api.create(SECRETS, manifest)
        except AlreadyExists:
            await self._api.patch(SECRETS, names.name_of(manifest), manifest, self._namespace)

    async def create_deployment(self, manifest: Manifest) -> None:
        """Create a Deployment. Raises ConfigurationError where one of that name is not ours."""
        try:
            self._deployments.upsert(await self._api.create(DEPLOYMENTS, manifest))
        except AlreadyExists:
            name = names.name_of(manifest)
            owner = (await self._api.get(DEPLOYMENTS, name, self._namespace))["metadata"].get("labels") or {}
            wanted = manifest["metadata"]["labels"]
            if any(owner.get(key) != wanted[key] for key in (names.BRIDGE, names.PROFILE)):
                raise ConfigurationError(
                    f"Deployment {self._namespace}/{name} is not this bridge's; write another name in the profile's "
                    "`deployment`, or delete it"
                ) from None

    async def write_template(self, known: RunnerDeployment, manifest: Manifest) -> None:
        """Have a Deployment make its pods as `manifest` says: it rolls them. Its replicas are left alone."""
        template, mark = manifest["spec"]["template"], manifest["metadata"]["annotations"][names.TEMPLATE]
        await self._patch(
            known,
            [
                {"op": "test", "path": "/metadata/uid", "value": known.uid},
                {"op": "replace", "path": "/spec/template", "value": template},  # a merge would keep what was removed
                {"op": "add", "path": f"/metadata/annotations/{names.TEMPLATE.replace('/', '~1')}", "value": mark},
            ],
        )

    async def scale(self, known: RunnerDeployment, replicas: int) -> bool:
        """Set a Deployment's replicas; False if somebody else has set them since they were read."""
        operations: list[Manifest] = [
            {"op": "test", "path": "/metadata/uid", "value": known.uid},
            {"op": "test", "path": "/spec/replicas", "value": known.replicas},
            {"op": "replace", "path": "/spec/replicas", "value": replicas},
        ]
        try:
            await self._patch(known, operations)
        except (Invalid, NotFound):  # a failed test is a 422
            return False
        return True

    async def mark_pause(self, known: RunnerDeployment, since: datetime | None, *, keeps: bool = False) -> None:
        """Note on a Deployment that its runner is paused while it shrinks (and `keeps` being so), or that it is not."""
        mark = since.isoformat() + (" kept" if keeps else "") if since else None
        await self._patch(known, {"metadata": {"uid": known.uid, "annotations": {names.PAUSED_SINCE: mark}}})

    async def _patch(self, known: RunnerDeployment, body: Manifest | list[Manifest]) -> None:
        kind: PatchKind = "merge" if isinstance(body, dict) else "json"
        self._deployments.upsert(await self._api.patch(DEPLOYMENTS, known.name, body, self._namespace, kind=kind))

    async def set_deletion_cost(self, pod: ManagerPod, cost: int) -> None:
        """Tell the ReplicaSet controller how willingly to delete a pod. One that is gone is fine."""
        body = {"metadata": {"uid": pod.uid, "annotations": {names.DELETION_COST: str(cost) if cost else None}}}
        try:
            await self._api.patch(PODS, pod.pod, body, self._namespace)
        except (NotFound, Conflict):
            return


def _job_of(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"].get(JOB_OF_POD, ""))


def _managers(pods: Iterable[Manifest]) -> list[ManagerPod]:
    return [manager_pod(pod) for pod in pods if is_manager(pod)]


def _by_profile(deployments: Iterable[Manifest]) -> Mapping[str, RunnerDeployment]:
    found = [runner_deployment(manifest) for manifest in deployments]
    return {deployment.profile: deployment for deployment in found}
