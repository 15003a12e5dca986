"""Good manifests with every field that anybody looks at: what strangers' ones are made from."""

from typing import Any

from federation import names

Manifest = dict[str, Any]
MOMENT = "2026-11-28T12:00:00Z"
UID = "11111111-2222-3333-4444-555555555555"
OWNER: dict[str, Any] = {
    "apiVersion": names.API_VERSION,
    "kind": names.CHAPERON_KIND,
    "name": "job-1",
    "uid": "chaperon",
    "controller": True,
}


def metadata(name: str = "job", **more: Any) -> Manifest:
    found = {"name": name, "namespace": "ci", "uid": UID, "resourceVersion": "7", "generation": 2}
    return found | {"creationTimestamp": MOMENT, "labels": {"app": "job"}, "annotations": {"a": "b"}} | more


AFFINITY: Manifest = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "zone", "operator": "In", "values": ["a"]},
                        {"key": "cores", "operator": "Gt", "values": ["2"]},
                        {"key": names.HOSTNAME, "operator": "In", "values": ["admiralty-ci-arm"]},
                    ],
                    "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}],
                }
            ]
        },
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": []}}],
    },
    "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]},
}
SPEC: Manifest = {
    "containers": [
        {
            "name": "main",
            "image": "busybox",
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "claims": [{"name": "gpu"}]},
            "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
            "volumeMounts": [{"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key", "optional": True}}],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "a"}}}],
        }
    ],
    "initContainers": [{"name": "init", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}],
    "volumes": [
        {"name": "v", "secret": {"secretName": "key"}},
        {"name": "w", "configMap": {"name": "settings"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "key"}}, {"configMap": {"name": "settings"}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "d", "csi": {"nodePublishSecretRef": {"name": "key"}}},
    ],
    "imagePullSecrets": [{"name": "pull"}],
    "nodeSelector": {"arch": "arm64"},
    "affinity": AFFINITY,
    "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule", "tolerationSeconds": 5}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "schedulingGates": [{"name": names.CANDIDATES_GATE}],
    "resourceClaims": [{"name": "gpu"}],
    "overhead": {"cpu": "10m"},
    "priority": 7,
    "restartPolicy": "Never",
    "schedulerName": names.CANDIDATE_SCHEDULER,
}
CONDITIONS: list[Manifest] = [
    {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "no",
        "lastTransitionTime": MOMENT,
    },
    {"type": "Ready", "status": "True", "lastTransitionTime": MOMENT, "lastProbeTime": None},
    {"type": "DisruptionTarget", "status": "True", "reason": "Evicted", "lastTransitionTime": MOMENT},
    {"type": names.RESERVED_CONDITION, "status": "False", "message": "waits", "lastTransitionTime": MOMENT},
]
STATUS: Manifest = {
    "phase": "Running",
    "reason": "x",
    "message": "y",
    "startTime": MOMENT,
    "podIP": "10.0.0.1",
    "podIPs": [{"ip": "10.0.0.1"}],
    "hostIP": "10.0.0.2",
    "hostIPs": [{"ip": "10.0.0.2"}],
    "conditions": CONDITIONS,
    "containerStatuses": [
        {
            "name": "main",
            "state": {"terminated": {"exitCode": 1, "finishedAt": MOMENT}},
            "lastState": {"running": {"startedAt": MOMENT}},
            "restartCount": 1,
        }
    ],
    "initContainerStatuses": [{"name": "init", "state": {"waiting": {"reason": "ImagePull"}}, "restartCount": 0}],
}
FAILED: Manifest = {"phase": "Failed", "reason": "OutOfcpu", "conditions": CONDITIONS}

SUBMITTED: Manifest = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": metadata(annotations={names.ELECT: ""}),
    "spec": SPEC,
}
_PROXY_MARKS = {
    names.ELECT: "",
    names.SOURCE_POD_MANIFEST: '{"metadata": {}, "spec": {"containers": [{"name": "main"}]}}',
    names.UNGATED_AT: MOMENT,
    names.SPREAD: names.SPREAD_PREFIX + "0123456789abcdef=zone",
    names.ASKING: "one",
}
_FINALIZERS = [names.finalizer("ci", "arm"), "example.com/other"]
WAITING_PROXY: Manifest = {
    "metadata": metadata(annotations=_PROXY_MARKS, finalizers=_FINALIZERS),
    "spec": SPEC,
    "status": {"phase": "Pending", "conditions": CONDITIONS},
}
BOUND_PROXY: Manifest = {
    "metadata": metadata(annotations=_PROXY_MARKS, finalizers=_FINALIZERS, ownerReferences=[OWNER]),
    "spec": SPEC | {"nodeName": "admiralty-ci-arm", "schedulingGates": []},
    "status": STATUS,
}
ENDING_PROXY: Manifest = BOUND_PROXY | {"metadata": BOUND_PROXY["metadata"] | {"deletionTimestamp": MOMENT}}

