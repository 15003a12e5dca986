"""Authentication, RBAC, service-account tokens and reviews."""

import ssl
from typing import Any

import aiohttp
import pytest
import yaml

from tests.conformance.conftest import HttpClient, Server
from tests.lab.api_server.client import Refused, pod
from tests.lab.api_server.connection import tls_of

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def anonymous_tls(server: Server) -> ssl.SSLContext:
    """Return a context that trusts the server and shows no certificate."""
    config = yaml.safe_load(server.site.admin_kubeconfig.read_text())
    config["users"] = [{"name": "nobody", "user": {}}]
    return tls_of(config)


async def as_token(server: Server, token: str, path: str, method: str = "GET", body: Any = None) -> Any:
    """Send one request with a bearer token, or anonymously where it is empty."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=anonymous_tls(server))) as session:
        return await HttpClient(session, server.url, token).send(method, path, body)


async def as_user(server: Server, user: str, path: str, method: str = "GET", body: Any = None, *groups: str) -> Any:
    """Send one request with a client certificate."""
    context = tls_of(yaml.safe_load(server.kubeconfig(user, *groups).read_text()))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        return await HttpClient(session, server.url).send(method, path, body)


async def test_nobody_and_a_bad_token(server: Server) -> None:
    assert (await as_token(server, "", "/version"))["minor"] == "37"
    assert await as_token(server, "", "/readyz") == "ok"
    with pytest.raises(Refused) as refused:
        await as_token(server, "", "/api")
    assert (refused.value.code, refused.value.message) == (
        403,
        'forbidden: User "system:anonymous" cannot get path "/api"',
    )
    with pytest.raises(Refused) as refused:
        await as_token(server, "bad", "/api")
    assert refused.value.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


@pytest.mark.parametrize(
    ("path", "method", "message", "details"),
    [
        (
            "/api/v1/namespaces/default/pods",
            "GET",
            'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"',
            {"kind": "pods"},
        ),
        (
            "/api/v1/nodes/n",
            "GET",
            'nodes "n" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope',
            {"name": "n", "kind": "nodes"},
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments/d/scale",
            "PUT",
            'deployments.apps "d" is forbidden: User "bob" cannot update resource "deployments/scale" '
            'in API group "apps" in the namespace "default"',
            {"name": "d", "group": "apps", "kind": "deployments"},
        ),
        (
            "/api/v1/namespaces/default",
            "GET",
            'namespaces "default" is forbidden: User "bob" cannot get resource "namespaces" in API group "" '
            'in the namespace "default"',
            {"name": "default", "kind": "namespaces"},
        ),
    ],
)
async def test_forbidden(server: Server, path: str, method: str, message: str, details: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        await as_user(server, "bob", path, method)
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    assert refused.value.message == message
    assert refused.value.status["details"] == details


async def test_roles_and_bindings(server: Server, client: HttpClient, home: str) -> None:
    name = home.rsplit("/", 1)[1]
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]
    await client.create(f"{RBAC}/namespaces/{name}/roles", {"metadata": {"name": "r"}, "rules": rules})
    binding: dict[str, Any] = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "Group", "name": f"team-{name}", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await client.create(f"{RBAC}/namespaces/{name}/rolebindings", binding)
    for config_map in ("a", "b"):
        await client.create(f"{home}/configmaps", {"metadata": {"name": config_map}})
    assert await as_user(server, "carol", f"{home}/configmaps/a", "GET", None, f"team-{name}")
    with pytest.raises(Refused, match='configmaps "b" is forbidden'):
        await as_user(server, "carol", f"{home}/configmaps/b", "GET", None, f"team-{name}")
    review: dict[str, Any] = {
        "spec": {
            "user": "carol",
            "groups": [f"team-{name}"],
            "resourceAttributes": {"namespace": name, "verb": "get", "resource": "configmaps", "name": "a"},
        }
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await client.create(path, review))["status"]["allowed"] is True
    review["spec"]["resourceAttributes"]["name"] = "b"
    assert (await client.create(path, review))["status"]["allowed"] is False
    binding["roleRef"]["name"] = "other"
    with pytest.raises(Refused, match=r"roleRef: Invalid value: .*: field is immutable"):
        await client.replace(f"{RBAC}/namespaces/{name}/rolebindings/r", binding)


async def test_service_account_tokens(server: Server, client: HttpClient, home: str) -> None:
    namespace = home.rsplit("/", 1)[1]
    await client.create(f"{home}/serviceaccounts", {"metadata": {"name": "robot"}})
    await client.create(f"{home}/pods", pod("p", serviceAccountName="robot"))
    await client.create(f"{home}/pods", pod("q"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    answer = await client.create(
        f"{home}/serviceaccounts/robot/token", {"spec": {"expirationSeconds": 700, "boundObjectRef": bound}}
    )
    with pytest.raises(Refused, match="to pod running with different serviceaccount name"):
        await client.create(f"{home}/serviceaccounts/robot/token", {"spec": {"boundObjectRef": bound | {"name": "q"}}})
    assert (answer["kind"], answer["spec"]["expirationSeconds"]) == ("TokenRequest", 700)
    token = answer["status"]["token"]
    with pytest.raises(Refused, match=f'User "system:serviceaccount:{namespace}:robot" cannot list resource "pods"'):
        await as_token(server, token, f"{home}/pods")
    review = {"spec": {"token": token}}
    reviewed = await client.create("/apis/authentication.k8s.io/v1/tokenreviews", review)
    user = reviewed["status"]["user"]
    assert reviewed["status"]["authenticated"] is True
    assert user["username"] == f"system:serviceaccount:{namespace}:robot"
    assert set(user["groups"]) == {
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    }
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    other = await client.create(f"{home}/serviceaccounts/robot/token", {"spec": {"audiences": ["elsewhere"]}})
    with pytest.raises(Refused) as refused:
        await as_token(server, other["status"]["token"], f"{home}/pods")
    assert refused.value.code == 401
    await client.delete(f"{home}/serviceaccounts/robot")
    reviewed = await client.create("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}})
    assert "authenticated" not in reviewed["status"]


async def test_short_tokens_are_refused(client: HttpClient, home: str) -> None:
    with pytest.raises(Refused, match="may not specify a duration less than 10 minutes") as refused:
        await client.create(f"{home}/serviceaccounts/default/token", {"spec": {"expirationSeconds": 60}})
    assert refused.value.code == 422


async def test_who_am_i(server: Server) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await as_user(server, "dave", path, "POST", {}, "team")
    assert answer["status"]["userInfo"]["username"] == "dave"
    assert answer["status"]["userInfo"]["groups"] == ["team", "system:authenticated"]
