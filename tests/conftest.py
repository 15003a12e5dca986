"""Fixtures: labs to test against, one per engine and kind, started when the first test asks for it.

    async def test_something(bare_lab: RunningLab, namespace: str) -> None:
        await bare_lab.api().create(PODS, ..., namespace)      # source cluster; bare_lab.api("arm-lab") is another

A test that uses one of them runs once per engine. `bare_lab` is control planes and nodes, `federation_lab` has agents
too. Tests share a lab, so each works in a `namespace` of its own, which exists in all clusters; in a
`federated_namespace` there are Targets as well.

An engine that cannot run here is left out with one line at the end; with ISTHMUS_TEST_REQUIRE_KUBE=1, as
`.ci/run` sets it, that is an error.
"""

import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from xdist.remote import Producer

from federation.kinds import POD_CHAPERONS, SOURCES, TARGETS
from federation.kube.api import Api
from federation.kube.errors import NotFound
from federation.kube.resources import (
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
)
from lab.engines.engine import kwok_program, missing_parts
from lab.parts.federation import add_targets
from lab.plan import DEFAULT_CLUSTERS, Component, EngineName, LabPlan, parse_clusters
from lab.running import RunningLab, running
from lab.waiting import until_object
from tests import warden
from tests.secrecy import Secrecy
from tests.workers import ENGINE_IN_NAME, ByLab

WORKLOADS = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, JOBS)
_WARDEN = pytest.StashKey[warden.Warden]()


@pytest.fixture(scope="session", params=["embedded", pytest.param("kube", marks=pytest.mark.kube)])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """The engine; tests that use it, through a lab or directly, run once per engine."""
    return EngineName(request.param)


@pytest.fixture(scope="session")
async def bare_lab(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLab]:
    """Three clusters with nodes, nothing of Isthmus in them."""
    plan = LabPlan(tmp_path_factory.mktemp("bare") / "lab", engine, parse_clusters(DEFAULT_CLUSTERS))
    async with running(plan, print) as lab:
        yield lab


@pytest.fixture(scope="session")
async def federation_lab(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLab]:
    """Three clusters that are a federation: agents, candidate schedulers, extenders; without GitLab."""
    directory = tmp_path_factory.mktemp("federation") / "lab"
    plan = LabPlan(directory, engine, parse_clusters(DEFAULT_CLUSTERS), frozenset({Component.FEDERATION}))
    async with running(plan, print) as lab, Secrecy.watching(lab) as secrecy:
        yield lab
        assert await secrecy.told() == []


@pytest.fixture
def lab_in_use(request: pytest.FixtureRequest) -> RunningLab:
    """The lab that the test names among its arguments."""
    kind = "federation_lab" if "federation_lab" in request.fixturenames else "bare_lab"
    found: RunningLab = request.getfixturevalue(kind)
    return found


@pytest.fixture
async def namespace(lab_in_use: RunningLab) -> AsyncIterator[str]:
    """A namespace of the test's own in every cluster, labelled for federation, ready for pods."""
    name = f"test-{secrets.token_hex(4)}"
    manifest = {"metadata": {"name": name, "labels": {"multicluster-scheduler": "enabled"}}}
    for api in lab_in_use.apis.values():
        await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", **manifest})
    for cluster, api in lab_in_use.apis.items():
        await until_object(
            api,
            SERVICE_ACCOUNTS,
            lambda account: bool(account["metadata"]["name"] == "default"),
            namespace=name,
            what=f"{cluster}: service account {name}/default",
            seconds=30,
        )
    yield name
    for api in lab_in_use.apis.values():
        await empty(api, name)


async def empty(api: Api, namespace: str) -> None:
    """Have all that works in a namespace ended, without waiting for it.

    The namespace stays until the lab goes: deleting it takes an API server hundreds of requests, a third of all that a
    suite of small tests asks for.
    """
    for resource in (TARGETS, SOURCES, *WORKLOADS, POD_CHAPERONS, PODS):
        with suppress(NotFound):  # not every cluster knows our kinds
            await api.request("DELETE", resource.path(namespace), [("propagationPolicy", "Background")])


@pytest.fixture
async def federated_namespace(federation_lab: RunningLab, namespace: str) -> str:
    """The test's own namespace with a Target for each cluster; their virtual nodes are Ready."""
    await add_targets(federation_lab.api(), federation_lab.directory, list(federation_lab.apis), namespace)
    return namespace


def pytest_configure(config: pytest.Config) -> None:
    """Have all that this process starts ended with it; its own end closes what the warden listens to."""
    config.stash[_WARDEN] = warden.watch()
    os.environ.setdefault("GOGC", "400")  # a control plane that lives for minutes: memory is cheaper than collecting it


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the warden look once more, and wait for it."""
    config.stash[_WARDEN].communicate()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests of an engine that cannot run here."""
    engines = {item.nodeid: name for item in items if (name := _engine_of(item))}
    missing = {name: missing_parts(EngineName(name)) for name in set(engines.values())}
    if missing.get("kube") and os.environ.get("ISTHMUS_TEST_REQUIRE_KUBE") == "1":
        raise pytest.UsageError(f"ISTHMUS_TEST_REQUIRE_KUBE is set, but {missing['kube']}")
    items[:] = [item for item in items if not missing.get(engines.get(item.nodeid, ""))]
    if not kwok_program():
        if os.environ.get("ISTHMUS_TEST_REQUIRE_KUBE") == "1":
            raise pytest.UsageError("ISTHMUS_TEST_REQUIRE_KUBE is set, but there is no kwok (run: make kube)")
        items[:] = [item for item in items if not item.get_closest_marker("kwok")]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByLab | None:
    """Keep together what shares a lab, where files are kept together."""
    return ByLab(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say per engine how many tests ran and how many passed, or why it was left out.

    By the reports alone: with several workers the process that prints this has collected nothing itself.
    """
    ran: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            if found := ENGINE_IN_NAME.search(report.nodeid):
                ran[found[1]] += 1
                passed[found[1]] += outcome == "passed"
    if not kwok_program():
        terminalreporter.write_line("fake nodes: left out: there is no kwok (run: make kube)")
    for engine in EngineName:
        if missing := missing_parts(engine):
            terminalreporter.write_line(f"engine {engine.value}: left out: {missing}")
        elif ran[engine.value]:
            terminalreporter.write_line(
                f"engine {engine.value}: ran {ran[engine.value]}, passed {passed[engine.value]}"
            )


def _engine_of(item: pytest.Item) -> str:
    if item.get_closest_marker("kube"):
        return "kube"
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("engine", "")) if callspec else ""
