"""A federation of two clusters to attack; smaller than the others' and of this room's own, because what is tried here
may ruin it for whoever comes next. Its control planes are real: what strangers try on the lab's own proves little.
"""

from collections.abc import AsyncIterator

import pytest

from lab.plan import Component, EngineName, LabPlan, parse_clusters
from lab.running import RunningLab, running
from tests.protocol.federation import Federation
from tests.secrecy import Secrecy
from tests.strangers.siege import new_namespace

CLUSTERS = "home:linux/amd64,arm-lab:linux/arm64"
LOST_SECONDS = "3"


@pytest.fixture(scope="session", params=[pytest.param("kube", marks=pytest.mark.kube)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Real control planes only."""
    return EngineName(request.param)


@pytest.fixture(scope="session")
async def secrecy(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secrecy]:
    """Home and one good target; hostile ones come and go with the tests. Whatever they did, no secret was told."""
    directory = tmp_path_factory.mktemp("strangers") / "lab"
    plan = LabPlan(directory, engine, parse_clusters(CLUSTERS), frozenset({Component.FEDERATION}))
    async with running(plan, print) as lab, Secrecy.watching(lab) as watching:
        # Hostile targets go with their tests: kept for minutes, dozens would be dialled at once.
        first = Federation(lab, await new_namespace(lab))
        first.kill("agent", lab.source, ISTHMUS_AGENT_TARGET_LOST_SECONDS=LOST_SECONDS)()
        await first.until_admitting()
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
