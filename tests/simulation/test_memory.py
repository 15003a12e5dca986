"""federation.kube on the embedded API server in memory: the ground that simulations stand on."""

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from federation.kube.api import Api
from federation.kube.errors import Conflict, NotFound, Unreachable
from federation.kube.resources import CONFIG_MAPS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.simulation.memory import MemoryTransport


def made() -> tuple[ApiServer, MemoryTransport]:
    """Return a server and an administrator's way to it."""
    server = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC), random=Random(7))
    return server, MemoryTransport(server, User("admin", ("system:masters",)))


def config_map(name: str) -> dict[str, Any]:
    """Return a small object."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


async def until(look: Any) -> None:
    """Let the other tasks run until `look()` is true."""
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.01)


async def test_requests_and_errors() -> None:
    _, transport = made()
    async with Api(transport) as api:
        written = await api.create(CONFIG_MAPS, config_map("a"), "default")
        await api.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}}, "default")
        with pytest.raises(Conflict):
            await api.replace(CONFIG_MAPS, written)
        await api.delete(CONFIG_MAPS, "a", "default")
        with pytest.raises(NotFound):
            await api.get(CONFIG_MAPS, "a", "default")


async def test_a_store_follows_through_lost_networks_and_lost_history() -> None:
    server, transport = made()
    async with Api(transport) as api:
        store: Store[str] = Store(lambda manifest: str(manifest["metadata"]["name"]))
        following = asyncio.create_task(follow(api, CONFIG_MAPS, store, namespace="default"))
        await store.synced.wait()
        await api.create(CONFIG_MAPS, config_map("a"), "default")
        await until(lambda: store.get("default", "a"))
        transport.cut()
        with pytest.raises(Unreachable):
            await api.get(CONFIG_MAPS, "a", "default")
        transport.join()
        await api.delete(CONFIG_MAPS, "a", "default")
        await api.create(CONFIG_MAPS, config_map("b"), "default")
        server.compact()
        await until(lambda: store.get("default", "b") and not store.get("default", "a"))
        following.cancel()


def same_names(count: int) -> list[str]:
    """Return the names that a fresh server generates."""
    server, transport = made()
    del server

    async def names() -> list[str]:
        async with Api(transport) as api:
            manifest = config_map("") | {"metadata": {"generateName": "a-", "namespace": "default"}}
            return [(await api.create(CONFIG_MAPS, manifest, "default"))["metadata"]["name"] for _ in range(count)]

    return asyncio.run(names())


async def test_a_seed_decides_every_name() -> None:
    first, second = await asyncio.gather(asyncio.to_thread(same_names, 3), asyncio.to_thread(same_names, 3))
    assert first == second
