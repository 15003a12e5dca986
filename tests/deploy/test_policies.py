"""What a source may ask for and write, beyond what RBAC can say: each attempt with the credential that was issued.

The embedded API server evaluates no policies, so these run on the real one alone.
"""

import base64
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS, SOURCES
from federation.kube.api import Api, connect
from federation.kube.errors import ApiError, NotFound, StatusError
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from federation.kube.resources import (
    VALIDATING_ADMISSION_POLICY_BINDINGS as BINDINGS,
)
from tests.controllers.letting_in import Site, agent, allowed, condition, new_site
from tests.lab.planes import eventually
from tests.source_plane import Source

Manifest = dict[str, Any]

OURS = {names.PARENT_CLUSTER_NAME: "home"}
SECRET: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "labels": OURS}}
SERVICE: Manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "labels": OURS}}
PORTS = {"ports": [{"port": 80}]}


pytestmark = pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)


@dataclass(frozen=True)
class Guest:
    """A source with its credential, in the namespace that let it in."""

    api: Api
    site: Site
    account: str

    @property
    def namespace(self) -> str:
        """Where it was let in."""
        return self.site.namespace

    async def ask(self, *, metadata: Manifest | None = None, **spec: Any) -> Manifest:
        """Make a chaperon as a source does, but for what is given."""
        return await self.api.create(POD_CHAPERONS, chaperon(metadata or {}, spec), self.namespace)


def chaperon(metadata: Manifest, spec: Manifest) -> Manifest:
    """A good chaperon, changed."""
    labels = {names.PARENT_UID: "u", names.PARENT_CLUSTER_NAME: "home"}
    pod = {"containers": [{"name": "c", "image": "busybox"}], "schedulerName": names.CANDIDATE_SCHEDULER}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "metadata": {"name": f"a-{secrets.token_hex(4)}", "labels": labels} | metadata,
        "spec": pod | spec,
    }


@pytest.fixture
async def guest(source: Source) -> AsyncIterator[Guest]:
    site = await new_site(source)
    async with agent(source):
        await site.make("cd", {"serviceAccountName": "cd"})
        made = await site.until("cd", "Issued", kind="CredentialIssued")
        async with await connect(await site.credential(made)) as api:
            found = Guest(api, site, f"system:serviceaccount:{site.namespace}:cd")
            await eventually(lambda: in_force(found), "rights and policies are in force")
            yield found


async def in_force(guest: Guest) -> bool:
    """Whether a source may make a chaperon, and not any."""
    try:
        made = await guest.ask()
    except StatusError:
        return False
    await guest.api.delete(POD_CHAPERONS, made["metadata"]["name"], guest.namespace)
    return not await passes(guest.ask(nodeName="n")) and not await passes(plain_secret(guest))


async def plain_secret(guest: Guest) -> Manifest:
    return await guest.api.create(SECRETS, SECRET | {"metadata": {"generateName": "p-"}}, guest.namespace)


async def passes(request: Any) -> bool:
    try:
        await request
    except ApiError:
        return False
    return True


def container(**fields: Any) -> list[Manifest]:
    return [{"name": "c", "image": "busybox", **fields}]


def volume(**source: Any) -> list[Manifest]:
    return [{"name": "v", **source}]


AS_ROOT = {"privileged": True}

