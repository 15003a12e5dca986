"""The home cluster, as far as the bridge needs it: its runner Jobs with their pods, and its Secrets.

Jobs and pods are mirrored by a watch; Secrets are read by name, so that the bridge needs no right to list them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bridge import names
from bridge.demand import Phase, RunnerPod
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Conflict, NotFound
from federation.kube.resources import JOBS, PODS, SECRETS
from federation.kube.store import Store
from federation.kube.watch import follow


class Cluster:
    """One namespace of one cluster, and in it what one bridge owns."""

    def __init__(self, api: Api, namespace: str, bridge: str) -> None:
        self._api = api
        self._namespace = namespace
        self._selector = names.selector(bridge)
        self._jobs: Store[Manifest] = Store(lambda manifest: manifest)
        self._pods: Store[Manifest] = Store(
            lambda manifest: manifest, {"job": lambda pod: [pod["metadata"]["labels"].get(_JOB_OF_POD, "")]}
        )

    async def follow(self) -> None:
        """Keep Jobs and pods current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for resource, store in ((JOBS, self._jobs), (PODS, self._pods)):
                tasks.create_task(
                    follow(self._api, resource, store, namespace=self._namespace, label_selector=self._selector)
                )

    async def synced(self) -> None:
        """Wait until Jobs and pods have been listed once."""
        await self._jobs.synced.wait()
        await self._pods.synced.wait()

    @property
    def trouble(self) -> str:
        """Why what we know of the cluster may be old, or nothing."""
        return self._jobs.trouble or self._pods.trouble

    def runners(self) -> list[RunnerPod]:
        """Return all runners of this bridge, also those that have finished."""
        return [runner_pod(job, self._pods.by("job", names.name_of(job))) for job in self._jobs.values()]

    async def read_once(self) -> list[RunnerPod]:
        """Return all runners by one list, for a command that does not stay."""
        jobs = await self._api.list(JOBS, self._namespace, label_selector=self._selector)
        pods = await self._api.list(PODS, self._namespace, label_selector=self._selector)
        by_job: dict[str, list[Manifest]] = {}
        for pod in pods.items:
            by_job.setdefault(pod["metadata"]["labels"].get(_JOB_OF_POD, ""), []).append(pod)
        return [runner_pod(job, by_job.get(names.name_of(job), [])) for job in jobs.items]

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


_JOB_OF_POD = "batch.kubernetes.io/job-name"  # the Job controller's label


def runner_pod(job: Manifest, pods: Sequence[Manifest]) -> RunnerPod:
    """Read a runner from its Job and that Job's pods (none yet, or one)."""
    metadata = job["metadata"]
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    pod = pods[-1] if pods else {}
    phase = _phase(job, pod)
    return RunnerPod(
        job=metadata["name"],
        uid=metadata["uid"],
        profile=labels.get(names.PROFILE, ""),
        ci_job=int(labels.get(names.CI_JOB, "0")),
        attempt=int(labels.get(names.ATTEMPT, "0")),
        system_id=annotations.get(names.SYSTEM_ID, ""),
        token=labels.get(names.TOKEN, ""),
        phase=phase,
        created_at=_time(metadata["creationTimestamp"]),
        started_at=_started_at(pod),
        finished_at=_finished_at(job),
        pod=pod["metadata"]["name"] if pod else "",
        node=pod.get("spec", {}).get("nodeName", ""),
        detail=_detail(pod) if phase is Phase.STARTING else "",
    )


def _phase(job: Manifest, pod: Manifest) -> Phase:
    conditions = {c["type"] for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    if "Failed" in conditions or "FailureTarget" in conditions:
        return Phase.FAILED
    if "Complete" in conditions or "SuccessCriteriaMet" in conditions:
        return Phase.SUCCEEDED
    match pod.get("status", {}).get("phase"):
        case "Running":
            return Phase.RUNNING
        case "Succeeded":
            return Phase.SUCCEEDED
        case "Failed":
            return Phase.FAILED
        case _:
            return Phase.STARTING


def _started_at(pod: Manifest) -> datetime | None:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if started := container.get("state", {}).get("running", {}).get("startedAt"):
            return _time(started)
    return None


def _finished_at(job: Manifest) -> datetime | None:
    conditions = job.get("status", {}).get("conditions", [])
    times = [c["lastTransitionTime"] for c in conditions if c["type"] in ("Complete", "Failed")]
    return _time(max(times)) if times else None


def _detail(pod: Manifest) -> str:
    """Return why a pod has not started, in the words of whoever holds it up."""
    status: dict[str, Any] = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        if waiting := container.get("state", {}).get("waiting"):
            return f"{waiting.get('reason', '')}: {waiting.get('message', '')}".strip(": ")
    for condition in status.get("conditions", []):
        if condition["status"] == "False" and condition.get("message"):
            return str(condition["message"])
    return "" if pod else "no pod yet"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
