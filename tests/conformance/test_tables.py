"""What `kubectl get` prints: columns and cells."""

from typing import Any

import pytest

from tests.conformance.conftest import HttpClient
from tests.lab.api_server.client import Refused, pod

TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}

ONE, MANY = "PartialObjectMetadata", "PartialObjectMetadataList"


async def table(client: HttpClient, path: str) -> dict[str, Any]:
    """Return a table as column -> cell of its only row, without ages."""
    shown = await client.send("GET", path, headers=TABLE)
    names = [column["name"] for column in shown["columnDefinitions"]]
    [row] = shown["rows"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    return {name: cell for name, cell in zip(names, row["cells"], strict=True) if name not in {"Age", "Duration"}}


def container(ready: bool, **state: Any) -> dict[str, Any]:
    """Return a container status."""
    common = {"name": "c", "image": "b", "imageID": "", "restartCount": 0, "ready": ready}
    return common | {"state": state}


@pytest.mark.parametrize(
    ("status", "ready", "shown"),
    [
        ({}, "0/1", "Pending"),
        ({"phase": "Running", "containerStatuses": [container(True, running={})]}, "1/1", "Running"),
        ({"containerStatuses": [container(False, waiting={"reason": "ImagePullBackOff"})]}, "0/1", "ImagePullBackOff"),
        (
            {"phase": "Failed", "containerStatuses": [container(False, terminated={"exitCode": 3, "reason": "Error"})]},
            "0/1",
            "Error",
        ),
        (
            {"phase": "Succeeded", "containerStatuses": [container(False, terminated={"exitCode": 0})]},
            "0/1",
            "ExitCode:0",
        ),
        ({"phase": "Failed", "reason": "OutOfcpu"}, "0/1", "OutOfcpu"),
    ],
)
async def test_pods(client: HttpClient, home: str, status: dict[str, Any], ready: str, shown: str) -> None:
    path = f"{home}/pods/p"
    await client.create(f"{home}/pods", pod())
    if status:
        await client.patch(f"{path}/status", {"status": status})
    assert await table(client, path) == {
        "Name": "p",
        "Ready": ready,
        "Status": shown,
        "Restarts": "0",
        "IP": "<none>",
        "Node": "<none>",
        "Nominated Node": "<none>",
        "Readiness Gates": "<none>",
    }


async def test_gated_and_terminating_pods(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/pods", pod("g", schedulingGates=[{"name": "ex.io/g"}]))
    assert (await table(client, f"{home}/pods/g"))["Status"] == "SchedulingGated"
    await client.create(f"{home}/pods", pod("t", nodeName="n"))
    await client.delete(f"{home}/pods/t")
    assert (await table(client, f"{home}/pods/t"))["Status"] == "Terminating"
    await client.delete(f"{home}/pods/t", {"gracePeriodSeconds": 0})


async def test_nodes(client: HttpClient, home: str) -> None:
    name = home.rsplit("/", 1)[1]
    labels = {"node-role.kubernetes.io/cluster": "", "kubernetes.io/role": "agent"}
    made = await client.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
    assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in made["spec"]["taints"]
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6", "architecture": "arm64"},
    }
    await client.patch(f"/api/v1/nodes/{name}/status", {"status": status}, "strategic")
    await client.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    assert await table(client, f"/api/v1/nodes/{name}") == {
        "Name": name,
        "Status": "Ready,SchedulingDisabled",
        "Roles": "agent,cluster",
        "Version": "v1",
        "Internal-IP": "127.0.0.1",
        "External-IP": "<none>",
        "OS-Image": "<unknown>",
        "Kernel-Version": "6 (arm64)",
        "Container-Runtime": "<unknown>",
    }
    assert (
        len((await client.get("/api/v1/nodes", fieldSelector=f"spec.unschedulable=true,metadata.name={name}"))["items"])
        == 1
    )
    await client.delete(f"/api/v1/nodes/{name}")


TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "a"}},
    "spec": {"containers": [{"name": "c", "image": "b:1"}, {"name": "d", "image": "b:2"}]},
}
SELECTED = {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}
WIDE = {"Containers": "c,d", "Images": "b:1,b:2", "Selector": "app=a"}


