"""The life of Jobs, the same on the real job controller and on ours."""

from typing import Any

from federation.kube.errors import NotFound
from federation.kube.resources import JOBS, PODS
from lab.controllers.job_rules import TRACKING
from tests.lab.planes import Manifest, Plane, eventually

GATE = {"schedulingGates": [{"name": "example.com/never"}]}  # no scheduler takes part in these stories


async def add_job(plane: Plane, space: str, **spec: Any) -> Manifest:
    template = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}], **GATE}
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": space},
        "spec": {"template": {"spec": template | spec.pop("pod", {})}, **spec},
    }
    return await plane.api.create(JOBS, manifest)


async def pods_of(plane: Plane, space: str, count: int, *, phase: str = "Pending") -> list[Manifest]:
    """Wait for exactly this many pods that are in a phase and not going."""

    async def enough() -> list[Manifest]:
        items = (await plane.api.list(PODS, space)).items
        found = [
            one for one in items if one["status"].get("phase") == phase and not one["metadata"].get("deletionTimestamp")
        ]
        return found if len(found) == count else []

    found: list[Manifest] = await eventually(enough, f"{count} pods {phase}", seconds=30)
    return found


async def condition(plane: Plane, space: str, kind: str) -> Manifest:
    """Wait until the Job has a condition and return the Job with it as `found`."""

    async def there() -> Manifest | None:
        job = await plane.api.get(JOBS, "j", space)
        for one in job.get("status", {}).get("conditions") or []:
            if one["type"] == kind and one["status"] == "True":
                return job | {"found": one}
        return None

    job: Manifest = await eventually(there, f"Job {kind}", seconds=30)
    return job


async def test_a_job_completes_and_its_pods_are_counted(plane: Plane, space: str) -> None:
    job = await add_job(plane, space, completions=3, parallelism=2)
    first = await pods_of(plane, space, 2)
    metadata = first[0]["metadata"]
    assert metadata["finalizers"] == [TRACKING]
    assert metadata["labels"]["batch.kubernetes.io/job-name"] == "j"
    assert metadata["labels"]["batch.kubernetes.io/controller-uid"] == job["metadata"]["uid"]
    assert metadata["generateName"] == "j-"
    owner = metadata["ownerReferences"][0]
    assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == ("Job", True, True)
    for pod in first:
        await plane.set_phase(space, pod["metadata"]["name"], "Succeeded")
    (third,) = await pods_of(plane, space, 1)
    await plane.set_phase(space, third["metadata"]["name"], "Succeeded")
    done = await condition(plane, space, "Complete")
    assert done["found"]["reason"] == "CompletionsReached"
    status = done["status"]
    assert (status["succeeded"], status.get("failed", 0), status.get("active", 0)) == (3, 0, 0)
    assert {one["type"] for one in status["conditions"]} == {"SuccessCriteriaMet", "Complete"}
    assert status["completionTime"]
    for pod in (await plane.api.list(PODS, space)).items:
        assert not pod["metadata"].get("finalizers")


async def test_failures_beyond_the_limit_fail_the_job(plane: Plane, space: str) -> None:
    await add_job(plane, space, backoffLimit=0)
    (pod,) = await pods_of(plane, space, 1)
    await plane.set_phase(space, pod["metadata"]["name"], "Failed")
    failed = await condition(plane, space, "Failed")
    assert failed["found"]["reason"] == "BackoffLimitExceeded"
    assert failed["found"]["message"] == "Job has reached the specified backoff limit"
    assert failed["status"]["failed"] == 1
    assert {one["type"] for one in failed["status"]["conditions"]} == {"FailureTarget", "Failed"}


async def test_a_failed_pod_is_replaced_after_a_pause(plane: Plane, space: str) -> None:
    await add_job(plane, space)
    (pod,) = await pods_of(plane, space, 1)
    await plane.set_phase(space, pod["metadata"]["name"], "Failed")
    (other,) = await pods_of(plane, space, 1)
    assert other["metadata"]["name"] != pod["metadata"]["name"]

    async def counted() -> bool:
        return bool((await plane.api.get(JOBS, "j", space))["status"].get("failed") == 1)

    assert await eventually(counted, "one failure counted")


