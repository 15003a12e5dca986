"""A kubeconfig for clients that read one, and a namespace to work in."""

from pathlib import Path

import pytest

from tests.conformance.conftest import Server


@pytest.fixture(scope="session")
def kubeconfig(server: Server) -> Path:
    """The administrator's kubeconfig file, as any client would be given it."""
    return server.kubeconfig("a-client", "system:masters")


@pytest.fixture
def namespace(home: str) -> str:
    """The test's own namespace, by name."""
    return home.rpartition("/")[2]
