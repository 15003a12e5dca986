"""One federation per engine; each test works in a namespace of its own with its own Targets."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from federation.audit.auditing import audit
from federation.audit.looking import Scope
from federation.decisions.audit import is_sound
from federation.kinds import TARGETS
from federation.kube.errors import NotFound
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
    """A joined federation; afterwards, whatever the test did, no breach was seen and an audit finds nothing wrong."""
    made = Federation(federation_lab, namespace)
    await made.join()
    yield made
    await _audit(made)
    for cluster in made.clusters:
        with suppress(NotFound):
            await made.home.delete(TARGETS, cluster, namespace)
    assert watcher.breaches == []


async def _audit(federation: Federation) -> None:
    """Audit the test's namespace, as soon as what the test left in motion has settled."""
    home, *targets = federation.clusters
    scope = Scope(federation.namespace, home, {name: federation.lab.kubeconfig(name) for name in targets})
    verdict = await audit(federation.home, scope, settle_seconds=20, report=lambda _: None)
    assert is_sound(verdict.findings), verdict.findings
    # A Target that a test made beside its own may be of no use by intention, or be read with little right.
    assert [unread for unread in verdict.observed.unread if unread.cluster in federation.clusters] == []
