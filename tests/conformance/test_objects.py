"""What holds for objects of every kind: status bodies, revisions, names, deletion."""

import pytest

from tests.conformance.conftest import HttpClient
from tests.lab.api_server.client import Refused

CONFIG_MAP = {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}}


async def refusal(*sent: object, client: HttpClient, **more: object) -> Refused:
    """Send what must be refused, and return how."""
    with pytest.raises(Refused) as refused:
        await client.send(*sent, **more)  # type: ignore[arg-type]
    return refused.value


async def test_status_bodies(client: HttpClient, home: str) -> None:
    path = f"{home}/configmaps"
    await client.create(path, CONFIG_MAP)
    exists = await refusal("POST", path, CONFIG_MAP, client=client)
    assert exists.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "a" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "a", "kind": "configmaps"},
        "code": 409,
    }
    missing = await refusal("GET", f"{path}/zz", client=client)
    assert (missing.code, missing.reason, missing.message) == (404, "NotFound", 'configmaps "zz" not found')
    grouped = await refusal("GET", home.replace("/api/v1", "/apis/apps/v1") + "/deployments/zz", client=client)
    assert grouped.message == 'deployments.apps "zz" not found'
    assert grouped.status["details"] == {"name": "zz", "group": "apps", "kind": "deployments"}
    stale = {"metadata": {"name": "a", "resourceVersion": "1"}}
    conflict = await refusal("PUT", f"{path}/a", stale, client=client)
    assert conflict.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (conflict.code, conflict.reason) == (409, "Conflict")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("A_b", "a lowercase RFC 1123 subdomain must consist of"),
        ("", "name or generateName is required"),
    ],
)
async def test_names_are_checked(client: HttpClient, home: str, name: str, message: str) -> None:
    invalid = await refusal("POST", f"{home}/configmaps", {"metadata": {"name": name}}, client=client)
    assert (invalid.code, invalid.reason) == (422, "Invalid")
    assert message in invalid.message
    assert invalid.status["details"]["causes"][0]["field"] == "metadata.name"


async def test_what_does_not_belong_together_is_a_bad_request(client: HttpClient, home: str) -> None:
    path = f"{home}/configmaps"
    await client.create(path, CONFIG_MAP)
    other_name = await refusal("PUT", f"{path}/a", {"metadata": {"name": "b"}}, client=client)
    assert other_name.message == "the name of the object (b) does not match the name on the URL (a)"
    other_namespace = await refusal("POST", path, {"metadata": {"name": "q", "namespace": "other"}}, client=client)
    assert (
        other_namespace.message
        == "the namespace of the provided object does not match the namespace sent on the request"
    )
    other_kind = await refusal(
        "POST", path, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "q"}}, client=client
    )
    assert {other_name.code, other_namespace.code, other_kind.code} == {400}


async def test_routes(client: HttpClient, home: str) -> None:
    unknown = await refusal("GET", "/api/v1/foo", client=client)
    assert (unknown.code, unknown.message) == (404, "the server could not find the requested resource")
    method = await refusal("PUT", f"{home}/configmaps", {}, client=client)
    assert (method.code, method.reason) == (405, "MethodNotAllowed")
    media = await refusal("PATCH", f"{home}/configmaps/a", {}, client=client)
    assert media.code == 415
    group = await refusal("GET", "/apis/none/v1/foo", client=client)
    assert (group.code, group.message) == (404, "404 page not found\n")


async def test_a_missing_namespace(client: HttpClient) -> None:
    missing = await refusal("POST", "/api/v1/namespaces/none/configmaps", CONFIG_MAP, client=client)
    assert (missing.code, missing.message) == (404, 'namespaces "none" not found')


async def test_a_terminating_namespace(client: HttpClient, home: str) -> None:
    name = home.rsplit("/", 1)[1]
    going = await client.delete(home)
    assert going["status"]["phase"] == "Terminating"
    refused = await refusal("POST", f"{home}/configmaps", CONFIG_MAP, client=client)
    assert refused.message == (
        f'configmaps "a" is forbidden: unable to create new content in namespace {name} because it is being terminated'
    )
    assert refused.status["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
    ]


async def test_deletion(client: HttpClient, home: str) -> None:
    path = f"{home}/configmaps"
    made = await client.create(path, CONFIG_MAP)
    uid = made["metadata"]["uid"]
    wrong_uid = await refusal("DELETE", f"{path}/a", {"preconditions": {"uid": "zzz"}}, client=client)
    assert wrong_uid.code == 409
    assert f"the UID in the precondition (zzz) does not match the UID in record ({uid})" in wrong_uid.message
    wrong_revision = await refusal("DELETE", f"{path}/a", {"preconditions": {"resourceVersion": "1"}}, client=client)
    assert "the ResourceVersion in the precondition (1) does not match" in wrong_revision.message
    gone = await client.delete(f"{path}/a")
    assert gone["status"] == "Success"
    assert gone["details"] == {"name": "a", "kind": "configmaps", "uid": uid}


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation(client: HttpClient, home: str, policy: str, finalizer: str) -> None:
    path = f"{home}/configmaps"
    await client.create(path, CONFIG_MAP)
    marked = await client.delete(f"{path}/a", {"propagationPolicy": policy})
    assert marked["metadata"]["finalizers"] == [finalizer]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    await client.patch(f"{path}/a", {"metadata": {"finalizers": None}})
    assert (await refusal("GET", f"{path}/a", client=client)).code == 404


