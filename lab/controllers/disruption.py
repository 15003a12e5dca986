"""Ending a pod on the cluster's behalf: say why in its status, then delete it."""

from datetime import datetime
from typing import Any

from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from lab.controllers.objects import timestamp

Manifest = dict[str, Any]


async def end_pod(
    api: Api,
    pod: Manifest,
    now: datetime,
    *,
    reason: str = "",
    message: str = "",
    fails: bool = False,
    grace_period_seconds: int | None = None,
) -> None:
    """Set DisruptionTarget (where a reason is given) and phase Failed (where it `fails`), then delete the pod.

    A pod that has ended already keeps its phase and conditions. One that is gone is fine.
    """
    metadata = pod["metadata"]
    has_ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    status: Manifest = {}
    if reason and not has_ended:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        status["conditions"] = [condition | {"lastTransitionTime": timestamp(now)}]
    if fails and not has_ended:
        status["phase"] = "Failed"
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    try:
        if status:
            body = {"metadata": {"uid": uid}, "status": status}
            await api.patch(PODS, name, body, namespace, subresource="status", kind="strategic")
        await api.delete(PODS, name, namespace, uid=uid, grace_period_seconds=grace_period_seconds)
    except NotFound:
        return