_CHAPERON = metadata(
    "job-1",
    uid="chaperon",
    annotations={
        names.PARENT_NAMESPACE: "ci",
        names.PARENT_NAME: "job",
        names.IS_RESERVED: "true",
        names.REMADE: f"3 {MOMENT}",
        names.POD_MISSING_SINCE: MOMENT,
    },
    labels={names.PARENT_UID: UID, names.PARENT_CLUSTER_NAME: "home", names.TARGET: "ci-arm"},
)
CHAPERON: Manifest = {"metadata": _CHAPERON, "spec": SPEC, "status": STATUS}
NEW_CHAPERON: Manifest = {"metadata": _CHAPERON, "spec": SPEC}
ALLOWED_CHAPERON: Manifest = {
    "metadata": _CHAPERON | {"annotations": _CHAPERON["annotations"] | {names.IS_ALLOWED: "true"}},
    "spec": SPEC,
    "status": FAILED,
}
TARGET_POD: Manifest = {
    "metadata": metadata("job-1", ownerReferences=[OWNER], deletionTimestamp=MOMENT, deletionGracePeriodSeconds=30),
    "spec": SPEC | {"nodeName": "n1"},
    "status": STATUS,
}
REJECTED_POD: Manifest = TARGET_POD | {"status": FAILED}

NODE: Manifest = {
    "metadata": metadata("n1", labels={"zone": "a", names.HOSTNAME: "n1", "cores": "4"}),
    "spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}], "unschedulable": False},
    "status": {
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        "allocatable": {"cpu": "3500m", "memory": "7Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": MOMENT}],
        "nodeInfo": {"kubeletVersion": "v1.37.2"},
    },
}
VIRTUAL_NODE: Manifest = NODE | {
    "metadata": metadata(
        "admiralty-ci-arm",
        labels={names.TARGET_NAMESPACE: "ci", names.TARGET_NAME: "arm", names.PROVIDER_KEY: names.PROVIDER},
        annotations={"isthmus.dev/owned-labels": "zone,arch"},
    )
}
SUMMARY: Manifest = {
    "metadata": metadata("singleton", labels={"arch": "arm64"}),
    "clusterID": UID,
    "clusterName": "arm",
    "kubeletVersion": "v1.37.2",
    "capacity": {"cpu": "4", "memory": "8Gi"},
    "allocatable": {"cpu": "4", "memory": "8Gi"},
}
TARGET: Manifest = {
    "metadata": metadata(
        "arm",
        finalizers=[names.TARGET_FINALIZER],
        annotations={names.HELD_SECRET: "ci/arm", names.ACCEPT_LOSS: MOMENT},
    ),
    "spec": {
        "kubeconfigSecret": {"name": "arm", "key": "config", "context": "c"},
        "weight": 2,
        "excludedLabelsRegexp": "a",
    },
    "status": {
        "clusterID": UID,
        "conditions": [
            {"type": "Intact", "status": "False", "reason": "x", "message": "y", "lastTransitionTime": MOMENT},
            {"type": "Ready", "status": "True", "reason": "x", "message": "y", "lastTransitionTime": MOMENT},
        ],
    },
}
SOURCE: Manifest = {
    "metadata": metadata("cd"),
    "spec": {"userName": "u", "serviceAccountName": "robot"},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "x", "message": "y", "lastTransitionTime": MOMENT}
        ],
        "credential": {"secretName": "s", "secretNamespace": "ci", "key": "config", "expiresAt": MOMENT},
    },
}
MARKED: Manifest = {
    "metadata": metadata("robot", labels={names.SOURCE: "ci-cd"}, annotations={names.SOURCE_OF: "ci/cd"})
}
SERVICE: Manifest = {
    "kind": "Service",
    "metadata": metadata(
        "web", annotations={names.ORIGINAL_SELECTOR: "app=job", names.GLOBAL: "true"}, finalizers=_FINALIZERS
    ),
    "spec": {
        "selector": {"app": "job"},
        "type": "NodePort",
        "clusterIP": "10.0.0.1",
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30000, "name": "http"}],
    },
}
INGRESS: Manifest = {
    "kind": "Ingress",
    "metadata": metadata("web", annotations={names.GLOBAL: "true"}, finalizers=_FINALIZERS),
    "spec": {
        "defaultBackend": {"service": {"name": "web"}},
        "rules": [{"host": "h", "http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}],
    },
}
COPY: Manifest = SERVICE | {
    "metadata": metadata(
        "web",
        labels={names.PARENT_UID: UID, names.PARENT_CLUSTER_NAME: "home"},
        annotations={names.IS_DELEGATE: ""},
        ownerReferences=[OWNER],
    )
}
LEFT_BEHIND: Manifest = {
    "metadata": metadata("isthmus-left-behind"),
    "data": {
        "ci-arm.x": '{"namespace": "ci", "name": "arm", "label": "ci-arm", "cluster_id": "x", '
        '"since": "2026-11-28T12:00:00Z", "pod_count": 1, "pods": ["ci/job"]}'
    },
}
LEASE: Manifest = {"metadata": metadata("admiralty-ci-arm", ownerReferences=[{"kind": "Node", "uid": "n"}])}
