"""Pods: defaults, what may change, and who is bound where. The federation protocol leans on most of this."""

import re
from typing import Any

import pytest

from tests.conformance.conftest import HttpClient
from tests.lab.api_server.client import Refused, pod

GATE: dict[str, Any] = {"schedulingGates": [{"name": "ex.io/gate"}]}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def affinity(*values: str, key: str = "k") -> dict[str, Any]:
    """Return a node affinity that asks for a label value."""
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}]
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}


def binding(name: str, node: str, uid: str = "") -> dict[str, Any]:
    """Return a Binding."""
    metadata = {"name": name} | ({"uid": uid} if uid else {})
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": {"kind": "Node", "name": node}}


async def refused(client: HttpClient, method: str, path: str, body: Any, media: str = "json") -> Refused:
    """Send what must be refused, and return how."""
    with pytest.raises(Refused) as found:
        await client.send(method, path, body, headers={"content-type": f"application/{media}"})
    return found.value


async def test_defaults(client: HttpClient, home: str) -> None:
    container = {
        "name": "c",
        "image": "busybox",
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1"}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    volumes = [{"name": "v", "configMap": {"name": "x"}}, {"name": "e"}]
    made = await client.create(f"{home}/pods", pod(containers=[container], volumes=volumes))
    volume = made["spec"]["volumes"][2]["name"]
    assert re.fullmatch(r"kube-api-access-[a-z0-9]{5}", volume)
    assert made["metadata"]["generation"] == 1
    assert made["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert made["spec"] == {
        "volumes": [
            {"name": "v", "configMap": {"name": "x", "defaultMode": 420}},
            {"name": "e", "emptyDir": {}},
            {
                "name": volume,
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                    }
                                ]
                            }
                        },
                    ],
                    "defaultMode": 420,
                },
            },
        ],
        "containers": [
            {
                "name": "c",
                "image": "busybox",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "volumeMounts": [
                    {"name": volume, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
                ],
                "livenessProbe": {
                    "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "timeoutSeconds": 1,
                    "periodSeconds": 10,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for why in ("not-ready", "unreachable")
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"containers": []}, ["spec.containers"]),
        (
            {"containers": [{"name": "C", "image": ""}, {"name": "d"}], "restartPolicy": "x"},
            ["spec.containers[0].name", "spec.containers[0].image", "spec.containers[1].image", "spec.restartPolicy"],
        ),
        ({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}, ["spec.volumes[1].name"]),
        ({"nodeName": "n", **GATE}, ["spec.nodeName"]),
        (
            {"containers": [{"name": "c", "image": "b", "volumeMounts": [{"name": "no", "mountPath": "/x"}]}]},
            ["spec.containers[0].volumeMounts[0].name"],
        ),
        (
            {
                "containers": [
                    {"name": "c", "image": "b", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}
                ]
            },
            ["spec.containers[0].resources.requests"],
        ),
    ],
)
async def test_wrong_pods(client: HttpClient, home: str, spec: dict[str, Any], fields: list[str]) -> None:
    found = await refused(client, "POST", f"{home}/pods", pod(**spec))
    assert (found.code, found.reason) == (422, "Invalid")
    assert [cause["field"] for cause in found.status["details"]["causes"]] == fields


async def test_the_service_account_must_exist(client: HttpClient, home: str) -> None:
    namespace = home.rsplit("/", 1)[1]
    found = await refused(client, "POST", f"{home}/pods", pod(serviceAccountName="none"))
    assert (found.code, found.message) == (
        403,
        f'pods "p" is forbidden: error looking up service account {namespace}/none: serviceaccount "none" not found',
    )