@pytest.mark.parametrize(
    ("group", "plural", "spec", "cells"),
    [
        ("apps", "deployments", {"replicas": 2, **SELECTED}, {"Ready": "0/2", "Up-to-date": 0, "Available": 0, **WIDE}),
        ("apps", "replicasets", SELECTED, {"Desired": 1, "Current": 0, "Ready": 0, **WIDE}),
        (
            "apps",
            "daemonsets",
            SELECTED,
            {
                "Desired": 0,
                "Current": 0,
                "Ready": 0,
                "Up-to-date": 0,
                "Available": 0,
                "Node Selector": "<none>",
                **WIDE,
            },
        ),
        (
            "apps",
            "statefulsets",
            {"serviceName": "s", **SELECTED},
            {"Ready": "0/1", "Containers": "c,d", "Images": "b:1,b:2"},
        ),
    ],
)
async def test_workloads(
    client: HttpClient, home: str, group: str, plural: str, spec: dict[str, Any], cells: dict[str, Any]
) -> None:
    path = home.replace("/api/v1", f"/apis/{group}/v1") + f"/{plural}"
    await client.create(path, {"metadata": {"name": "w"}, "spec": spec})
    assert await table(client, f"{path}/w") == {"Name": "w", **cells}


async def test_jobs(client: HttpClient, home: str) -> None:
    path = home.replace("/api/v1", "/apis/batch/v1") + "/jobs"
    template = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
    made = await client.create(path, {"metadata": {"name": "j"}, "spec": {"template": template}})
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "j",
        "controller-uid": uid,
        "job-name": "j",
    }
    assert {key: value for key, value in made["spec"].items() if key not in {"selector", "template"}} == {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "completions": 1,
        "manualSelector": False,
        "parallelism": 1,
        "podReplacementPolicy": "TerminatingOrFailed",
        "suspend": False,
    }
    shown = await table(client, f"{path}/j")
    assert (shown["Status"], shown["Completions"], shown["Images"]) == ("Running", "0/1", "b:1,b:2")


async def test_the_rest(client: HttpClient, home: str) -> None:
    await client.create(
        f"{home}/configmaps", {"metadata": {"name": "m"}, "data": {"a": "b"}, "binaryData": {"c": "ZA=="}}
    )
    assert await table(client, f"{home}/configmaps/m") == {"Name": "m", "Data": 2}
    await client.create(f"{home}/secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert await table(client, f"{home}/secrets/s") == {"Name": "s", "Type": "Opaque", "Data": 1}
    service = {"selector": {"a": "b"}, "ports": [{"port": 80}]}
    made = await client.create(f"{home}/services", {"metadata": {"name": "s"}, "spec": service})
    assert await table(client, f"{home}/services/s") == {
        "Name": "s",
        "Type": "ClusterIP",
        "Cluster-IP": made["spec"]["clusterIP"],
        "External-IP": "<none>",
        "Port(s)": "80/TCP",
        "Selector": "a=b",
    }
    assert await table(client, home) == {"Name": home.rsplit("/", 1)[1], "Status": "Active"}
    roles = home.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    body = {"metadata": {"name": "r"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": subjects}
    await client.create(f"{roles}/rolebindings", body)
    assert await table(client, f"{roles}/rolebindings/r") == {
        "Name": "r",
        "Role": "ClusterRole/view",
        "Users": "u",
        "Groups": "",
        "ServiceAccounts": "n/s",
    }


async def test_definitions(client: HttpClient, home: str) -> None:
    group = f"{home.rsplit('/', 1)[1]}.ex.io"
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "things", "kind": "Thing", "shortNames": ["th", "ti"]}
    spec = {
        "group": group,
        "scope": "Cluster",
        "names": names,
        "versions": [version, version | {"name": "v1beta1", "storage": False}],
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await client.create(path, {"metadata": {"name": f"things.{group}"}, "spec": spec})
    shown = await table(client, f"{path}/things.{group}")
    del shown["Created At"], shown["Established"]
    assert shown == {
        "Name": f"things.{group}",
        "Scope": "Cluster",
        "Versions": "v1(storage),v1beta1",
        "Group": group,
        "Kind": "Thing",
        "ShortNames": "th,ti",
    }
    await client.delete(f"{path}/things.{group}")


async def test_metadata_alone_is_asked_for_as_what_it_is(client: HttpClient, home: str) -> None:
    """One object or a collection: the wrong word for it is refused, not read charitably."""
    await client.create(f"{home}/configmaps", {"metadata": {"name": "bare"}, "data": {"a": "b"}})
    forms = {kind: {"accept": f"application/json;as={kind};v=v1;g=meta.k8s.io"} for kind in (ONE, MANY)}
    collection, one = f"{home}/configmaps", f"{home}/configmaps/bare"
    shown = await client.send("GET", one, headers=forms[ONE])
    assert (shown["kind"], shown["metadata"]["name"]) == (ONE, "bare")
    assert "data" not in shown
    listed = await client.send("GET", collection, headers=forms[MANY])
    assert listed["kind"] == MANY
    assert "bare" in [item["metadata"]["name"] for item in listed["items"]]
    assert not any("data" in item for item in listed["items"])
    for path, form in ((one, MANY), (collection, ONE)):
        with pytest.raises(Refused) as refused:
            await client.send("GET", path, headers=forms[form])
        assert refused.value.code == 406
