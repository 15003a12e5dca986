"""What a connection believes of a target (rule S4), against control planes that are it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import yaml

from federation.clock import wall_clock
from federation.controllers.connection import PULSE_SECONDS, Connection
from federation.kinds import POD_CHAPERONS
from federation.kube.api import connect
from federation.kube.errors import AlreadyExists, Conflict, NotFound
from federation.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from federation.model.target import Target, parse_target
from federation.names import TARGET_FINALIZER
from tests.lab.planes import eventually
from tests.source_plane import DEPLOY, Source


def target(cluster_id: str) -> Target:
    metadata = {"namespace": "default", "name": "far", "uid": "t", "finalizers": [TARGET_FINALIZER]}
    return parse_target({"metadata": metadata, "spec": {"self": True}, "status": {"clusterID": cluster_id}})


@asynccontextmanager
async def connected(source: Source, cluster_id: str, pulse_seconds: float = PULSE_SECONDS) -> AsyncIterator[Connection]:
    """A connection of the agent's to its own cluster, which is on record under some id."""
    async with await connect(source.kubeconfig("isthmus-agent")) as api, asyncio.TaskGroup() as group:
        connection = Connection(target(cluster_id), api, "home", wall_clock, pulse_seconds)
        running = group.create_task(connection.run())
        yield connection
        running.cancel()


async def until(connection: Connection, holds: Callable[[Connection], bool], what: str) -> None:
    async def look() -> bool:
        return holds(connection)

    await eventually(look, f"{what}; its trouble: {connection.trouble!r}", 30)


async def own_id(source: Source) -> str:
    return str((await source.admin.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


async def test_S4_the_id_is_read_live_and_compared(source: Source) -> None:
    cluster_id = await own_id(source)
    async with connected(source, cluster_id) as connection:
        await until(connection, lambda c: not c.trouble, "it is connected")
        assert connection.cluster_id == cluster_id
        await connection.confirm()
    async with connected(source, "another") as connection:
        await until(connection, lambda c: c.has_answered.is_set(), "it has answered")
        assert connection.trouble.startswith("unreachable")
        assert "another cluster answers" in connection.pulse.message
        assert not connection.is_unread, "nobody waits for it"
        with pytest.raises(Conflict):
            await connection.confirm()


async def test_F4_a_target_that_is_read_again_holds_up_nobody_elses_pods(source: Source) -> None:
    async with connected(source, await own_id(source), pulse_seconds=0.05) as connection:
        assert connection.is_unread, "nothing was read yet (S5)"
        await until(connection, lambda c: not c.trouble, "it is connected")
        await asyncio.sleep(0.5)  # ten looks, of which one has seen all that was read
        connection.chaperons.distrust()  # as after an absence
        assert connection.trouble
        assert not connection.is_unread


async def test_S4_a_cluster_that_is_replaced_between_two_looks_is_noticed_before_anything_ends(source: Source) -> None:
    async with connected(source, await own_id(source)) as connection:
        await until(connection, lambda c: not c.trouble, "it is connected")
        connection.target = target("replaced")
        with pytest.raises(Conflict):
            await connection.confirm()
        assert connection.trouble.startswith("unreachable"), "and from then on for everybody"
        assert not connection.chaperons.synced.is_set(), "what was read is forgotten"


async def test_S4_a_missing_kind_is_no_answer(source: Source) -> None:
    """CustomResourceDefinitions are deleted with a chart; chaperons that are not found then are not gone by name."""
    async with connected(source, await own_id(source)) as connection:
        await until(connection, lambda c: not c.trouble, "it is connected")
        await source.admin.delete(CUSTOM_RESOURCE_DEFINITIONS, "podchaperons.multicluster.admiralty.io")
        try:
            await until(connection, lambda c: "cannot be followed" in c.trouble, "it is troubled")
            assert connection.is_kind_missing
            with pytest.raises(NotFound) as missing:
                await connection.api.get(POD_CHAPERONS, "some", "default")
            assert not missing.value.is_about("some")
        finally:
            await eventually(lambda: _define(source), "the kind is back", 30)
        await until(connection, lambda c: not c.trouble, "it is connected again")


async def _define(source: Source) -> bool:
    manifest: dict[str, Any] = yaml.safe_load((DEPLOY / "crds" / "podchaperons.yaml").read_text())
    with suppress(AlreadyExists):  # also while the old one is on its way out
        await source.admin.create(CUSTOM_RESOURCE_DEFINITIONS, manifest)
    found = await source.admin.get(CUSTOM_RESOURCE_DEFINITIONS, manifest["metadata"]["name"])
    conditions = {c["type"]: c["status"] for c in (found.get("status") or {}).get("conditions") or []}
    return conditions.get("Established") == "True" and "deletionTimestamp" not in found["metadata"]
