"""Nobody gives away more than they have: what a role may hold and what a binding may name, by who writes it."""

from typing import Any

import pytest

from tests.conformance.conftest import HttpClient, Server
from tests.conformance.test_access import RBAC, as_user
from tests.lab.api_server.client import Refused

GROUP = "rbac.authorization.k8s.io"
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
WRITES = {
    "apiGroups": [GROUP],
    "resources": ["roles", "rolebindings", "clusterroles"],
    "verbs": ["create", "update", "patch"],
}
ESCALATE = {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["escalate"]}


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(name: str, kind: str, role_name: str) -> dict[str, Any]:
    reference = {"apiGroup": GROUP, "kind": kind, "name": role_name}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [{"kind": "User", "name": "guest"}]}


class Writer:
    """Somebody who may write roles and bindings of a namespace and holds some rules there."""

    def __init__(self, server: Server, home: str) -> None:
        self.server, self.namespace = server, home.rsplit("/", 1)[1]
        self.user = f"writer-{self.namespace}"
        self.path = f"{RBAC}/namespaces/{self.namespace}"

    async def holds(self, client: HttpClient, *rules: dict[str, Any]) -> None:
        await client.create(f"{self.path}/roles", role("held", WRITES, *rules))
        held = binding("held", "Role", "held") | {"subjects": [{"kind": "User", "apiGroup": GROUP, "name": self.user}]}
        await client.create(f"{self.path}/rolebindings", held)

    async def writes(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        return await as_user(self.server, self.user, path, method, body)

    async def refused(self, path: str, body: dict[str, Any], method: str = "POST") -> Refused:
        with pytest.raises(Refused) as refusal:
            await self.writes(path, body, method)
        return refusal.value

    def missing(self, plural: str, name: str, *rules: str) -> str:
        who = f'user "{self.user}" (groups=["system:authenticated"])'
        why = "is attempting to grant RBAC permissions not currently held:"
        return f'{plural}.{GROUP} "{name}" is forbidden: {who} {why}\n' + "\n".join(rules)


@pytest.fixture
def writer(server: Server, home: str) -> Writer:
    return Writer(server, home)


async def test_a_role_holds_no_more_than_its_writer(client: HttpClient, writer: Writer) -> None:
    await writer.holds(client, CONFIG_MAPS)
    roles = f"{writer.path}/roles"
    await writer.writes(roles, role("same", CONFIG_MAPS))
    one = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
    await writer.writes(roles, role("narrower", one))
    refusal = await writer.refused(roles, role("more", CONFIG_MAPS, SECRETS))
    assert (refusal.code, refusal.reason) == (403, "Forbidden")
    assert refusal.message == writer.missing(
        "roles", "more", '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )
    assert refusal.status["details"] == {"name": "more", "group": GROUP, "kind": "roles"}
    refusal = await writer.refused(roles, role("all", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}))
    assert refusal.message == writer.missing("roles", "all", '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}')
    named = {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["d"], "verbs": ["get"]}
    refusal = await writer.refused(roles, role("named", named))
    assert refusal.message == writer.missing(
        "roles", "named", '{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["d"], Verbs:["get"]}'
    )


async def test_a_change_of_a_role_is_checked_too(client: HttpClient, writer: Writer) -> None:
    await writer.holds(client, CONFIG_MAPS)
    made = await writer.writes(f"{writer.path}/roles", role("r", CONFIG_MAPS))
    refusal = await writer.refused(f"{writer.path}/roles/r", made | {"rules": [SECRETS]}, "PUT")
    assert refusal.code == 403
    # Of a role that holds more, only what the garbage collector needs may be changed.
    await client.create(f"{writer.path}/roles", role("strong", SECRETS))
    strong = await client.get(f"{writer.path}/roles/strong")
    strong["metadata"]["labels"] = {"a": "b"}
    assert (await writer.refused(f"{writer.path}/roles/strong", strong, "PUT")).code == 403
    del strong["metadata"]["labels"]
    strong["metadata"]["finalizers"] = ["example.com/wait"]
    kept = await writer.writes(f"{writer.path}/roles/strong", strong, "PUT")
    assert kept["metadata"]["finalizers"] == ["example.com/wait"]


async def test_who_may_escalate_writes_any_role(client: HttpClient, writer: Writer) -> None:
    await writer.holds(client, ESCALATE)
    assert await writer.writes(f"{writer.path}/roles", role("more", SECRETS))
    # Roles, that is: to bind it is another right.
    refusal = await writer.refused(f"{writer.path}/rolebindings", binding("more", "Role", "more"))
    assert refusal.message == writer.missing(
        "rolebindings", "more", '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}'
    )


async def test_a_binding_gives_what_its_writer_has_or_may_bind(client: HttpClient, writer: Writer) -> None:
    bind = {"apiGroups": [GROUP], "resources": ["roles"], "resourceNames": ["bindable"], "verbs": ["bind"]}
    await writer.holds(client, CONFIG_MAPS, bind)
    for name, rules in (("weak", CONFIG_MAPS), ("bindable", SECRETS), ("strong", SECRETS)):
        await client.create(f"{writer.path}/roles", role(name, rules))
    bindings = f"{writer.path}/rolebindings"
    assert await writer.writes(bindings, binding("weak", "Role", "weak"))
    assert await writer.writes(bindings, binding("bindable", "Role", "bindable"))
    assert (await writer.refused(bindings, binding("strong", "Role", "strong"))).code == 403
    refusal = await writer.refused(bindings, binding("admin", "ClusterRole", "cluster-admin"))
    assert refusal.message == writer.missing(
        "rolebindings",
        "admin",
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
        '{NonResourceURLs:["*"], Verbs:["*"]}',
    )
    refusal = await writer.refused(bindings, binding("none", "Role", "no-such"))
    assert (refusal.code, refusal.message) == (404, f'rolebindings.{GROUP} "no-such" not found')


async def test_a_binding_that_another_made_is_changed_by_who_could_make_it(client: HttpClient, writer: Writer) -> None:
    await writer.holds(client, CONFIG_MAPS)
    await client.create(f"{writer.path}/roles", role("strong", SECRETS))
    made = await client.create(f"{writer.path}/rolebindings", binding("strong", "Role", "strong"))
    more = made | {"subjects": [*made["subjects"], {"kind": "User", "apiGroup": GROUP, "name": "another"}]}
    assert (await writer.refused(f"{writer.path}/rolebindings/strong", more, "PUT")).code == 403
