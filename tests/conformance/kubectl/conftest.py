"""kubectl against an API server alone, and against a cluster with controllers and nodes."""

from pathlib import Path

import pytest

from lab.engines.engine import kube_directory
from lab.running import RunningLab
from tests.conformance.conftest import Server
from tests.conformance.kubectl.command import Kubectl

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is here where there is no kubectl."""
    if not (kube_directory() / "kubectl").is_file():
        for item in items:
            if HERE in Path(item.fspath).parents:
                item.add_marker(pytest.mark.skip(reason="no kubectl: run `make kube`"))


@pytest.fixture
def kubectl(server: Server, home: str) -> Kubectl:
    """kubectl as administrator of an API server without controllers, in the test's own namespace."""
    return Kubectl(server.site.admin_kubeconfig, home.rsplit("/", 1)[1], server.site.directory / "kubectl-cache")


@pytest.fixture
def in_lab(bare_lab: RunningLab, namespace: str) -> Kubectl:
    """kubectl as administrator of a cluster with controllers, scheduler and nodes."""
    return Kubectl(bare_lab.kubeconfig(), namespace, bare_lab.directory.cluster("home") / "kubectl-cache")
