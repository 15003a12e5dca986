"""Keeps each Job supplied with the pods it wants, counts them once, and says when it is done."""

import asyncio
import copy
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import JOBS, PODS
from federation.kube.store import Key, Store
from lab.controllers.expectations import Expectations
from lab.controllers.job_plan import Plan, is_finished, plan
from lab.controllers.job_rules import INDEX, TRACKING, Failures, is_indexed, is_tracked
from lab.controllers.objects import controller_of, controller_reference, finalizers
from lab.controllers.recorder import Recorder

Manifest = dict[str, Any]

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # upstream's: no vowels, so no words
_FINISHED_TEXT = {"Complete": ("Completed", "Job completed")}


class JobController:
    """Reconciles one Job by (namespace, name)."""

    def __init__(
        self,
        api: Api,
        jobs: Store[Manifest],
        pods: Store[Manifest],
        expectations: Expectations,
        recorder: Recorder,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._jobs = jobs
        self._pods = pods
        self._expectations = expectations
        self._recorder = recorder
        self._now = now
        self._failures: dict[str, Failures] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Job forward; returns when to look again by itself."""
        job = self._jobs.get(*key)
        if job is None:
            self._expectations.forget(key)
            return None
        uid = job["metadata"]["uid"]
        pods = self._pods.by("controller", uid)
        if is_finished(job):
            self._failures.pop(uid, None)
            await self._release(pods)
            return None
        if wait := self._expectations.wait_seconds(key):
            return wait
        decided = plan(job, pods, self._failures.get(uid, Failures()), self._now())
        error = await self._create(job, decided)
        for pod in decided.withdraw:
            await self._release([pod])
            await self._delete(job, pod)
        if decided.status != (job.get("status") or {}):
            await self._api.replace(JOBS, job | {"status": decided.status}, subresource="status")
        self._failures[uid] = decided.failures
        for pod in decided.end:
            await self._delete(job, pod)
        await self._release(decided.release)
        await self._say_finished(job, decided)
        if error:
            raise error
        return decided.again

    async def _say_finished(self, job: Manifest, decided: Plan) -> None:
        if decided.finished:
            condition = next(one for one in decided.status["conditions"] if one["type"] == decided.finished)
            reason, text = _FINISHED_TEXT.get(decided.finished, (condition["reason"], condition["message"]))
            is_warning = decided.finished == "Failed"
            await self._recorder.record(job, "batch/v1", "Job", reason=reason, message=text, is_warning=is_warning)

    async def _create(self, job: Manifest, decided: Plan) -> ApiError | None:
        """Create the planned pods; where that fails, correct the plan and return the error."""
        for made, index in enumerate(decided.create):
            try:
                pod = await self._api.create(PODS, new_pod(job, index), job["metadata"]["namespace"])
            except ApiError as error:
                lost = len(decided.create) - made
                decided.status["active"] = int(decided.status.get("active") or 0) - lost
                text = f"Error creating: {error}"
                await self._recorder.record(
                    job, "batch/v1", "Job", reason="FailedCreate", message=text, is_warning=True
                )
                return error
            self._expectations.expect((job["metadata"]["namespace"], job["metadata"]["name"]), pod)
            text = f"Created pod: {pod['metadata']['name']}"
            await self._recorder.record(job, "batch/v1", "Job", reason="SuccessfulCreate", message=text)
        return None

    async def _delete(self, job: Manifest, pod: Manifest) -> None:
        metadata = pod["metadata"]
        try:
            await self._api.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            return
        text = f"Deleted pod: {metadata['name']}"
        await self._recorder.record(job, "batch/v1", "Job", reason="SuccessfulDelete", message=text)

    async def _release(self, pods: list[Manifest]) -> None:
        await asyncio.gather(*(release(self._api, pod) for pod in pods if is_tracked(pod)))


class OrphanedPods:
    """Takes the tracking finalizer off pods whose Job is gone: nobody counts them any more."""

    def __init__(self, api: Api, jobs: Store[Manifest], pods: Store[Manifest]) -> None:
        self._api = api
        self._jobs = jobs
        self._pods = pods

    async def reconcile(self, key: Key) -> float | None:
        """Look at one pod."""
        pod = self._pods.get(*key)
        if pod is None or not is_tracked(pod):
            return None
        owner = controller_of(pod)
        if owner and owner["kind"] == "Job":
            job = self._jobs.get(key[0], owner["name"])
            if job and job["metadata"]["uid"] == owner["uid"]:
                return None
            try:
                live = await self._api.get(JOBS, owner["name"], key[0])
                if live["metadata"]["uid"] == owner["uid"]:
                    return 1.0  # our store is behind
            except NotFound:
                pass
        await release(self._api, pod)
        return None


async def release(api: Api, pod: Manifest) -> None:
    """Take the tracking finalizer off a pod, unless it is another pod by now (Conflict)."""
    metadata = pod["metadata"]
    left = [name for name in finalizers(pod) if name != TRACKING]
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    try:
        await api.patch(
            PODS, metadata["name"], {"metadata": {**preconditions, "finalizers": left}}, metadata["namespace"]
        )
    except NotFound:
        return


def new_pod(job: Manifest, index: int | None) -> Manifest:
    """Return the pod that a Job's template describes, tracked and owned."""
    template = copy.deepcopy(job["spec"]["template"])
    metadata = template.get("metadata") or {}
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    labels = {
        **(metadata.get("labels") or {}),
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    annotations = dict(metadata.get("annotations") or {})
    spec = template["spec"]
    prefix = f"{name[:57]}-"
    if is_indexed(job) and index is not None:
        labels[INDEX] = annotations[INDEX] = str(index)
        spec["hostname"] = f"{name}-{index}"
        prefix = f"{name[: 56 - len(str(index))]}-{index}-"
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
            container["env"] = [*(container.get("env") or []), _index_variable()]
    suffix = "".join(random.choices(_SUFFIX_LETTERS, k=5))  # noqa: S311  # a name, not a secret
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": prefix + suffix,
            "generateName": prefix,
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
            "finalizers": [*(metadata.get("finalizers") or []), TRACKING],
            "ownerReferences": [controller_reference(job, "batch/v1", "Job")],
        },
        "spec": spec,
    }


def _index_variable() -> Manifest:
    path = f"metadata.labels['{INDEX}']"
    return {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": path}}}
