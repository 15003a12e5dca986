"""A ClusterSource among many namespaces: in memory, as the agent with its own rights and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
import yaml

from federation import names
from federation.as_target import KeptSources
from federation.clock import wall_clock
from federation.kinds import CLUSTER_SOURCES
from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, Forbidden
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CONFIG_MAPS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from federation.settings import AgentSettings
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.lab.planes import eventually
from tests.simulation.clusters import DEPLOY, admin_of, cluster
from tests.simulation.memory import MemoryTransport
from tests.source_plane import KINDS

Manifest = dict[str, Any]

MANY = 230
BINDING, VIEWER, ANCHOR = names.source_names("", "home")
HOME = {"apiVersion": names.API_VERSION, "kind": "ClusterSource", "metadata": {"name": "home"}}
ACCOUNT = User("system:serviceaccount:isthmus:home", ("system:serviceaccounts", "system:authenticated"))


def named(kind: str, name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


async def target() -> ApiServer:
    """A cluster with our roles, what its controllers make, and many namespaces."""
    server = await cluster(wall_clock, Random(1))
    admin = admin_of(server)
    for file in sorted((DEPLOY / "rbac").glob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text()):
            if manifest["metadata"].get("namespace", "isthmus") == "isthmus" and manifest["kind"] in KINDS:
                with suppress(AlreadyExists):
                    await admin.create(KINDS[manifest["kind"]], manifest)
    with suppress(AlreadyExists):
        await admin.create(NAMESPACES, named("Namespace", "kube-system"))
    await admin.create(CONFIG_MAPS, named("ConfigMap", "kube-root-ca.crt") | {"data": {"ca.crt": "PEM"}}, "kube-system")
    for number in range(MANY):
        await admin.create(NAMESPACES, named("Namespace", f"ns-{number}"))
    return server


@asynccontextmanager
async def agent(server: ApiServer) -> AsyncIterator[None]:
    api = Api(MemoryTransport(server, User("isthmus-agent", ("system:authenticated",))))
    settings = AgentSettings(api_server_url="https://arm.example:6443", allow_sources_without_policies=True)
    kept = KeptSources(api=api, settings=settings, cluster_id="id", clock=wall_clock)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            kept.follow(group)
            group.create_task(kept.lead())

    task = asyncio.create_task(work())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def bound(admin: Api) -> set[str]:
    """The namespaces in which the source is bound."""
    found = (await admin.list(ROLE_BINDINGS)).items
    return {one["metadata"]["namespace"] for one in found if one["metadata"]["name"] == BINDING}


async def status(admin: Api) -> Manifest:
    return dict((await admin.get(CLUSTER_SOURCES, "home")).get("status") or {})


async def ready(admin: Api) -> str:
    conditions = (await status(admin)).get("conditions") or []
    return next((str(one["message"]) for one in conditions if one["type"] == "Ready" and one["status"] == "True"), "")


async def test_t3_a_cluster_source_is_bound_in_every_namespace_but_the_clusters_own() -> None:
    server = await target()
    admin = admin_of(server)
    # As it was made before: cluster-wide, with all rights.
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": names.SOURCE_ROLE}
    made = await admin.create(
        CLUSTER_SOURCES, HOME | {"spec": {"serviceAccount": {"name": "home", "namespace": "isthmus"}}}
    )
    owner = {"apiVersion": names.API_VERSION, "kind": "ClusterSource", "name": "home", "uid": made["metadata"]["uid"]}
    old = {"apiVersion": CLUSTER_ROLE_BINDINGS.api_version, "kind": "ClusterRoleBinding", "roleRef": role_ref}
    marks = {"labels": {names.SOURCE: "home"}, "annotations": {names.SOURCE_OF: "/home"}}
    await admin.create(CLUSTER_ROLE_BINDINGS, old | {"metadata": {"name": BINDING, **marks}})
    held = named("Secret", ANCHOR) | {"data": {"config": "e30="}}
    held["metadata"] |= marks | {"ownerReferences": [owner | {"controller": True}]}
    before = await admin.create(SECRETS, held, "isthmus")

    async with agent(server):
        message = await eventually(lambda: ready(admin), "let in")
        expected = {f"ns-{number}" for number in range(MANY)} | {"ci"}
        assert expected <= await bound(admin)
        assert not [name for name in await bound(admin) if name.startswith("kube-") or name == "isthmus"]
        assert (
            f"bound in {len(await bound(admin))} namespaces; in none that begins with kube-, nor in isthmus" in message
        )
        everywhere = await admin.get(CLUSTER_ROLE_BINDINGS, BINDING)
        assert everywhere["roleRef"]["name"] == names.CLUSTER_SOURCE_ROLE
        anchor = await admin.get(SECRETS, ANCHOR, "isthmus")
        assert not anchor.get("data"), "the credential has moved"
        assert anchor["metadata"]["uid"] == before["metadata"]["uid"], "and what was issued before stays good"

        await admin.create(NAMESPACES, named("Namespace", "later"))
        await admin.delete(ROLE_BINDINGS, BINDING, "ns-7")

        async def has_both() -> bool:
            return {"later", "ns-7"} <= await bound(admin)

        await eventually(has_both, "bound in one that came later, and again where it was taken away")
        credential = (await status(admin))["credential"]
        holder = Api(MemoryTransport(server, ACCOUNT))
        assert (await holder.get(SECRETS, credential["secretName"], "isthmus"))["data"]
        for another in (ANCHOR, "isthmus-source-ci-cd"):
            with pytest.raises(Forbidden):
                await holder.get(SECRETS, another, "isthmus")
        with pytest.raises(Forbidden):
            await holder.get(SECRETS, "any", "ns-1")

        await admin.delete(CLUSTER_SOURCES, "home")

        async def nothing_is_left() -> bool:
            kinds = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, SECRETS)
            lists = [(await admin.list(kind, label_selector=names.SOURCE)).items for kind in kinds]
            return not any(lists)

        await eventually(nothing_is_left, "all taken back")
