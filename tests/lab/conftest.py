"""Fixtures for the scenario tests of scheduler and controllers; see `planes`."""

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from lab.engines.engine import missing_parts
from lab.plan import EngineName
from tests.lab.planes import Plane, running_plane

KINDS = ["embedded", pytest.param("kube", marks=pytest.mark.kube), pytest.param("ours-on-kube", marks=pytest.mark.kube)]


@pytest.fixture(scope="session", params=KINDS)
async def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    """A control plane without nodes, of each kind in turn."""
    if request.param == "embedded" and (reason := missing_parts(EngineName.EMBEDDED)):
        pytest.skip(reason)
    async with running_plane(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
async def space(plane: Plane) -> AsyncIterator[str]:
    """A namespace of the test's own; every node is removed afterwards."""
    name = await plane.add_namespace(f"test-{secrets.token_hex(4)}")
    yield name
    for pod in (await plane.api.list(PODS, name)).items:
        with suppress(NotFound):
            await plane.api.delete(PODS, pod["metadata"]["name"], name, grace_period_seconds=0)
    for node in list(plane.nodes):
        await plane.remove_node(node)
