"""alice sends requests that nobody should grant: refused by schemas and roles, or by the policies of home."""

from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest

from federation import names
from federation.kinds import CLUSTER_TARGETS, TARGETS
from federation.kube.resources import PODS
from lab.running import RunningLab
from tests.protocol.federation import Federation, Manifest, pod
from tests.strangers.alice import Alice, alice_of
from tests.strangers.attempts import ids_of
from tests.strangers.siege import new_namespace
from tests.strangers.thief import refusal


@pytest.fixture(scope="module")
async def alice(federation_lab: RunningLab) -> AsyncIterator[Alice]:
    """One alice for all requests."""
    federation = Federation(federation_lab, await new_namespace(federation_lab))
    await federation.join()
    async with alice_of(federation) as found:
        yield found


def target(name: str, secret: str, **spec: object) -> Manifest:
    body = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": name}}
    return body | {"spec": {"kubeconfigSecret": {"name": secret}} | spec}


async def target_path(a: Alice) -> None:
    for name in ("../../kube-system/secrets/x", "..%2f..%2fx", "x/../y", "-", "A"):
        await refusal(a.api.create(TARGETS, target("paths", name), a.namespace))


async def cluster_target(a: Alice) -> None:
    body = {"apiVersion": names.API_VERSION, "kind": "ClusterTarget", "metadata": {"name": "hers"}}
    await refusal(a.api.create(CLUSTER_TARGETS, body | {"spec": {"self": True}}))


async def weight(a: Alice) -> None:
    for value in (1_000_000, -1, 0, "1"):
        await refusal(a.api.create(TARGETS, target("heavy", "any", weight=value), a.namespace))


async def accept_loss(a: Alice) -> None:
    patch = {"metadata": {"annotations": {names.ACCEPT_LOSS: "2030-01-01T00:00:00Z"}}}
    await refusal(a.api.patch(CLUSTER_TARGETS, "any", patch))
    status = {"status": {"clusterID": "mine"}}
    await refusal(a.api.patch(CLUSTER_TARGETS, "any", status, subresource="status"))
    await refusal(a.api.patch(TARGETS, "arm-lab", status, a.namespace, subresource="status"))


async def later_manifest(a: Alice) -> None:
    made = await a.api.create(PODS, a.elected(), a.namespace)
    name = made["metadata"]["name"]
    submitted = orjson.loads(made["metadata"]["annotations"][names.SOURCE_POD_MANIFEST])
    submitted["spec"]["hostNetwork"] = True
    forged = {names.SOURCE_POD_MANIFEST: orjson.dumps(submitted).decode()}
    await refusal(a.api.patch(PODS, name, {"metadata": {"annotations": forged}}, a.namespace))
    await refusal(
        a.api.patch(PODS, name, {"metadata": {"annotations": {names.SOURCE_POD_MANIFEST: None}}}, a.namespace)
    )
    await refusal(a.api.patch(PODS, name, {"metadata": {"annotations": {names.SPREAD: "a=b"}}}, a.namespace))
    await a.api.delete(PODS, name, a.namespace)


async def later_elect(a: Alice) -> None:
    made = await a.api.create(PODS, pod("sleep 600"), a.namespace)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    forged = {"metadata": {"uid": uid, "annotations": {}}, "spec": made["spec"] | {"hostNetwork": True}}
    marks = {names.ELECT: "", names.SOURCE_POD_MANIFEST: orjson.dumps(forged).decode()}
    patch = {"metadata": {"annotations": marks, "labels": {names.HAS_FINALIZER: "true"}}}
    await refusal(a.api.patch(PODS, name, patch, a.namespace))
    await a.api.delete(PODS, name, a.namespace)


async def later_finalizer(a: Alice) -> None:
    made = await a.api.create(PODS, a.elected(), a.namespace)
    name = made["metadata"]["name"]
    assert made["metadata"]["finalizers"]
    await refusal(a.api.patch(PODS, name, {"metadata": {"finalizers": None}}, a.namespace))
    await a.api.delete(PODS, name, a.namespace)


BY_ROLE: dict[str, Callable[[Alice], Awaitable[None]]] = {
    "target-path": target_path,
    "cluster-target": cluster_target,
    "weight": weight,
    "accept-loss": accept_loss,
}
BY_POLICY: dict[str, Callable[[Alice], Awaitable[None]]] = {
    "later-manifest": later_manifest,
    "later-elect": later_elect,
    "later-finalizer": later_finalizer,
}


@pytest.mark.parametrize("attempt", ids_of("test_user_requests::test_roles_and_schemas_refuse_alice"))
async def test_roles_and_schemas_refuse_alice(alice: Alice, attempt: str) -> None:
    await BY_ROLE[attempt](alice)


@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
@pytest.mark.parametrize("attempt", ids_of("test_user_requests::test_policies_refuse_alice"))
async def test_policies_refuse_alice(alice: Alice, attempt: str) -> None:
    await BY_POLICY[attempt](alice)
