"""One registry for all tests of this room; each test uses a repository of its own where it counts."""

from collections.abc import Iterator

import pytest

from tests.lab.registry.running import RunningRegistry, running_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running