async def test_a_rule_on_exit_codes_fails_the_job(plane: Plane, space: str) -> None:
    codes = {"operator": "In", "values": [42]}
    await add_job(plane, space, podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": codes}]})
    (pod,) = await pods_of(plane, space, 1)
    name = pod["metadata"]["name"]
    terminated = {"name": "main", "image": "busybox", "imageID": "", "ready": False, "restartCount": 0}
    terminated["state"] = {"terminated": {"exitCode": 42, "reason": "Error"}}
    await plane.set_phase(space, name, "Failed", containerStatuses=[terminated])
    failed = await condition(plane, space, "Failed")
    assert failed["found"]["reason"] == "PodFailurePolicy"
    assert failed["found"]["message"] == (
        f"Container main for pod {space}/{name} failed with exit code 42 matching FailJob rule at index 0"
    )


async def test_an_ignored_disruption_does_not_count(plane: Plane, space: str) -> None:
    pattern = [{"type": "DisruptionTarget", "status": "True"}]
    rules = [{"action": "Ignore", "onPodConditions": pattern}]
    await add_job(plane, space, backoffLimit=0, podFailurePolicy={"rules": rules})
    (pod,) = await pods_of(plane, space, 1)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    body = {"status": {"phase": "Failed", "conditions": [disrupted]}}
    await plane.api.patch(PODS, pod["metadata"]["name"], body, space, subresource="status", kind="strategic")
    await pods_of(plane, space, 1)
    assert (await plane.api.get(JOBS, "j", space))["status"].get("failed", 0) == 0


async def test_a_deleted_pod_is_replaced_only_once_it_has_failed(plane: Plane, space: str) -> None:
    """C1: a pod that goes without a terminal phase would keep a Job with podFailurePolicy waiting."""
    pattern = [{"type": "DisruptionTarget", "status": "True"}]
    rules = [{"action": "Ignore", "onPodConditions": pattern}]
    await add_job(plane, space, podFailurePolicy={"rules": rules}, pod={"terminationGracePeriodSeconds": 30})
    (pod,) = await pods_of(plane, space, 1)
    name = pod["metadata"]["name"]
    await plane.api.patch(PODS, name, {"metadata": {"finalizers": [TRACKING, "example.com/stay"]}}, space)
    await plane.set_phase(space, name, "Running")
    await plane.api.delete(PODS, name, space)

    async def terminating() -> bool:
        return bool((await plane.api.get(JOBS, "j", space))["status"].get("terminating") == 1)

    assert await eventually(terminating, "one terminating pod")
    assert len((await plane.api.list(PODS, space)).items) == 1
    await plane.set_phase(space, name, "Failed")
    await pods_of(plane, space, 1)
    await plane.api.patch(PODS, name, {"metadata": {"finalizers": None}}, space)


async def test_a_job_past_its_deadline_fails(plane: Plane, space: str) -> None:
    await add_job(plane, space, activeDeadlineSeconds=1)
    await pods_of(plane, space, 1)
    failed = await condition(plane, space, "Failed")
    assert failed["found"]["reason"] == "DeadlineExceeded"

    async def none_left() -> bool:
        return not (await plane.api.list(PODS, space)).items

    assert await eventually(none_left, "no pods left")


async def test_suspend_and_resume(plane: Plane, space: str) -> None:
    await add_job(plane, space, suspend=True)
    await condition(plane, space, "Suspended")
    assert (await plane.api.list(PODS, space)).items == []
    await plane.api.patch(JOBS, "j", {"spec": {"suspend": False}}, space)
    await pods_of(plane, space, 1)
    await plane.api.patch(JOBS, "j", {"spec": {"suspend": True}}, space)
    await condition(plane, space, "Suspended")

    async def none_left() -> bool:
        return not (await plane.api.list(PODS, space)).items

    assert await eventually(none_left, "no pods left")
    assert (await plane.api.get(JOBS, "j", space))["status"].get("failed", 0) == 0


async def test_indexes(plane: Plane, space: str) -> None:
    await add_job(plane, space, completions=3, parallelism=3, completionMode="Indexed")
    for pod in await pods_of(plane, space, 3):
        annotations = pod["metadata"]["annotations"]
        index = annotations["batch.kubernetes.io/job-completion-index"]
        assert pod["spec"]["hostname"] == f"j-{index}"
        assert pod["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
        await plane.set_phase(space, pod["metadata"]["name"], "Succeeded")
    done = await condition(plane, space, "Complete")
    assert done["status"]["completedIndexes"] == "0-2"
    assert done["status"]["succeeded"] == 3


async def test_a_finished_job_goes_after_its_time(plane: Plane, space: str) -> None:
    await add_job(plane, space, ttlSecondsAfterFinished=1)
    (pod,) = await pods_of(plane, space, 1)
    await plane.set_phase(space, pod["metadata"]["name"], "Succeeded")

    async def gone() -> bool:
        try:
            await plane.api.get(JOBS, "j", space)
        except NotFound:
            return not (await plane.api.list(PODS, space)).items
        return False

    assert await eventually(gone, "the Job and its pod gone")


async def test_deleting_a_job_takes_its_pods_along(plane: Plane, space: str) -> None:
    await add_job(plane, space, parallelism=2, completions=2)
    await pods_of(plane, space, 2)
    await plane.api.delete(JOBS, "j", space, propagation="Background")

    async def none_left() -> bool:
        return not (await plane.api.list(PODS, space)).items

    assert await eventually(none_left, "no pods left")


async def test_deleting_a_job_as_orphan_leaves_its_pods(plane: Plane, space: str) -> None:
    await add_job(plane, space)
    await pods_of(plane, space, 1)
    await plane.api.delete(JOBS, "j", space, propagation="Orphan")

    async def set_free() -> bool:
        (pod,) = (await plane.api.list(PODS, space)).items
        return not pod["metadata"].get("ownerReferences") and not pod["metadata"].get("finalizers")

    assert await eventually(set_free, "the pod without owner and finalizer")
