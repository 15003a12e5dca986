"""Sources and ClusterSources become rights and a credential: drift, leftovers, what is other people's. As the agent."""

import asyncio
from typing import Any

import orjson
import pytest

from federation import names
from federation.kinds import CLUSTER_SOURCES, POD_CHAPERONS, SOURCES
from federation.kube.api import connect
from federation.kube.errors import Forbidden, NotFound
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    EVENTS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.controllers.letting_in import Site, agent, allowed, condition, new_site, refused
from tests.lab.planes import eventually
from tests.source_plane import Source

Manifest = dict[str, Any]


@pytest.fixture
async def site(source: Source) -> Site:
    return await new_site(source)


async def test_a_source_comes_in_with_its_credential_and_goes_without_a_trace(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
        assert condition(made, "Ready")["status"] == "True"
        assert made["status"]["serviceAccount"] == {"namespace": site.namespace, "name": "cd"}
        assert made["status"]["credential"]["secretName"] == site.secret
        assert made["status"]["credential"]["secretNamespace"] == "isthmus"
        anchor = await site.admin.get(SECRETS, "admiralty-source-cd-kubeconfig", site.namespace)
        assert not anchor.get("data"), "no pod of the source can mount its credential"
        assert made["status"]["observedGeneration"] == made["metadata"]["generation"]
        async with await connect(await site.credential(made)) as guest:
            await eventually(lambda: allowed(guest.list(POD_CHAPERONS, site.namespace)), "the source may look")
            with pytest.raises(Forbidden):
                await guest.list(POD_CHAPERONS, "default")
            await site.admin.delete(SOURCES, "cd", site.namespace)
            await site.until_gone(CLUSTER_ROLE_BINDINGS, site.viewer)
            for resource, name in (
                (ROLE_BINDINGS, "admiralty-source-cd"),
                (SERVICE_ACCOUNTS, "cd"),
                (SECRETS, "admiralty-source-cd-kubeconfig"),
            ):
                await site.until_gone(resource, name, site.namespace)
            for resource in (SECRETS, ROLES, ROLE_BINDINGS):
                await site.until_gone(resource, site.secret, "isthmus")
            await eventually(lambda: refused(guest), "the credential is worth nothing")


async def test_kubectl_get_tells_how_a_source_stands(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd", "userName": "ann"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = await site.admin.request("GET", SOURCES.path(site.namespace), headers=table)
    found = orjson.loads(answer.body)
    shown = dict(zip([column["name"] for column in found["columnDefinitions"]], found["rows"][0]["cells"], strict=True))
    assert {key: shown[key] for key in shown.keys() - {"Age"}} == {
        "Name": "cd",
        "Ready": "True",
        "User": "ann",
        "ServiceAccount": "cd",
        "Credential": site.secret,
        "Expires": made["status"]["credential"]["expiresAt"],
        "Message": "its roles are bound",
    }


async def test_a_source_that_is_kept_from_going_has_no_rights_already(site: Site) -> None:
    async with agent(site.plane):
        made = await site.make("cd", {"serviceAccountName": "cd"})
        await site.until("cd", "Issued", kind="CredentialIssued")
        waiting = {"metadata": {"uid": made["metadata"]["uid"], "finalizers": ["example.com/wait"]}}
        await site.admin.patch(SOURCES, "cd", waiting, site.namespace)
        await site.admin.delete(SOURCES, "cd", site.namespace)
        for resource, name in ((CLUSTER_ROLE_BINDINGS, site.viewer), (ROLE_BINDINGS, "admiralty-source-cd")):
            await site.until_gone(resource, name, "" if resource is CLUSTER_ROLE_BINDINGS else site.namespace)
        await site.until_gone(SERVICE_ACCOUNTS, "cd", site.namespace)
        await site.admin.patch(SOURCES, "cd", {"metadata": {"finalizers": None}}, site.namespace)
        await site.until_gone(SOURCES, "cd", site.namespace)


async def test_what_a_source_left_behind_while_the_agent_was_away_is_taken_back(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"userName": "someone"})
        await site.until("cd", "Bound")
    await site.admin.delete(SOURCES, "cd", site.namespace)
    assert await site.admin.get(CLUSTER_ROLE_BINDINGS, site.viewer)
    async with agent(site.plane):
        await site.until_gone(CLUSTER_ROLE_BINDINGS, site.viewer)


async def test_a_cluster_source_gets_its_account_in_the_namespace_it_names(site: Site) -> None:
    name = f"cd-{site.namespace}"
    spec = {"serviceAccount": {"name": "cd", "namespace": site.namespace}, "userName": "someone"}
    async with agent(site.plane):
        await site.make(name, spec, is_cluster=True)
        made = await site.until(name, "Issued", kind="CredentialIssued", is_cluster=True)
        async with await connect(await site.credential(made)) as guest:
            await eventually(lambda: allowed(guest.list(POD_CHAPERONS)), "the source may look everywhere")
        bindings = names.source_names("", name)
        binding = await site.admin.get(CLUSTER_ROLE_BINDINGS, bindings[0])
        assert binding["roleRef"]["name"] == "isthmus-cluster-source"
        assert [subject["kind"] for subject in binding["subjects"]] == ["ServiceAccount", "User"]
        assert await site.admin.get(ROLE_BINDINGS, bindings[0], site.namespace)
        await site.admin.delete(ROLE_BINDINGS, bindings[0], site.namespace)
        await eventually(lambda: site.admin.get(ROLE_BINDINGS, bindings[0], site.namespace), "made again")
        later = await site.plane.plane.add_namespace(f"later-{site.namespace}")
        await eventually(lambda: site.admin.get(ROLE_BINDINGS, bindings[0], later), "bound in one that came later")
        for closed in ("kube-system", "kube-public", "isthmus"):
            with pytest.raises(NotFound):
                await site.admin.get(ROLE_BINDINGS, bindings[0], closed)
        told = await site.until(name, "Bound", is_cluster=True)
        assert "in none that begins with kube-, nor in isthmus" in condition(told, "Ready")["message"]
        await site.admin.delete(CLUSTER_SOURCES, name)
        for binding_name in names.source_names("", name)[:2]:
            await site.until_gone(CLUSTER_ROLE_BINDINGS, binding_name)
        await site.until_gone(SERVICE_ACCOUNTS, "cd", site.namespace)
        for namespace in (site.namespace, later):
            await site.until_gone(ROLE_BINDINGS, bindings[0], namespace)


async def test_drift_is_put_right_and_nothing_is_written_twice(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"userName": "someone", "serviceAccountName": "cd"})
        await site.until("cd", "Issued", kind="CredentialIssued")
        where = ("admiralty-source-cd", site.namespace)
        stranger = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "stranger"}]
        await site.admin.patch(ROLE_BINDINGS, where[0], {"subjects": stranger}, where[1])

        async def is_right() -> Manifest | None:
            found = await site.admin.get(ROLE_BINDINGS, *where)
            return found if {subject["name"] for subject in found["subjects"]} == {"someone", "cd"} else None

        right = await eventually(is_right, "subjects put right")
        await site.admin.delete(CLUSTER_ROLE_BINDINGS, site.viewer)
        await eventually(lambda: site.admin.get(CLUSTER_ROLE_BINDINGS, site.viewer), "binding made again")
        await site.admin.patch(SOURCES, "cd", {"metadata": {"labels": {"touched": "1"}}}, site.namespace)
        await asyncio.sleep(0.5)
        after = await site.admin.get(ROLE_BINDINGS, *where)
        assert after["metadata"]["resourceVersion"] == right["metadata"]["resourceVersion"]


