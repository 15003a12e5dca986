"""What is ours on a pod at home is admission's and the agent's (rule T8): by real requests of a user with `edit`."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from federation import names
from federation.kube.api import Api, connect
from federation.kube.errors import Forbidden, StatusError
from federation.kube.resources import (
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
)
from tests.lab.planes import eventually
from tests.source_plane import Source

pytestmark = pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Home:
    """A namespace of a source in which alice may edit, and no webhook is called."""

    namespace: str
    admin: Api
    alice: Api
    agent: Api

    async def create(self, api: Api, **metadata: Any) -> Manifest:
        """Create a pod."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "pod-", **metadata},
            "spec": {"containers": [{"name": "main", "image": "busybox"}], "automountServiceAccountToken": False},
        }
        return await api.create(PODS, manifest, self.namespace)

    async def patch(self, api: Api, pod: Manifest, subresource: str = "", **metadata: Any) -> Manifest:
        """Patch a pod's metadata."""
        name = pod["metadata"]["name"]
        return await api.patch(PODS, name, {"metadata": metadata}, self.namespace, subresource=subresource)


async def bind(admin: Api, role: str, user: str, namespace: str) -> None:
    """Give a user a ClusterRole in a namespace."""
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": ROLE_BINDINGS.kind,
        "metadata": {"generateName": f"{user}-"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    await admin.create(ROLE_BINDINGS, binding, namespace)


@pytest.fixture(scope="module")
async def home(source: Source) -> AsyncIterator[Home]:
    """A source with the policies in force."""
    namespace = await source.plane.add_namespace(f"home-{secrets.token_hex(4)}")
    await bind(source.admin, "edit", "alice", namespace)
    alice, agent = await connect(source.kubeconfig("alice")), await connect(source.kubeconfig("isthmus-agent"))
    found = Home(namespace, source.admin, alice, agent)

    async def refused() -> bool:
        try:
            await found.create(found.alice, annotations={names.SPREAD: "x"})
        except StatusError as error:
            return "ValidatingAdmissionPolicy" in error.message
        return False

    try:
        await eventually(refused, "the policy is in force")
        yield found
    finally:
        await source.admin.delete(NAMESPACES, namespace)
        await alice.close()
        await agent.close()


INTERNAL = (
    {"annotations": {names.ELECT: "", names.SOURCE_POD_MANIFEST: "{}"}},
    {"annotations": {names.SPREAD: "kubernetes.io/role=type"}},
    {"annotations": {names.UNGATED_AT: "2026-01-01T00:00:00Z"}},
    {"annotations": {names.RESERVATIONS: "a=b"}},
    {"annotations": {names.SUBMITTED_BY: "{}"}},
    {"labels": {names.HAS_FINALIZER: "true"}},
    {"finalizers": [names.PREFIX + "ci-arm"]},
)


@pytest.mark.parametrize("metadata", INTERNAL)
async def test_T8_no_user_makes_a_proxy_without_admission(home: Home, metadata: Manifest) -> None:
    with pytest.raises(Forbidden, match="the agent alone"):
        await home.create(home.alice, **metadata)
    pod = await home.create(home.alice)
    with pytest.raises(Forbidden, match="the agent alone"):
        await home.patch(home.alice, pod, **metadata)
    patched = await home.patch(home.agent, pod, **metadata)
    assert metadata.items() <= patched["metadata"].items()


async def test_T8_what_users_write_they_write_on_creation_only(home: Home) -> None:
    wanted = {names.ELECT: "", names.ASK: "all", names.NO_RESERVATION: "", "example.com/mine": "1"}
    pod = await home.create(home.alice, annotations=wanted)
    for change in ({names.ELECT: None}, {names.ASK: "one"}, {names.NO_RESERVATION: None}):
        with pytest.raises(Forbidden, match="create another"):
            await home.patch(home.alice, pod, annotations=change)
    await home.patch(home.alice, pod, annotations={"example.com/mine": "2"}, labels={"app": "x"})
    await home.patch(home.admin, pod, annotations={names.ASK: "one"})


async def test_T8_a_proxys_marks_are_not_taken_off_by_users(home: Home) -> None:
    marks = {"annotations": {names.SOURCE_POD_MANIFEST: "{}"}, "finalizers": [names.PREFIX + "ci-arm"]}
    pod = await home.create(home.agent, **marks, labels={names.HAS_FINALIZER: "true"})
    changes: list[Manifest] = [
        {"annotations": {names.SOURCE_POD_MANIFEST: '{"spec": {"hostNetwork": true}}'}},
        {"annotations": {names.SOURCE_POD_MANIFEST: None}},
        {"finalizers": []},
        {"labels": {names.HAS_FINALIZER: None}},
    ]
    for change in changes:
        with pytest.raises(Forbidden, match="the agent alone"):
            await home.patch(home.alice, pod, **change)
    await home.patch(home.agent, pod, finalizers=[])
    await home.admin.delete(PODS, pod["metadata"]["name"], home.namespace, grace_period_seconds=0)


async def test_T8_neither_by_way_of_the_status(home: Home) -> None:
    await bind(home.admin, "system:node", "alice", home.namespace)
    pod = await home.create(home.alice)

    async def refused() -> bool:
        try:
            await home.patch(home.alice, pod, "status", annotations={names.ASKING: "all"})
        except Forbidden as error:
            return "the agent alone" in error.message
        return False

    await eventually(refused, "a status with marks of ours is refused")
    await home.patch(home.alice, pod, "status", annotations={"example.com/mine": "2"})
