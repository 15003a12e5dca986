"""One federation per engine; each test works in a namespace of its own with its own Targets."""

from collections.abc import AsyncIterator

import pytest

from federation.kinds import TARGETS
from lab.running import RunningLab
from tests.protocol.federation import Federation
from tests.protocol.watcher import Watcher


@pytest.fixture(scope="session")
async def watcher(federation_lab: RunningLab) -> AsyncIterator[Watcher]:
    """Watches every cluster's chaperons from before the first test, through a client of its own."""
    async with Watcher.watching(federation_lab.apis) as watching:
        yield watching


@pytest.fixture
async def federation(federation_lab: RunningLab, namespace: str, watcher: Watcher) -> AsyncIterator[Federation]:
    """A joined federation; afterwards, whatever the test did, the independent watcher must have seen no breach."""
    made = Federation(federation_lab, namespace)
    await made.join()
    yield made
    for cluster in made.clusters:
        await made.home.delete(TARGETS, cluster, namespace)
    assert watcher.breaches == []