async def test_a_gated_pod_says_so(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/pods", pod(**GATE))
    [condition] = made["status"]["conditions"]
    assert condition == {
        "type": "PodScheduled",
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": made["metadata"]["creationTimestamp"],
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }


async def test_what_a_gated_pod_may_change(client: HttpClient, home: str) -> None:
    path = f"{home}/pods/p"
    await client.create(f"{home}/pods", pod(**GATE))
    more_gates = {"spec": {"schedulingGates": [*GATE["schedulingGates"], {"name": "n.y/z"}]}}
    found = await refused(client, "PATCH", path, more_gates, "merge-patch+json")
    assert "only deletion is allowed, but found new scheduling gate 'n.y/z'" in found.message
    found = await refused(client, "PATCH", path, {"spec": {"schedulerName": "x"}}, "merge-patch+json")
    assert "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`" in found.message
    await client.patch(path, {"spec": {"nodeSelector": {"a": "b"}}})
    found = await refused(client, "PATCH", path, {"spec": {"nodeSelector": {"a": None}}}, "merge-patch+json")
    assert found.message == (
        'Pod "p" is invalid: spec.nodeSelector: Invalid value: {}: '
        "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    )


async def test_affinity_is_only_tightened(client: HttpClient, home: str) -> None:
    path = f"{home}/pods/p"
    await client.create(f"{home}/pods", pod(**GATE))
    await client.patch(path, {"spec": {"affinity": affinity("a")}})
    found = await refused(client, "PATCH", path, {"spec": {"affinity": affinity("b")}}, "merge-patch+json")
    field = f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0]"
    assert found.status["details"]["causes"][0]["field"] == field
    assert found.message.endswith("only additions are allowed (no mutations or deletions)")
    tightened = affinity("a")
    terms = tightened["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    terms[0]["matchExpressions"].append({"key": "l", "operator": "In", "values": ["x"]})
    changed = await client.patch(path, {"spec": {"affinity": tightened, "schedulingGates": None}})
    assert "schedulingGates" not in changed["spec"]
    found = await refused(client, "PATCH", path, {"spec": {"affinity": affinity("a")}}, "merge-patch+json")
    assert found.status["details"]["causes"][0]["field"] == "spec"


async def test_tolerations_are_added_and_images_changed(client: HttpClient, home: str) -> None:
    path = f"{home}/pods/p"
    made = await client.create(f"{home}/pods", pod())
    tolerations = [*made["spec"]["tolerations"], {"key": "a", "operator": "Exists"}]
    patch = {"spec": {"tolerations": tolerations, "containers": [{"name": "c", "image": "b:2"}]}}
    changed = await client.patch(path, patch, "strategic")
    assert changed["spec"]["tolerations"] == tolerations
    assert changed["metadata"]["generation"] == 2
    changed["spec"]["tolerations"] = [{"key": "b", "operator": "Exists"}]
    found = await refused(client, "PUT", path, changed)
    assert "existing toleration can not be modified except its tolerationSeconds" in found.message


async def test_one_binding_and_no_other(client: HttpClient, home: str) -> None:
    path = f"{home}/pods/p"
    made = await client.create(f"{home}/pods", pod())
    uid = made["metadata"]["uid"]
    found = await refused(client, "POST", f"{path}/binding", binding("p", "n1", "zz"))
    assert found.code == 409
    assert f"Precondition failed: UID in precondition: zz, UID in object meta: {uid}" in found.message
    answer = await client.create(f"{path}/binding", binding("p", "n1", uid))
    assert answer == {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    found = await refused(client, "POST", f"{path}/binding", binding("p", "n2"))
    assert found.status["details"] == {"name": "p", "kind": "pods/binding"}
    assert found.message == (
        'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"'
    )
    bound = await client.get(path)
    assert bound["spec"]["nodeName"] == "n1"
    [condition] = bound["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    assert len((await client.get(f"{home}/pods", fieldSelector="spec.nodeName=n1"))["items"]) == 1
    await client.delete(path)
    found = await refused(client, "POST", f"{path}/binding", binding("p", "n1"))
    assert found.message.endswith("pod p is being deleted, cannot be assigned to a host")
    found = await refused(client, "POST", f"{home}/pods/zz/binding", binding("zz", "n1"))
    assert (found.code, found.message) == (404, 'pods "zz" not found')


async def test_a_gated_pod_is_not_bound(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/pods", pod(**GATE))
    found = await refused(client, "POST", f"{home}/pods/p/binding", binding("p", "n"))
    assert (found.code, found.message) == (
        409,
        'Operation cannot be fulfilled on pods/binding "p": pod p has non-empty .spec.schedulingGates',
    )


async def test_status_is_written_through_its_subresource_only(client: HttpClient, home: str) -> None:
    path = f"{home}/pods/p"
    await client.create(f"{home}/pods", pod())
    changed = await client.patch(path, {"status": {"phase": "Running"}, "metadata": {"labels": {"a": "b"}}})
    assert changed["status"]["phase"] == "Pending"
    patch = {"status": {"phase": "Running"}, "spec": {"nodeName": "x"}}
    changed = await client.patch(f"{path}/status", patch)
    assert (changed["status"]["phase"], changed["spec"].get("nodeName")) == ("Running", None)
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await client.patch(f"{path}/status", ready, "strategic")
    other = {"status": {"conditions": [{"type": "ex.io/o", "status": "False"}]}}
    changed = await client.patch(f"{path}/status", other, "strategic")
    assert {one["type"] for one in changed["status"]["conditions"]} == {"Ready", "ex.io/o"}


async def test_deletion_of_bound_and_unbound_pods(client: HttpClient, home: str) -> None:
    for name in ("free", "bound"):
        await client.create(f"{home}/pods", pod(name))
    await client.create(f"{home}/pods/bound/binding", binding("bound", "n"))
    gone = await client.delete(f"{home}/pods/free")
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    marked = await client.delete(f"{home}/pods/bound")
    assert (marked["metadata"]["deletionGracePeriodSeconds"], marked["metadata"]["generation"]) == (30, 2)
    shorter = await client.delete(f"{home}/pods/bound", {"gracePeriodSeconds": 3})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 3
    await client.delete(f"{home}/pods/bound", {"gracePeriodSeconds": 0})
    assert (await client.get(f"{home}/pods"))["items"] == []


async def test_eviction_deletes(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/pods", pod())
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    answer = await client.create(f"{home}/pods/p/eviction", body)
    assert (answer["status"], answer["code"]) == ("Success", 201)
    assert (await client.get(f"{home}/pods"))["items"] == []


async def test_nothing_is_read_from_a_pod_without_a_node(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/pods", pod())
    assert await client.get(f"{home}/pods/p/log") == ""
    await client.create(f"{home}/pods", pod("q", containers=[{"name": name, "image": "b"} for name in "cd"]))
    with pytest.raises(Refused, match=r"a container name must be specified for pod q, choose one of: \[c d\]"):
        await client.get(f"{home}/pods/q/log")
    with pytest.raises(Refused, match="container none is not valid for pod p"):
        await client.get(f"{home}/pods/p/log", container="none")
    with pytest.raises(Refused, match="pod p does not have a host assigned"):
        await client.get(f"{home}/pods/p/exec", command="x")
