"""From manifests of the home cluster to the bridge's nouns: runners by Job or Deployment, with their pods. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bridge import names
from bridge.observed import ManagerPod, Phase, RunnerDeployment, RunnerPod
from federation.kube.api import Manifest
from federation.model.reading import whole
from federation.model.times import parse_time

JOB_OF_POD = "batch.kubernetes.io/job-name"  # the Job controller's label


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
        ci_job=whole(labels.get(names.CI_JOB)),
        attempt=whole(labels.get(names.ATTEMPT)),
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


def is_manager(pod: Manifest) -> bool:
    """Whether a pod belongs to a Deployment of ours."""
    return bool((pod["metadata"].get("labels") or {}).get(names.APP) == names.FEDERATED_RUNNER)


def manager_pod(pod: Manifest) -> ManagerPod:
    """Read a pod of a Deployment."""
    metadata, status = pod["metadata"], pod.get("status", {})
    phase = _phase({}, pod)
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    cost = (metadata.get("annotations") or {}).get(names.DELETION_COST, "0")
    node = pod.get("spec", {}).get("nodeName", "")
    return ManagerPod(
        pod=metadata["name"],
        uid=metadata["uid"],
        profile=metadata["labels"].get(names.PROFILE, ""),
        system_id=names.system_id_of_pod(metadata["uid"]),
        phase=phase,
        created_at=_time(metadata["creationTimestamp"]),
        is_assigned=bool(node),
        is_ready=conditions.get("Ready") == "True",
        is_leaving="deletionTimestamp" in metadata,
        deletion_cost=-whole(cost[1:]) if cost.startswith("-") else whole(cost),
        node=node,
        detail=_detail(pod) if phase is Phase.STARTING else "",
    )


def runner_deployment(manifest: Manifest) -> RunnerDeployment:
    """Read a Deployment of ours."""
    metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
    annotations = metadata.get("annotations") or {}
    replicas = int(spec.get("replicas", 1))
    is_seen = status.get("observedGeneration", 0) >= metadata.get("generation", 1)
    counts = status.get("replicas", 0), status.get("updatedReplicas", 0)
    paused_since, _, keeps = annotations.get(names.PAUSED_SINCE, "").partition(" ")
    return RunnerDeployment(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        profile=(metadata.get("labels") or {}).get(names.PROFILE, ""),
        template=annotations.get(names.TEMPLATE, ""),
        replicas=replicas,
        is_settled=is_seen and counts == (replicas, replicas),
        paused_since=parse_time(paused_since),
        keeps_pause=bool(keeps),
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
