"""A federation of two clusters to attack, per engine; smaller than the others' and of this room's own, because what is
tried here may ruin it for whoever comes next.
"""

from collections.abc import AsyncIterator

import pytest

from lab.plan import Component, EngineName, LabPlan, parse_clusters
from lab.running import RunningLab, running
from tests.protocol.federation import Federation
from tests.secrecy import Secrecy

CLUSTERS = "home:linux/amd64,arm-lab:linux/arm64"


@pytest.fixture(scope="session")
async def secrecy(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secrecy]:
    """Home and one good target; hostile ones come and go with the tests. Whatever they did, no secret was told."""
    directory = tmp_path_factory.mktemp("strangers") / "lab"
    plan = LabPlan(directory, engine, parse_clusters(CLUSTERS), frozenset({Component.FEDERATION}))
    async with running(plan, print) as lab, Secrecy.watching(lab) as watching:
        yield watching
        assert await watching.told() == []


@pytest.fixture(scope="session")
async def federation_lab(secrecy: Secrecy) -> RunningLab:
    """The lab to attack."""
    return secrecy.lab


@pytest.fixture
async def federation(federation_lab: RunningLab, namespace: str) -> Federation:
    """A joined federation in a namespace of the test's own."""
    made = Federation(federation_lab, namespace)
    await made.join()
    return made
