"""auth can-i, auth whoami, acting as somebody else, tokens."""

import base64
import json

from tests.conformance.conftest import Server
from tests.conformance.kubectl.command import Kubectl


async def test_can_i(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "get", "pods") == "yes\n"
    assert await kubectl.fails("auth", "can-i", "get", "pods", "--as=u") == "no\n"
    await kubectl("create", "role", "r", "--verb=get", "--resource=pods", "--resource-name=p")
    await kubectl("create", "rolebinding", "rb", "--role=r", "--user=u")
    assert await kubectl("auth", "can-i", "get", "pods/p", "--as=u") == "yes\n"
    assert await kubectl.fails("auth", "can-i", "get", "pods", "--as=u") == "no\n"
    assert await kubectl.fails("auth", "can-i", "get", "pods/q", "--as=u", "--quiet") == ""
    assert await kubectl("auth", "can-i", "get", "/healthz") == "yes\n"
    listed = await kubectl.table("auth", "can-i", "--list", "--as=u")
    assert listed.startswith("Resources Non-Resource URLs Resource Names Verbs\n")
    assert "pods [] [p] [get]\n" in listed
    assert "selfsubjectaccessreviews.authorization.k8s.io [] [] [create]\n" in listed
    assert "[/healthz] [] [get]\n" in listed
    assert "*.* [] [] [*]\n" in await kubectl.table("auth", "can-i", "--list")


async def test_who_am_i(kubectl: Kubectl) -> None:
    shown = json.loads(await kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert set(shown["groups"]) == {"system:masters", "system:authenticated"}
    assert shown["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    shown = json.loads(await kubectl("auth", "whoami", "-o", "json", "--as=u", "--as-group=g", "--as-group=h"))
    assert shown["status"]["userInfo"] == {"username": "u", "groups": ["g", "h", "system:authenticated"]}


async def test_who_may_not(kubectl: Kubectl) -> None:
    place = f'in the namespace "{kubectl.namespace}"'
    assert await kubectl.fails("get", "pods", "--as=u") == (
        'Error from server (Forbidden): pods is forbidden: User "u" cannot list resource "pods" in API group "" '
        f"{place}\n"
    )
    assert await kubectl.fails("create", "deployment", "d", "--image=b", "--as=u") == (
        "error: failed to create deployment: deployments.apps is forbidden: "
        f'User "u" cannot create resource "deployments" in API group "apps" {place}\n'
    )


async def test_acting_as_somebody_is_a_right(kubectl: Kubectl, server: Server) -> None:
    plain_user = Kubectl(server.kubeconfig("somebody"), kubectl.namespace, kubectl.cache)
    await kubectl("get", "pods")  # so that what is served is known, and only the question itself is refused
    refused = await plain_user.fails("get", "pods", "--as=u")
    assert refused == (
        'Error from server (Forbidden): pods is forbidden: User "somebody" cannot impersonate-on:user-info:list '
        f'resource "pods" in API group "" in the namespace "{kubectl.namespace}"\n'
    )


async def test_tokens_of_service_accounts(kubectl: Kubectl) -> None:
    await kubectl("create", "serviceaccount", "sa")
    token = (await kubectl("create", "token", "sa", "--duration=600s")).strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:{kubectl.namespace}:sa"
    assert claims["exp"] - claims["iat"] == 600
    missing = await kubectl.fails("create", "token", "nosuch")
    assert missing == 'error: failed to create token: serviceaccounts "nosuch" not found\n'
