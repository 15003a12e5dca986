"""Let into one namespace of a target by a Source, with the credential that its agent issued, and by nothing else."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS, SOURCES, TARGETS
from federation.kube.api import Api, connect
from federation.kube.errors import AlreadyExists, Forbidden
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, NODES, PODS, SECRETS
from tests.protocol.federation import Federation, Manifest, condition, is_gone, phase

TARGET = "guest-of-arm-lab"


@dataclass(frozen=True)
class Guest:
    """The source as a guest of arm-lab, in the test's namespace only."""

    federation: Federation

    @property
    def arm_lab(self) -> Api:
        """The target's owner."""
        return self.federation.lab.api("arm-lab")

    @property
    def node(self) -> str:
        """The virtual node by which the guest sees it."""
        return names.virtual_node_name(self.federation.namespace, TARGET)

    async def issued(self) -> bytes:
        """What the owner hands over, once it is there."""
        source = await self.federation.until(
            self.arm_lab, SOURCES, "home", lambda s: s and "credential" in s.get("status", {})
        )
        where = source["status"]["credential"]
        secret = await self.arm_lab.get(SECRETS, where["secretName"], where["secretNamespace"])
        return base64.b64decode(secret["data"][where["key"]])

    async def hand_over(self, kubeconfig: bytes) -> None:
        """Put a kubeconfig into the Target's Secret, as its user does."""
        data = {"data": {"config": base64.b64encode(kubeconfig).decode()}}
        await self.federation.home.patch(SECRETS, TARGET, data, self.federation.namespace)

    async def until_ready(self, status: str, seconds: float = 30) -> Manifest:
        """Wait until the Target's Ready condition has a status."""
        return await self.federation.until(
            self.federation.home,
            TARGETS,
            TARGET,
            lambda t: t and condition(t, "Ready").get("status") == status,
            seconds=seconds,
        )


@pytest.fixture
async def guest(federation: Federation) -> AsyncIterator[Guest]:
    made, home, namespace = Guest(federation), federation.home, federation.namespace
    source: Manifest = {"apiVersion": names.API_VERSION, "kind": "Source", "metadata": {"name": "home"}}
    source |= {"spec": {"serviceAccountName": "home"}}
    await made.arm_lab.create(SOURCES, source, namespace)
    data = {"config": base64.b64encode(await made.issued()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": TARGET}, "data": data}
    await home.create(SECRETS, secret, namespace)
    body = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": TARGET}}
    await home.create(TARGETS, body | {"spec": {"kubeconfigSecret": {"name": TARGET}}}, namespace)
    await federation.until(
        home, NODES, made.node, lambda n: n and condition(n, "Ready").get("status") == "True", namespace=""
    )
    yield made
    await federation.clear()
    await home.delete(TARGETS, TARGET, namespace)
    # A Target whose credential was taken back is let go after two minutes only (rule M7): its rights are given again.
    with suppress(AlreadyExists):
        await made.arm_lab.create(SOURCES, source, namespace)
        patch = {"data": {"config": base64.b64encode(await made.issued()).decode()}}
        await home.patch(SECRETS, TARGET, patch, namespace)
    await federation.until(home, NODES, made.node, is_gone, namespace="", seconds=40)


async def test_a_guest_of_one_namespace_runs_pods_there_and_sees_no_other(guest: Guest) -> None:
    federation = guest.federation
    await guest.until_ready("True")
    name = await federation.submit("echo hello; exit 0", only=TARGET)
    done = await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded")
    assert done["spec"]["nodeName"] == guest.node
    async with await connect(json.loads(await guest.issued())) as api:
        assert (await api.list(POD_CHAPERONS, federation.namespace)).items
        with pytest.raises(Forbidden):
            await api.list(POD_CHAPERONS, "default")


async def test_a_revoked_credential_stops_the_guest_and_a_new_one_lets_it_go_on(guest: Guest) -> None:
    """The owner deletes the anchor: nothing that was issued is good, what runs goes on, the next one is handed over."""
    federation = guest.federation
    name = await federation.submit("trap 'exit 0' TERM; while :; do sleep 0.1; done", only=TARGET)
    running = await federation.until_pod(name, lambda p: p and phase(p) == "Running")
    assert running["spec"]["nodeName"] == guest.node
    old = await guest.issued()
    await guest.arm_lab.delete(SECRETS, names.source_names(federation.namespace, "home")[2], federation.namespace)
    refused = await guest.until_ready("False")
    assert "401" in condition(refused, "Ready")["message"]
    await federation.until(
        guest.arm_lab,
        SECRETS,
        names.source_credential_name(federation.namespace, "home"),
        lambda s: s and s.get("data") and base64.b64decode(s["data"]["config"]) != old,
        namespace="isthmus",
    )
    await guest.hand_over(await guest.issued())
    await guest.until_ready("True")
    still = await federation.home.get(PODS, name, federation.namespace)
    assert (phase(still), still["metadata"].get("deletionTimestamp")) == ("Running", None)
    await federation.home.delete(PODS, name, federation.namespace)
    await federation.until_pod(name, is_gone)
    assert not (await guest.arm_lab.list(POD_CHAPERONS, federation.namespace)).items


async def test_a_source_that_is_deleted_leaves_no_rights_behind(guest: Guest) -> None:
    federation = guest.federation
    viewer = names.source_names(federation.namespace, "home")[1]
    assert await guest.arm_lab.get(CLUSTER_ROLE_BINDINGS, viewer)
    await guest.arm_lab.delete(SOURCES, "home", federation.namespace)
    await federation.until(guest.arm_lab, CLUSTER_ROLE_BINDINGS, viewer, is_gone, namespace="")
    await guest.until_ready("False")


async def test_the_lab_hands_out_no_certificates_of_its_own(federation: Federation) -> None:
    """Its Targets use what the targets' agents issued: tokens of service accounts, and no client certificate."""
    for cluster in federation.clusters[1:]:
        secret = await federation.home.get(SECRETS, cluster, federation.namespace)
        kubeconfig = json.loads(base64.b64decode(secret["data"]["config"]))
        (user,) = kubeconfig["users"]
        assert user["name"].startswith("isthmus:source-")
        assert set(user["user"]) == {"token", "extensions"}
