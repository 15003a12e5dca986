"""A source sends requests of its own making to the target that let it in: what roles refuse, and what policies do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from federation import names
from federation.kinds import CLUSTER_SUMMARIES, POD_CHAPERONS
from federation.kube.api import connect
from federation.kube.resources import CONFIG_MAPS, PODS, ROLE_BINDINGS, SECRETS, SERVICE_ACCOUNTS, SERVICES
from lab.parts.federation import source_kubeconfig
from lab.running import RunningLab
from tests.protocol.federation import Federation, Manifest, pod
from tests.strangers.attempts import ids_of
from tests.strangers.siege import GOOD, new_namespace
from tests.strangers.thief import OWNERS, PRIORITY, Thief, let_in, refusal

COPY = {names.PARENT_CLUSTER_NAME: "thief", names.PARENT_UID: "u"}


@pytest.fixture(scope="module")
async def thief(federation_lab: RunningLab) -> AsyncIterator[Thief]:
    """One thief for all requests: none of them leaves anything behind."""
    async with let_in(Federation(federation_lab, await new_namespace(federation_lab))) as found:
        yield found


def secret(name: str, labels: dict[str, str] | None = None, **fields: object) -> Manifest:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata} | fields


def service(**spec: object) -> Manifest:
    metadata = {"name": "thiefs", "labels": COPY}
    ports = {"ports": [{"port": 80}], "selector": {"a": "b"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports | spec}


def volume(**source: object) -> list[Manifest]:
    return [{"name": "v"} | source]


async def as_cluster_source(thief: Thief, call: Callable[[Thief], Awaitable[object]]) -> None:
    """Send a request with the credential of the lab's ClusterSource instead."""
    kubeconfig: Path = source_kubeconfig(thief.federation.lab.directory, GOOD)
    async with await connect(kubeconfig) as api:
        await refusal(call(Thief(api, thief.owner, thief.federation, thief.credential)))


async def raw(thief: Thief, method: str, path: str, headers: dict[str, str] | None = None) -> object:
    return await thief.api.request(method, path, headers=headers)


# -- what roles refuse, on either engine -----------------------------------------------------------------------------


async def get_secret(t: Thief) -> None:
    await refusal(t.api.get(SECRETS, OWNERS, t.namespace))


async def list_secrets(t: Thief) -> None:
    await refusal(t.api.list(SECRETS, t.namespace))
    await refusal(raw(t, "GET", f"/api/v1/namespaces/{t.namespace}/secrets?watch=1"))


async def token_request(t: Thief) -> None:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    for account in ("default", "thief", OWNERS):
        await refusal(t.api.create(SERVICE_ACCOUNTS, request, t.namespace, name=account, subresource="token"))


async def own_pod(t: Thief) -> None:
    await refusal(t.api.create(PODS, pod("exit 0", name="thiefs"), t.namespace))


async def ephemeral(t: Thief) -> None:
    patch = {"spec": {"ephemeralContainers": [{"name": "e", "image": "busybox"}]}}
    await refusal(t.api.patch(PODS, OWNERS, patch, t.namespace, subresource="ephemeralcontainers", kind="strategic"))


