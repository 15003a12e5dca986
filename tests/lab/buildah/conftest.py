"""A registry, and the command run as a CI script runs it: a process per command, storage and home per test."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.registry.running import ROOT, RunningRegistry, running_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@dataclass(frozen=True)
class Command:
    """`python -m lab.buildah` in a directory of its own."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "", is_refused: bool = False) -> str:
        """Run; returns stdout, or stderr where the command is expected to be refused."""
        done = subprocess.run(
            [sys.executable, "-m", "lab.buildah", *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (125 if is_refused else 0), done.stderr
        return done.stderr if is_refused else done.stdout

    def write(self, files: dict[str, str]) -> None:
        """Put files into the working directory."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


@pytest.fixture
def buildah(registry: RunningRegistry, tmp_path: Path) -> Command:
    folder = tmp_path / "work"
    folder.mkdir()
    environment = registry.environment(tmp_path / "home") | {
        "PYTHONPATH": str(ROOT),
        "ISTHMUS_BUILDAH_ROOT": str(tmp_path / "storage"),
    }
    return Command(folder, environment)


@pytest.fixture
def logged_in(buildah: Command, registry: RunningRegistry) -> Command:
    buildah("login", "-u", "maker", "--password-stdin", registry.host, stdin="secret\n")
    return buildah
