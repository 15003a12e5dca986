"""get -o wide of every kind that is served: which columns, and what is in them."""

import pytest

from tests.conformance.kubectl.command import Kubectl

KINDS = {
    "configmaps": ("data: {a: b}", "NAME DATA AGE\nx 1 AGE\n"),
    "secrets": ("stringData: {a: b}", "NAME TYPE DATA AGE\nx Opaque 1 AGE\n"),
    "serviceaccounts": ("", "NAME AGE\ndefault AGE\nx AGE\n"),
    "services": (
        'spec: {selector: {a: b}, ports: [{port: 80}], clusterIP: "None"}',
        "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR\nx ClusterIP None <none> 80/TCP AGE a=b\n",
    ),
    "deployments.apps": (
        "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
        "image: i}]}}}",
        "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR\nx 0/1 0 0 AGE c i a=b\n",
    ),
    "statefulsets.apps": (
        "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
        "image: i}]}}}",
        "NAME READY AGE CONTAINERS IMAGES\nx 0/1 AGE c i\n",
    ),
    "daemonsets.apps": (
        "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
        "image: i}]}}}",
        "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE CONTAINERS IMAGES SELECTOR\n"
        "x 0 0 0 0 0 <none> AGE c i a=b\n",
    ),
    "replicasets.apps": (
        "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "
        "image: i}]}}}",
        "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR\nx 1 0 0 AGE c i a=b\n",
    ),
    "controllerrevisions.apps": ("revision: 3\ndata: {}", "NAME CONTROLLER REVISION AGE\nx <none> 3 AGE\n"),
    "jobs.batch": (
        "spec: {manualSelector: true, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: "
        "{restartPolicy: Never, containers: [{name: c, image: i}]}}}",
        "NAME STATUS COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR\nx Running 0/1 AGE c i a=b\n",
    ),
    "cronjobs.batch": (
        "spec: {schedule: '1 2 3 4 *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: "
        "[{name: c, image: i}]}}}}}",
        "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE CONTAINERS IMAGES SELECTOR\n"
        "x 1 2 3 4 * <none> False 0 <none> AGE c i <none>\n",
    ),
    "networkpolicies.networking.k8s.io": (
        "spec: {podSelector: {matchLabels: {a: b}}}",
        "NAME POD-SELECTOR AGE\nx a=b AGE\n",
    ),
    "ingresses.networking.k8s.io": (
        "spec: {ingressClassName: w, rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: "
        "{name: s, port: {number: 80}}}}]}}]}",
        "NAME CLASS HOSTS ADDRESS PORTS AGE\nx w a.b 80 AGE\n",
    ),
    "persistentvolumeclaims": (
        "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: w}",
        "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE VOLUMEMODE\n"
        "x Pending w <unset> AGE Filesystem\n",
    ),
    "podtemplates": (
        "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}",
        "NAME CONTAINERS IMAGES POD LABELS\nx c i a=b\n",
    ),
    "leases.coordination.k8s.io": ("spec: {holderIdentity: me}", "NAME HOLDER AGE\nx me AGE\n"),
    "endpointslices.discovery.k8s.io": (
        "addressType: IPv4\nendpoints: [{addresses: [1.2.3.4]}]\nports: [{port: 80, name: w}]",
        "NAME ADDRESSTYPE PORTS ENDPOINTS AGE\nx IPv4 80 1.2.3.4 AGE\n",
    ),
    "poddisruptionbudgets.policy": (
        "spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}",
        "NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS AGE\nx 1 N/A 0 AGE\n",
    ),
    "roles.rbac.authorization.k8s.io": ("rules: []", "NAME CREATED AT\nx TIME\n"),
    "rolebindings.rbac.authorization.k8s.io": (
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: w}\n"
        "subjects: [{kind: User, name: u}, {kind: Group, name: g}, {kind: ServiceAccount, name: s, namespace: ns}]",
        "NAME ROLE AGE USERS GROUPS SERVICEACCOUNTS\nx Role/w AGE u g ns/s\n",
    ),
    "resourceclaims.resource.k8s.io": (
        "spec: {devices: {requests: [{name: w, exactly: {deviceClassName: z}}]}}",
        "NAME STATE AGE\nx pending AGE\n",
    ),
    "resourceclaimtemplates.resource.k8s.io": (
        "spec: {spec: {devices: {requests: [{name: w, exactly: {deviceClassName: z}}]}}}",
        "NAME AGE\nx AGE\n",
    ),
    "limitranges": ("spec: {limits: [{type: Container, default: {cpu: '1'}}]}", "NAME CREATED AT\nx TIME\n"),
}
CLUSTER_WIDE = {
    "ingressclasses.networking.k8s.io": ("spec: {controller: a.b/c}", "x a.b/c <none> AGE\n"),
    "runtimeclasses.node.k8s.io": ("handler: h", "x h AGE\n"),
    "csidrivers.storage.k8s.io": ("", "x true false false <unset> false Persistent AGE\n"),
    "deviceclasses.resource.k8s.io": ("spec: {}", "x AGE\n"),
    "storageclasses.storage.k8s.io": ("provisioner: a.b/c", "x a.b/c Delete Immediate false AGE\n"),
    "priorityclasses.scheduling.k8s.io": ("value: 5", "x 5 false AGE PreemptLowerPriority\n"),
    "clusterroles.rbac.authorization.k8s.io": ("rules: []", "x TIME\n"),
    "persistentvolumes": (
        "spec: {accessModes: [ReadWriteOnce, ReadOnlyMany], capacity: {storage: 1Gi}, hostPath: {path: /tmp}}",
        "x 1Gi RWO,ROX Retain Pending <unset> AGE Filesystem\n",
    ),
}


async def manifest(kubectl: Kubectl, resource: str, name: str, body: str) -> str:
    """Return an object's YAML; kind and version are what the server says."""
    plural, _, group = resource.partition(".")
    listed = await kubectl("api-resources", f"--api-group={group}", "--no-headers")
    row = next(line.split() for line in listed.splitlines() if line.split()[0] == plural)
    return f"apiVersion: {row[-3]}\nkind: {row[-1]}\nmetadata: {{name: {name}}}\n{body}\n"


@pytest.mark.parametrize("resource", KINDS)
async def test_kinds_in_namespaces(kubectl: Kubectl, resource: str) -> None:
    body, expected = KINDS[resource]
    await kubectl("create", "-f", "-", text=await manifest(kubectl, resource, "x", body))
    assert await kubectl.table("get", resource, "-o", "wide") == expected


@pytest.mark.parametrize("resource", CLUSTER_WIDE)
async def test_kinds_of_the_cluster(kubectl: Kubectl, resource: str) -> None:
    body, expected = CLUSTER_WIDE[resource]
    name = f"x.{kubectl.namespace}"
    await kubectl("create", "-f", "-", text=await manifest(kubectl, resource, name, body))
    shown = await kubectl.table("get", resource, name, "-o", "wide", "--no-headers")
    assert shown == expected.replace("x ", f"{name} ", 1)
    await kubectl("delete", resource, name, "--wait=false")  # a volume's protection is for a controller to lift