async def test_a_field_that_is_taken_out_takes_its_rights_along(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"userName": "someone", "serviceAccountName": "cd"})
        await site.until("cd", "Issued", kind="CredentialIssued")
        await site.admin.patch(SOURCES, "cd", {"spec": {"serviceAccountName": None}}, site.namespace)
        await site.until_gone(SERVICE_ACCOUNTS, "cd", site.namespace)
        await site.until_gone(SECRETS, "admiralty-source-cd-kubeconfig", site.namespace)
        await site.until_gone(SECRETS, site.secret, "isthmus")
        found = await site.until("cd", "NoServiceAccount", kind="CredentialIssued")
        assert "credential" not in found["status"]
        binding = await site.admin.get(ROLE_BINDINGS, "admiralty-source-cd", site.namespace)
        assert [subject["name"] for subject in binding["subjects"]] == ["someone"]


async def test_a_binding_of_somebody_else_is_left_alone_and_said(site: Site) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    theirs: Manifest = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding"}
    theirs |= {"metadata": {"name": "admiralty-source-cd"}, "roleRef": role}
    before = await site.admin.create(ROLE_BINDINGS, theirs, site.namespace)
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        found = await site.until("cd", "NameTaken")
        assert f"RoleBinding {site.namespace}/admiralty-source-cd" in condition(found, "Ready")["message"]
        assert await site.admin.get(ROLE_BINDINGS, "admiralty-source-cd", site.namespace) == before
        assert condition(found, "CredentialIssued")["status"] == "False"
        events = (await site.admin.list(EVENTS, site.namespace)).items
        assert [event["reason"] for event in events if event["involvedObject"]["name"] == "cd"] == ["NameTaken"]


