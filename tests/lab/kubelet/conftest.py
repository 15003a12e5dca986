"""One cluster with process kubelets per engine, shared by the tests of this room; each works in its own namespace."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from federation.kube.resources import NAMESPACES, SERVICE_ACCOUNTS
from lab.plan import EngineName
from lab.waiting import until_object
from tests.lab.kubelet.site import Cluster, cluster


@pytest.fixture(scope="session")
async def site(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster."""
    async with cluster(engine, tmp_path_factory.mktemp("kubelet")) as found:
        yield found


@pytest.fixture
async def place(site: Cluster) -> AsyncIterator[str]:
    """A namespace of the test's own, ready for pods."""
    async with namespace_in(site) as name:
        yield name


@asynccontextmanager
async def namespace_in(site: Cluster) -> AsyncIterator[str]:
    """A namespace for the length of the block."""
    name = f"test-{secrets.token_hex(4)}"
    await site.api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await until_object(
        site.api,
        SERVICE_ACCOUNTS,
        lambda account: bool(account["metadata"]["name"] == "default"),
        namespace=name,
        what=f"service account {name}/default",
        seconds=30,
    )
    yield name
    await site.api.delete(NAMESPACES, name)