REFUSED: list[tuple[str, Manifest, str]] = [
    ("a node", {"nodeName": "n"}, "spec.nodeName"),
    ("the target's own scheduler", {"schedulerName": "default-scheduler"}, "spec.schedulerName"),
    ("no scheduler, so the default one", {"schedulerName": ""}, "spec.schedulerName"),
    ("an account of the target", {"serviceAccountName": "admin"}, "ServiceAccount admin"),
    ("an account by its old name", {"serviceAccount": "admin"}, "ServiceAccount admin"),
    ("an account by its old name beside the new", {"serviceAccountName": "", "serviceAccount": "admin"}, "verb use"),
    ("to evict the target's pods", {"priorityClassName": "system-node-critical"}, "PriorityClass system-node-crit"),
    ("the node's network", {"hostNetwork": True}, "spec.hostNetwork"),
    ("the node's processes", {"hostPID": True}, "hostPID"),
    ("the node's memory", {"hostIPC": True}, "hostIPC"),
    ("a port of the node", {"containers": container(ports=[{"containerPort": 1, "hostPort": 80}])}, "hostPort"),
    (
        "a port of the node, to begin with",
        {"initContainers": container(ports=[{"containerPort": 1, "hostPort": 80}])},
        "hostPort",
    ),
    ("the node's files", {"volumes": volume(hostPath={"path": "/"})}, "hostPath"),
    ("a file server that the node reaches", {"volumes": volume(nfs={"server": "10.0.0.1", "path": "/"})}, "volumes"),
    ("a disk that the node reaches", {"volumes": volume(iscsi={"targetPortal": "10.0.0.1"})}, "volumes"),
    ("a program on the node", {"volumes": volume(flexVolume={"driver": "d"})}, "volumes"),
    ("any node, whatever keeps others off", {"tolerations": [{"operator": "Exists"}]}, "tolerations"),
    (
        "the control plane's nodes",
        {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
        "tolerations",
    ),
    ("to be root on the node", {"containers": container(securityContext=AS_ROOT)}, "privileged"),
    ("to be root on the node, to begin with", {"initContainers": container(securityContext=AS_ROOT)}, "privileged"),
    (
        "a capability to escape by",
        {"containers": container(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})},
        "capabilities",
    ),
    ("all of /proc", {"containers": container(securityContext={"procMount": "Unmasked"})}, "procMount"),
    (
        "to be a process of a Windows node",
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "hostProcess",
    ),
    (
        "to be a process of a Windows node, by container",
        {"containers": container(securityContext={"windowsOptions": {"hostProcess": True}})},
        "hostProcess",
    ),
    ("what is no list", {"volumes": "hostPath"}, ""),
    ("what is no truth value", {"hostNetwork": "yes"}, ""),
]