async def test_an_account_that_was_there_before_is_bound_but_issued_nothing_and_kept(site: Site) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    before = await site.admin.create(SERVICE_ACCOUNTS, account, site.namespace)
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "robot"})
        found = await site.until("cd", "ForeignServiceAccount", kind="CredentialIssued")
        assert condition(found, "Ready")["status"] == "True"
        with pytest.raises(NotFound):
            await site.admin.get(SECRETS, site.secret, "isthmus")
        await site.admin.delete(SOURCES, "cd", site.namespace)
        await site.until_gone(CLUSTER_ROLE_BINDINGS, site.viewer)
        assert await site.admin.get(SERVICE_ACCOUNTS, "robot", site.namespace) == before


async def test_deleting_the_anchor_revokes_what_was_issued_and_issues_anew(site: Site) -> None:
    async with agent(site.plane):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
        stolen = await site.credential(made)
        await site.admin.delete(SECRETS, "admiralty-source-cd-kubeconfig", site.namespace)

        async def another() -> Manifest | None:
            found = await site.credential(made)
            return found if found != stolen else None

        fresh = await eventually(lambda: another_or_none(another), "a new credential")
        async with await connect(stolen) as thief, await connect(fresh) as guest:
            await eventually(lambda: refused(thief), "the old one is worth nothing")
            await eventually(lambda: allowed(guest.list(POD_CHAPERONS, site.namespace)), "the new one works")


async def another_or_none(look: Any) -> Any:
    try:
        return await look()
    except KeyError:
        return None  # the Secret is there, its content not yet


async def test_a_namespace_that_does_not_exist_is_named_and_looked_for_again(site: Site) -> None:
    name = f"cd-{site.namespace}"
    async with agent(site.plane):
        await site.make(name, {"serviceAccount": {"name": "cd", "namespace": "no-such"}}, is_cluster=True)
        found = await site.until(name, "Refused", is_cluster=True)
        assert 'namespaces "no-such" not found' in condition(found, "Ready")["message"]
        await site.admin.delete(CLUSTER_SOURCES, name)


async def test_without_an_address_or_without_issuing_it_says_so(site: Site) -> None:
    async with agent(site.plane, api_server_url=""):
        await site.make("cd", {"serviceAccountName": "cd"})
        found = await site.until("cd", "NoAddress", kind="CredentialIssued")
        assert "ISTHMUS_AGENT_API_SERVER_URL" in condition(found, "Ready")["message"]
    async with agent(site.plane, issue_credentials=False):
        found = await site.until("cd", "TurnedOff", kind="CredentialIssued")
        assert condition(found, "Ready")["status"] == "True"
    await site.admin.delete(SOURCES, "cd", site.namespace)
    await site.admin.delete(NAMESPACES, site.namespace)
