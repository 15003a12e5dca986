"""Objects as real API servers send them, for measuring how they are read: 6 to 7 KB, much of it managedFields."""

import json
from typing import Any

from federation import names

Manifest = dict[str, Any]

_MOMENT = "2026-11-25T12:00:00Z"


def _managed_fields(writers: int) -> list[Manifest]:
    fields: Manifest = {
        f"f:{group}": {f"f:{name}": {".": {}, 'k:{"type":"x"}': {"f:status": {}}} for name in ("a", "b", "c", "d")}
        for group in ("metadata", "spec", "containers", "resources")
    }
    return [
        {
            "manager": f"writer-{number}",
            "operation": "Update",
            "apiVersion": "v1",
            "time": _MOMENT,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        for number in range(writers)
    ]


def _spec() -> Manifest:
    environment = [{"name": f"SETTING_{number}", "value": f"value of {number}"} for number in range(8)]
    mount = {"name": "token", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    container = {
        "name": "main",
        "image": "registry.example.com/group/project/image:1.2.3",
        "command": ["/bin/program", "--flag=value", "--another=1"],
        "env": environment,
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [mount],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    return {
        "volumes": [{"name": "token", "projected": {"sources": sources, "defaultMode": 420}}],
        "containers": [container],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 0,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "nodeSelector": {names.PROVIDER_KEY: names.PROVIDER},
        "tolerations": [{"key": f"key-{number}", "operator": "Exists", "effect": "NoExecute"} for number in range(4)],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _status() -> Manifest:
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": "main",
        "state": {"running": {"startedAt": _MOMENT}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": "registry.example.com/group/project/image:1.2.3",
        "imageID": f"registry.example.com/group/project/image@sha256:{'0' * 64}",
        "containerID": f"containerd://{'1' * 64}",
        "started": True,
    }
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": _MOMENT} for kind in kinds
        ],
        "hostIP": "10.0.0.1",
        "podIP": "10.1.2.3",
        "podIPs": [{"ip": "10.1.2.3"}],
        "startTime": _MOMENT,
        "containerStatuses": [container],
        "qosClass": "Burstable",
    }


def _metadata(number: int, writers: int) -> Manifest:
    return {
        "name": f"web-7c9d8f6b5-{number:06}",
        "namespace": f"team-{number % 10}",
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "resourceVersion": str(1000 + number),
        "creationTimestamp": _MOMENT,
        "labels": {"app": "web", "pod-template-hash": "7c9d8f6b5", names.HAS_FINALIZER: "true"},
        "annotations": {},
        "managedFields": _managed_fields(writers),
    }


def proxy(number: int, *, is_bound: bool = True) -> Manifest:
    """A proxy pod, running or still gated."""
    metadata, spec = _metadata(number, 2), _spec()
    submitted = {"metadata": {"name": metadata["name"]}, "spec": spec}
    metadata["annotations"] = {names.ELECT: "", names.SOURCE_POD_MANIFEST: json.dumps(submitted)}
    metadata["finalizers"] = [names.finalizer("team", "east")]
    if is_bound:
        spec = spec | {"nodeName": "admiralty-team-east"}
        return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": _status()}
    spec = spec | {"schedulingGates": [{"name": names.CANDIDATES_GATE}]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def chaperon(number: int) -> Manifest:
    """A PodChaperon whose delegate runs."""
    metadata = _metadata(number, 3)
    marks = {names.PARENT_NAMESPACE: metadata["namespace"], names.PARENT_NAME: metadata["name"]}
    metadata["annotations"] = marks | {names.IS_RESERVED: "true", names.IS_ALLOWED: "true", names.NODE_NAME: "node-1"}
    metadata["labels"] |= {names.PARENT_UID: metadata["uid"], names.PARENT_CLUSTER_NAME: "home", names.TARGET: "east"}
    return {
        "kind": names.CHAPERON_KIND,
        "apiVersion": names.API_VERSION,
        "metadata": metadata,
        "spec": _spec() | {"schedulerName": names.CANDIDATE_SCHEDULER},
        "status": _status(),
    }


def delegate(number: int) -> Manifest:
    """A delegate pod."""
    metadata = _metadata(number, 3)
    owner = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "name": metadata["name"]}
    metadata["ownerReferences"] = [owner | {"uid": metadata["uid"], "controller": True}]
    spec = _spec() | {"nodeName": "node-1"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": _status()}