@pytest.mark.parametrize(("spec", "said"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
async def test_t3_a_source_may_not_ask_for(guest: Guest, spec: Manifest, said: str) -> None:
    with pytest.raises(StatusError) as refused:
        await guest.ask(**spec)
    assert refused.value.code in (403, 422)
    assert said in refused.value.message


async def test_t3_ordinary_pods_are_let_through(guest: Guest) -> None:
    ordinary: list[Manifest] = [
        {},
        {"serviceAccountName": "default", "serviceAccount": "default", "hostNetwork": False, "nodeName": ""},
        {"volumes": [*volume(secret={"secretName": "s"}), {"name": "w", "emptyDir": {}}]},
        {"tolerations": [{"key": "example.com/arm", "operator": "Exists"}]},
        {"containers": container(ports=[{"containerPort": 80}], securityContext={"runAsUser": 1000})},
        {"containers": container(securityContext={"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}})},
        {"schedulerName": "isthmus-candidate-preempting"},
    ]
    for spec in ordinary:
        assert await guest.ask(**spec)
    waits = {"annotations": {names.WAITS_TO_BE_ALLOWED: "true"}}
    assert await guest.ask(metadata=waits, schedulerName="default-scheduler")


async def test_t3_an_owner_gives_more_by_the_verb_use(guest: Guest) -> None:
    admin, role = guest.site.admin, f"more-{guest.namespace}"
    rules = [
        {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["builder"], "verbs": ["use"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["use"]},
        {
            "apiGroups": ["scheduling.k8s.io"],
            "resources": ["priorityclasses"],
            "resourceNames": ["system-node-critical"],
            "verbs": ["use"],
        },
    ]
    named = {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRole", "metadata": {"name": role}}
    await admin.create(CLUSTER_ROLES, named | {"rules": rules})
    binding: Manifest = {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRoleBinding"}
    binding |= {"metadata": {"name": role}, "subjects": [{"kind": "User", "name": guest.account}]}
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    await admin.create(CLUSTER_ROLE_BINDINGS, binding | {"roleRef": role_ref})
    await eventually(lambda: passes(guest.ask(serviceAccountName="builder")), "the right has arrived")
    with pytest.raises(StatusError, match="ServiceAccount admin"):
        await guest.ask(serviceAccountName="admin")
    for _, spec, said in REFUSED:
        if said and not any(part in said for part in ("spec.nodeName", "schedulerName", "ServiceAccount", "verb use")):
            assert await guest.ask(**spec), spec
    with pytest.raises(StatusError, match=r"spec\.nodeName"):
        await guest.ask(nodeName="n")


@pytest.mark.parametrize(
    "annotation",
    [
        names.IS_RESERVED,
        names.NODE_NAME,
        names.REMADE,
        names.POD_MISSING_SINCE,
        names.OURS + "pod-uid",
        names.OURS + "replaceable",
    ],
)
async def test_t3_a_source_sets_changes_and_removes_no_annotation_of_the_targets(guest: Guest, annotation: str) -> None:
    said = "annotations that only this cluster's agent and extender write"
    with pytest.raises(StatusError, match=said):
        await guest.ask(metadata={"annotations": {annotation: "x"}})
    name = (await guest.ask())["metadata"]["name"]
    allow = {"metadata": {"annotations": {names.IS_ALLOWED: "true"}}}
    assert await guest.api.patch(POD_CHAPERONS, name, allow, guest.namespace), "this is what a source writes"
    mark = {"metadata": {"annotations": {annotation: "1"}}}
    await guest.site.admin.patch(POD_CHAPERONS, name, mark, guest.namespace)
    for value in ("2", None):
        with pytest.raises(StatusError, match=said):
            await guest.api.patch(
                POD_CHAPERONS, name, {"metadata": {"annotations": {annotation: value}}}, guest.namespace
            )
    again = {"metadata": {"annotations": {names.IS_ALLOWED: "yes"}}}
    assert await guest.api.patch(POD_CHAPERONS, name, again, guest.namespace), "and goes on to"


async def test_t3_whose_a_chaperon_is_does_not_change_and_it_holds_nothing_up(guest: Guest) -> None:
    name = (await guest.ask())["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "u", "blockOwnerDeletion": True}
    changes: list[tuple[Manifest, str]] = [
        ({"labels": {names.PARENT_CLUSTER_NAME: "another"}}, "parent-cluster-name"),
        ({"labels": {names.PARENT_UID: None}}, "parent-uid"),
        ({"ownerReferences": [owner]}, "ownerReferences"),
        ({"finalizers": ["example.com/never"]}, "finalizers"),
    ]
    for change, said in changes:
        with pytest.raises(StatusError, match=said):
            await guest.api.patch(POD_CHAPERONS, name, {"metadata": change}, guest.namespace)
    for change, said in [({"labels": {}}, "parent-cluster-name"), *changes[2:]]:
        with pytest.raises(StatusError, match=said):
            await guest.ask(metadata=change)
    with pytest.raises(StatusError):
        await guest.api.patch(POD_CHAPERONS, name, {"spec": {"nodeName": "n"}}, guest.namespace)
    status = {"status": {"phase": "Succeeded"}}
    with pytest.raises(StatusError):
        await guest.api.patch(POD_CHAPERONS, name, status, guest.namespace, subresource="status")
    await guest.api.delete(POD_CHAPERONS, name, guest.namespace, propagation="Foreground")


async def test_t3_the_targets_secrets_are_neither_read_nor_written_nor_deleted(guest: Guest) -> None:
    await guest.site.admin.create(SECRETS, SECRET | {"metadata": {"name": "theirs"}}, guest.namespace)
    claim = {"metadata": {"labels": OURS}}
    test = [{"op": "test", "path": "/metadata/name", "value": "theirs"}]
    ours = SECRET | {"metadata": {"name": "theirs", "namespace": guest.namespace, "labels": OURS}}
    for attempt in (
        guest.api.get(SECRETS, "theirs", guest.namespace),
        guest.api.list(SECRETS, guest.namespace),
        guest.api.patch(SECRETS, "theirs", {}, guest.namespace),  # it would show it
        guest.api.patch(SECRETS, "theirs", test, guest.namespace, kind="json"),
        guest.api.patch(SECRETS, "theirs", claim, guest.namespace),
        guest.api.patch(SECRETS, "theirs", ours, guest.namespace, kind="apply", force=True),
        guest.api.replace(SECRETS, ours),
        guest.api.delete(SECRETS, "theirs", guest.namespace),
        guest.api.create(SECRETS, SECRET | {"metadata": {"name": "plain"}}, guest.namespace),
    ):
        with pytest.raises(StatusError) as refused:
            await attempt
        assert refused.value.code in (403, 422)
        assert "data" not in str(refused.value.details)
    left = await guest.site.admin.get(SECRETS, "theirs", guest.namespace)
    assert not left["metadata"].get("labels")


async def test_t3_what_an_owner_shares_is_shown_and_stays_as_it_is(guest: Guest) -> None:
    metadata = {"name": "shared", "labels": {names.SHARED: "true"}}
    data = base64.b64encode(b"v").decode()
    await guest.site.admin.create(SECRETS, SECRET | {"metadata": metadata, "data": {"k": data}}, guest.namespace)
    test = [{"op": "test", "path": "/metadata/labels/isthmus.dev~1shared", "value": "true"}]
    shown = await guest.api.patch(SECRETS, "shared", test, guest.namespace, kind="json")
    assert shown["data"] == {"k": data}
    for change in (
        {"data": {"k": "dw=="}},
        {"metadata": {"labels": OURS}},
        {"metadata": {"labels": {names.SHARED: None}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"immutable": True},
    ):
        with pytest.raises(StatusError):
            await guest.api.patch(SECRETS, "shared", change, guest.namespace)
    with pytest.raises(StatusError):
        await guest.api.delete(SECRETS, "shared", guest.namespace)
    mine = {"name": "mine", "labels": OURS | {names.SHARED: "true"}}
    with pytest.raises(StatusError, match=r"isthmus\.dev/shared"):
        await guest.api.create(SECRETS, SECRET | {"metadata": mine}, guest.namespace)


async def test_t3_copies_come_change_and_go(guest: Guest) -> None:
    owner = await guest.ask()
    reference = {key: owner["metadata"][key] for key in ("name", "uid")}
    reference |= {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND}
    metadata = {"name": "copy", "namespace": guest.namespace, "labels": OURS, "ownerReferences": [reference]}
    for resource in (SECRETS, CONFIG_MAPS):
        body = {"apiVersion": "v1", "kind": resource.kind, "metadata": metadata}
        made = await guest.api.create(resource, body)
        test = [
            {"op": "test", "path": "/metadata/labels/multicluster.admiralty.io~1parent-cluster-name", "value": "home"}
        ]
        shown = await guest.api.patch(resource, "copy", test, guest.namespace, kind="json")
        assert shown["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        changed = await guest.api.replace(resource, made | {"data": {"k": "dg=="}})
        assert changed["data"] == {"k": "dg=="}
        with pytest.raises(StatusError):
            await guest.api.patch(
                resource, "copy", {"metadata": {"labels": {names.PARENT_CLUSTER_NAME: "b"}}}, guest.namespace
            )
        await guest.api.delete(resource, "copy", guest.namespace)
    assert await guest.api.create(SERVICES, SERVICE | {"spec": PORTS}, guest.namespace)
    await guest.api.delete(SERVICES, "x", guest.namespace)


TOKENS = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *(({"type": kind}, "tokens made") for kind in TOKENS),
        ({"finalizers": ["example.com/never"]}, "finalizers"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "t", "uid": "u"}]}, "PodChaperons"),
        (
            {
                "ownerReferences": [
                    {
                        "apiVersion": names.API_VERSION,
                        "kind": names.CHAPERON_KIND,
                        "name": "t",
                        "uid": "u",
                        "blockOwnerDeletion": True,
                    }
                ]
            },
            "hold up",
        ),
    ],
)
async def test_t3_a_copy_may_not_be(guest: Guest, change: Manifest, said: str) -> None:
    metadata = SECRET["metadata"] | {
        "annotations": {"kubernetes.io/service-account.name": "cd"},
        **{key: value for key, value in change.items() if key != "type"},
    }
    body = SECRET | {"metadata": metadata} | {key: value for key, value in change.items() if key == "type"}
    with pytest.raises(StatusError, match=said):
        await guest.api.create(SECRETS, body, guest.namespace)


@pytest.mark.parametrize(
    "spec",
    [{"externalIPs": ["192.0.2.1"], **PORTS}, {"type": "ExternalName", "externalName": "metadata.internal"}],
)
async def test_t3_a_service_catches_nobodys_traffic(guest: Guest, spec: Manifest) -> None:
    with pytest.raises(StatusError, match="externalIPs"):
        await guest.api.create(SERVICES, SERVICE | {"spec": spec}, guest.namespace)


async def test_t3_the_clusters_own_authority_is_not_replaced(guest: Guest) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "labels": OURS}}
    with pytest.raises(StatusError):
        await guest.api.create(CONFIG_MAPS, body, guest.namespace)
    with pytest.raises(StatusError):
        await guest.api.delete(CONFIG_MAPS, "kube-root-ca.crt", guest.namespace)
    own = SECRET | {"metadata": {"name": "x", "labels": OURS}}
    for closed in ("kube-system", "isthmus"):
        with pytest.raises(StatusError):
            await guest.api.create(SECRETS, own, closed)


async def test_t3_revoking_ends_every_token_that_the_source_has_or_tried_to_get(guest: Guest) -> None:
    """All that a source can think of to keep a way in, before its owner throws it out; then nothing works."""
    account, namespace = "cd", guest.namespace
    metadata = {"name": "mine", "labels": OURS, "annotations": {"kubernetes.io/service-account.name": account}}
    endless = SECRET | {"metadata": metadata, "type": "kubernetes.io/service-account-token"}
    with pytest.raises(StatusError):
        await guest.api.create(SECRETS, endless, namespace)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    for name in (account, "default"):
        with pytest.raises(StatusError):
            await guest.api.create(SERVICE_ACCOUNTS, body, namespace, name=name, subresource="token")
    with pytest.raises(StatusError):
        await guest.ask(serviceAccountName=account)
    held = await guest.api.get(SECRETS, guest.site.secret, "isthmus")
    first = json.loads(base64.b64decode(held["data"]["config"]))
    async with await connect(first) as another:
        assert await allowed(another.list(POD_CHAPERONS, namespace))
        await guest.site.admin.delete(SOURCES, "cd", namespace)
        for api in (guest.api, another):
            await eventually(partial(is_out, api, namespace), "no token is good any more")
    with pytest.raises(NotFound):
        await guest.site.admin.get(SECRETS, "mine", namespace)


async def is_out(api: Api, namespace: str) -> bool:
    try:
        await api.list(POD_CHAPERONS, namespace)
    except StatusError as error:
        return error.code in (401, 403)
    return False


async def test_t3_without_the_policies_nobody_new_is_let_in_and_what_is_there_stays(source: Source) -> None:
    site = await new_site(source)
    binding = await site.admin.get(BINDINGS, names.SOURCE_POLICIES[1])
    async with agent(source):
        await site.make("before", {"serviceAccountName": "before"})
        await site.until("before", "Issued", kind="CredentialIssued")
        await site.admin.delete(BINDINGS, names.SOURCE_POLICIES[1])
        try:
            await site.make("cd", {"serviceAccountName": "cd"})
            found = await site.until("cd", "NoPolicies")
            message = condition(found, "Ready")["message"]
            assert f"ValidatingAdmissionPolicyBinding {names.SOURCE_POLICIES[1]} is not there" in message
            assert "kubectl apply -f deploy/policies/" in message
            for resource, name in ((ROLE_BINDINGS, "admiralty-source-cd"), (SERVICE_ACCOUNTS, "cd")):
                with pytest.raises(NotFound):
                    await site.admin.get(resource, name, site.namespace)
            await site.admin.patch(SOURCES, "before", {"spec": {"userName": "another"}}, site.namespace)
            await site.until("before", "NoPolicies")
            kept = await site.admin.get(ROLE_BINDINGS, "admiralty-source-before", site.namespace)
            assert [subject["name"] for subject in kept["subjects"]] == ["before"], "pods run by it; no more get in"
        finally:
            metadata = {"name": names.SOURCE_POLICIES[1]}
            await site.admin.create(BINDINGS, {**binding, "metadata": metadata})
    async with agent(source):
        await site.until("cd", "Issued", kind="CredentialIssued")