async def test_finalizers(client: HttpClient, home: str) -> None:
    path = f"{home}/configmaps"
    await client.create(path, {"metadata": {"name": "a", "finalizers": ["ex.io/a"]}})
    await client.delete(f"{path}/a")
    patch = {"metadata": {"finalizers": ["ex.io/a", "ex.io/b"]}}
    headers = {"content-type": "application/merge-patch+json"}
    added = await refusal("PATCH", f"{path}/a", patch, headers=headers, client=client)
    assert added.status["details"]["causes"] == [
        {
            "reason": "FieldValueForbidden",
            "message": "Forbidden: no new finalizers can be added if the object is being deleted, "
            'found new finalizers []string{"ex.io/b"}',
            "field": "metadata.finalizers",
        }
    ]
    again = await client.delete(f"{path}/a")
    assert again["metadata"]["deletionTimestamp"]
    removed = await client.patch(
        f"{path}/a", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["ex.io/a"]}}, "strategic"
    )
    assert "finalizers" not in removed["metadata"]
    assert (await refusal("GET", f"{path}/a", client=client)).code == 404


async def test_a_write_that_changes_nothing(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/configmaps", CONFIG_MAP)
    same = await client.patch(f"{home}/configmaps/a", {"data": {"k": "v"}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_json_patch_tests_are_preconditions(client: HttpClient, home: str) -> None:
    await client.create(f"{home}/configmaps", CONFIG_MAP)
    headers = {"content-type": "application/json-patch+json"}
    for operation in ({"op": "test", "path": "/data/k", "value": "w"}, {"op": "remove", "path": "/data/none"}):
        refused = await refusal("PATCH", f"{home}/configmaps/a", [operation], headers=headers, client=client)
        assert (refused.code, refused.reason) == (422, "Invalid")
    good = [{"op": "test", "path": "/data/k", "value": "v"}, {"op": "replace", "path": "/data/k", "value": "w"}]
    assert (await client.patch(f"{home}/configmaps/a", good, "json"))["data"] == {"k": "w"}


async def test_server_side_apply_creates_and_merges(client: HttpClient, home: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": "v"}}
    made = await client.patch(f"{home}/configmaps/b", body, "apply", fieldManager="me")
    assert made["data"] == {"k": "v"}
    changed = await client.patch(f"{home}/configmaps/b", body | {"data": {"k": "w"}}, "apply", fieldManager="me")
    assert changed["data"] == {"k": "w"}


async def test_dry_run(client: HttpClient, home: str) -> None:
    made = await client.create(f"{home}/configmaps", CONFIG_MAP, dryRun="All")
    assert made["metadata"]["uid"]
    assert (await refusal("GET", f"{home}/configmaps/a", client=client)).code == 404


async def test_leases_are_made_by_put(client: HttpClient, home: str) -> None:
    path = home.replace("/api/v1", "/apis/coordination.k8s.io/v1") + "/leases/l"
    made = await client.replace(path, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
    assert made["metadata"]["uid"]
    made["spec"]["holderIdentity"] = "you"
    assert (await client.replace(path, made))["spec"]["holderIdentity"] == "you"
    refused = await refusal("PUT", path, made, client=client)
    assert refused.code == 409


async def test_a_patch_that_only_tests_shows_the_object_where_it_holds_and_changes_nothing(
    client: HttpClient, home: str
) -> None:
    path, headers = f"{home}/secrets", {"content-type": "application/json-patch+json"}
    made = await client.create(path, {"metadata": {"name": "a", "labels": {"x/y": "z"}}, "data": {"k": "dg=="}})

    def test(label: str, value: str) -> list[dict[str, str]]:
        return [{"op": "test", "path": f"/metadata/labels/{label}", "value": value}]

    shown = await client.send("PATCH", f"{path}/a", test("x~1y", "z"), headers=headers)
    assert shown["data"] == {"k": "dg=="}
    assert shown["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    for label, value in (("x~1y", "other"), ("none", "z")):
        refused = await refusal("PATCH", f"{path}/a", test(label, value), client=client, headers=headers)
        assert (refused.code, refused.reason) == (422, "Invalid")
    missing = await refusal("PATCH", f"{path}/none", test("x~1y", "z"), client=client, headers=headers)
    assert missing.code == 404