async def bind_pod(t: Thief) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "name": "anywhere"}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": OWNERS}, "target": node}
    await refusal(t.api.create(PODS, binding, t.namespace, name=OWNERS, subresource="binding"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": OWNERS}}
    await refusal(t.api.create(PODS, eviction, t.namespace, name=OWNERS, subresource="eviction"))
    await refusal(t.api.delete(PODS, OWNERS, t.namespace))


async def service_proxy(t: Thief) -> None:
    await refusal(raw(t, "GET", f"/api/v1/namespaces/{t.namespace}/services/any/proxy/"))
    await refusal(raw(t, "GET", f"/api/v1/namespaces/{t.namespace}/pods/{OWNERS}/proxy/"))
    node = t.federation.real_nodes[GOOD][0]
    await refusal(raw(t, "GET", f"/api/v1/nodes/{node}/proxy/pods"))


async def summary(t: Thief) -> None:
    patch = {"allocatable": {"cpu": "1P"}, "capacity": {"cpu": "1P"}}
    await refusal(t.api.patch(CLUSTER_SUMMARIES, names.SUMMARY_NAME, patch))


async def own_role(t: Thief) -> None:
    binding = {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": "RoleBinding",
        "metadata": {"name": "thiefs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "thief", "namespace": t.namespace}],
    }
    await refusal(t.api.create(ROLE_BINDINGS, binding, t.namespace))


async def impersonate(t: Thief) -> None:
    path = SECRETS.path(t.namespace, OWNERS)
    for user in ("isthmus-agent", f"system:serviceaccount:{t.namespace}:{OWNERS}"):
        await refusal(raw(t, "GET", path, {"Impersonate-User": user}))


async def own_status(t: Thief) -> None:
    made = await t.ask()
    name = made["metadata"]["name"]
    patch = {"status": {"phase": "Succeeded"}}
    await refusal(t.api.patch(POD_CHAPERONS, name, patch, t.namespace, subresource="status"))
    await t.api.delete(POD_CHAPERONS, name, t.namespace)


async def system_namespace(t: Thief) -> None:
    for namespace in ("kube-system", "isthmus"):
        chaperon = t.chaperon()
        chaperon["metadata"]["namespace"] = namespace
        await as_cluster_source(t, lambda c, body=chaperon: c.api.create(POD_CHAPERONS, body))  # type: ignore[misc]


async def agent_namespace(t: Thief) -> None:
    namespace, name = t.credential
    await as_cluster_source(t, lambda c: c.api.get(SECRETS, name, namespace))
    await as_cluster_source(t, lambda c: c.api.get(SECRETS, "isthmus-webhook-ca", "isthmus"))
    await as_cluster_source(t, lambda c: c.api.patch(SECRETS, name, {}, namespace))


async def own_credential(t: Thief) -> None:
    namespace, name = t.credential
    await refusal(t.api.patch(SECRETS, name, {"metadata": {"annotations": {"a": "b"}}}, namespace))
    await refusal(t.api.delete(SECRETS, name, namespace))


async def credential_volume(t: Thief) -> None:
    namespace, name = t.credential
    assert namespace != t.namespace, "where a source may have pods run, there is no credential to mount"
    for source in ({"secret": {"secretName": name}}, {"projected": {"sources": [{"secret": {"name": name}}]}}):
        chaperon = t.chaperon(volumes=volume(**source))
        chaperon["metadata"]["namespace"] = namespace
        await refusal(t.api.create(POD_CHAPERONS, chaperon))
        await as_cluster_source(t, lambda c, body=chaperon: c.api.create(POD_CHAPERONS, body))  # type: ignore[misc]


# -- what policies refuse, where the API server has any --------------------------------------------------------------


async def token_secret(t: Thief) -> None:
    for labels in ({}, COPY):
        made = secret("thiefs", labels, type="kubernetes.io/service-account-token")
        made["metadata"]["annotations"] = {"kubernetes.io/service-account.name": OWNERS}
        await refusal(t.api.create(SECRETS, made, t.namespace))


async def empty_patch(t: Thief) -> None:
    await refusal(t.api.patch(SECRETS, OWNERS, {}, t.namespace))
    await refusal(t.api.patch(SECRETS, OWNERS, [], t.namespace, kind="json"))


async def apply_secret(t: Thief) -> None:
    body = secret(OWNERS, COPY)
    await refusal(t.api.patch(SECRETS, OWNERS, body, t.namespace, kind="apply", force=True))


async def node_name(t: Thief) -> None:
    await refusal(t.ask(nodeName=t.federation.real_nodes[GOOD][0]))


async def scheduler(t: Thief) -> None:
    await refusal(t.ask(schedulerName="default-scheduler"))


async def host_network(t: Thief) -> None:
    await refusal(t.ask(hostNetwork=True))
    await refusal(t.ask(hostPID=True))
    await refusal(t.ask(hostIPC=True))


async def host_path(t: Thief) -> None:
    await refusal(t.ask(volumes=volume(hostPath={"path": "/"})))


async def account(t: Thief) -> None:
    await refusal(t.ask(serviceAccountName=OWNERS))


async def account_alias(t: Thief) -> None:
    await refusal(t.ask(serviceAccount=OWNERS))
    await refusal(t.ask(serviceAccountName="default", serviceAccount=OWNERS))


async def priority_class(t: Thief) -> None:
    await refusal(t.ask(priorityClassName=PRIORITY))
    await refusal(t.ask(priorityClassName="system-node-critical"))


async def later_host_network(t: Thief) -> None:
    name = (await t.ask())["metadata"]["name"]
    await refusal(t.api.patch(POD_CHAPERONS, name, {"spec": {"hostNetwork": True}}, t.namespace))
    await refusal(t.api.patch(POD_CHAPERONS, name, {"spec": {"nodeName": "n"}}, t.namespace))
    await t.api.delete(POD_CHAPERONS, name, t.namespace)


async def marks_itself(t: Thief) -> None:
    for key in (names.IS_RESERVED, names.NODE_NAME, names.REMADE, names.POD_MISSING_SINCE):
        await refusal(t.ask(annotations={key: "true"}))
    name = (await t.ask())["metadata"]["name"]
    patch = {"metadata": {"annotations": {names.REMADE: "7 2026-01-01T00:00:00Z"}}}
    await refusal(t.api.patch(POD_CHAPERONS, name, patch, t.namespace))
    await t.api.delete(POD_CHAPERONS, name, t.namespace)


async def root_ca(t: Thief) -> None:
    theirs = await t.owner.get(CONFIG_MAPS, "kube-root-ca.crt", t.namespace)
    metadata = {"name": "kube-root-ca.crt", "labels": COPY, "namespace": t.namespace}
    metadata["resourceVersion"] = theirs["metadata"]["resourceVersion"]
    forged = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": "mine"}}
    await refusal(t.api.replace(CONFIG_MAPS, forged))


async def delete_config(t: Thief) -> None:
    await refusal(t.api.delete(CONFIG_MAPS, OWNERS, t.namespace))
    await refusal(t.api.delete(SECRETS, OWNERS, t.namespace))


async def take_over(t: Thief) -> None:
    await refusal(t.api.patch(CONFIG_MAPS, OWNERS, {"metadata": {"labels": COPY}}, t.namespace))
    await refusal(t.api.patch(SECRETS, OWNERS, {"metadata": {"labels": COPY}}, t.namespace))


async def external_ip(t: Thief) -> None:
    await refusal(t.api.create(SERVICES, service(externalIPs=["192.0.2.7"]), t.namespace))


async def external_name(t: Thief) -> None:
    await refusal(t.api.create(SERVICES, service(type="ExternalName", externalName="inner.example"), t.namespace))


async def owner_reference(t: Thief) -> None:
    owner = await t.owner.get(CONFIG_MAPS, OWNERS, t.namespace)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": OWNERS, "uid": owner["metadata"]["uid"]}
    copy = secret("thiefs", COPY)
    copy["metadata"]["ownerReferences"] = [reference]
    await refusal(t.api.create(SECRETS, copy, t.namespace))
    chaperon = t.chaperon()
    chaperon["metadata"]["ownerReferences"] = [reference]
    await refusal(t.api.create(POD_CHAPERONS, chaperon))


async def copy_finalizer(t: Thief) -> None:
    copy, chaperon = secret("thiefs", COPY), t.chaperon()
    for manifest in (copy, chaperon):
        manifest["metadata"]["finalizers"] = ["thiefs.example/never"]
    await refusal(t.api.create(SECRETS, copy, t.namespace))
    await refusal(t.api.create(POD_CHAPERONS, chaperon))


async def host_port(t: Thief) -> None:
    await refusal(t.ask(container={"ports": [{"containerPort": 80, "hostPort": 80}]}))
    await refusal(
        t.ask(initContainers=[{"name": "i", "image": "busybox", "ports": [{"containerPort": 1, "hostPort": 1}]}])
    )


async def privileged(t: Thief) -> None:
    for context in ({"privileged": True}, {"capabilities": {"add": ["SYS_ADMIN"]}}, {"procMount": "Unmasked"}):
        await refusal(t.ask(container={"securityContext": context}))


async def all_taints(t: Thief) -> None:
    await refusal(t.ask(tolerations=[{"operator": "Exists"}]))
    await refusal(t.ask(tolerations=[{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]))


async def server_volumes(t: Thief) -> None:
    await refusal(t.ask(volumes=volume(nfs={"server": "inner.example", "path": "/"})))
    await refusal(t.ask(volumes=volume(iscsi={"targetPortal": "10.0.0.1", "iqn": "i", "lun": 0})))


async def other_parent(t: Thief) -> None:
    name = (await t.ask())["metadata"]["name"]
    for labels in ({names.PARENT_CLUSTER_NAME: "another"}, {names.PARENT_UID: "theirs"}, {names.PARENT_UID: None}):
        await refusal(t.api.patch(POD_CHAPERONS, name, {"metadata": {"labels": labels}}, t.namespace))
    await t.api.delete(POD_CHAPERONS, name, t.namespace)


BY_ROLE: dict[str, Callable[[Thief], Awaitable[None]]] = {
    "get-secret": get_secret,
    "list-secrets": list_secrets,
    "token-request": token_request,
    "own-pod": own_pod,
    "ephemeral": ephemeral,
    "bind-pod": bind_pod,
    "service-proxy": service_proxy,
    "summary": summary,
    "own-role": own_role,
    "impersonate": impersonate,
    "status": own_status,
    "system-namespace": system_namespace,
    "agent-namespace": agent_namespace,
    "own-credential": own_credential,
    "credential-volume": credential_volume,
}
BY_POLICY: dict[str, Callable[[Thief], Awaitable[None]]] = {
    "token-secret": token_secret,
    "empty-patch": empty_patch,
    "apply-secret": apply_secret,
    "node-name": node_name,
    "scheduler": scheduler,
    "host-network": host_network,
    "host-path": host_path,
    "account": account,
    "account-alias": account_alias,
    "priority-class": priority_class,
    "later-host-network": later_host_network,
    "marks-itself": marks_itself,
    "root-ca": root_ca,
    "delete-config": delete_config,
    "take-over": take_over,
    "external-ip": external_ip,
    "external-name": external_name,
    "owner-reference": owner_reference,
    "copy-finalizer": copy_finalizer,
    "host-port": host_port,
    "privileged": privileged,
    "all-taints": all_taints,
    "server-volumes": server_volumes,
    "other-parent": other_parent,
}


@pytest.mark.parametrize("attempt", ids_of("test_source_requests::test_roles_refuse_a_source"))
async def test_roles_refuse_a_source(thief: Thief, attempt: str) -> None:
    await BY_ROLE[attempt](thief)


@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
@pytest.mark.parametrize("attempt", ids_of("test_source_requests::test_policies_refuse_a_source"))
async def test_policies_refuse_a_source(thief: Thief, attempt: str) -> None:
    await BY_POLICY[attempt](thief)
