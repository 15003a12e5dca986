"""Which pods a shrinking ReplicaSet deletes: the cheapest by their annotation, also where it was written later."""

import asyncio
from typing import Any

from federation.kube.resources import DEPLOYMENTS, PODS
from lab.running import RunningLab

COST = "controller.kubernetes.io/pod-deletion-cost"
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "costly"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "costly"}},
        "template": {
            "metadata": {"labels": {"app": "costly"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "600"]}],
            },
        },
    },
}


async def ready_pods(lab: RunningLab, namespace: str, count: int) -> list[dict[str, Any]]:
    """The Deployment's pods once that many are ready and no other is there, oldest first."""
    async with asyncio.timeout(60):
        while True:
            pods = (await lab.api().list(PODS, namespace, label_selector="app=costly")).items
            conditions = [c for pod in pods for c in pod.get("status", {}).get("conditions", [])]
            are_ready = [c for c in conditions if (c["type"], c["status"]) == ("Ready", "True")]
            if len(pods) == count == len(are_ready):
                return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
            await asyncio.sleep(0.1)


async def test_the_pod_that_costs_most_stays_though_it_is_the_youngest(bare_lab: RunningLab, namespace: str) -> None:
    api = bare_lab.api()
    await api.create(DEPLOYMENTS, DEPLOYMENT, namespace)
    (oldest,) = await ready_pods(bare_lab, namespace, 1)
    await asyncio.sleep(1.1)  # ages are told in seconds
    await api.patch(DEPLOYMENTS, "costly", {"spec": {"replicas": 3}}, namespace)
    pods = await ready_pods(bare_lab, namespace, 3)
    costly = pods[-1]["metadata"]["name"]
    assert costly != oldest["metadata"]["name"]
    await api.patch(PODS, costly, {"metadata": {"annotations": {COST: "1000"}}}, namespace)
    await api.patch(DEPLOYMENTS, "costly", {"spec": {"replicas": 1}}, namespace)
    (left,) = await ready_pods(bare_lab, namespace, 1)
    assert left["metadata"]["name"] == costly
