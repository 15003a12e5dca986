"""A populated GitLab for each test: the repository is made once and copied."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.gitlab import projects
from lab.gitlab.model import Commit
from lab.gitlab.server import serving
from tests.conformance.gitlab.world import CI_TEXT, World, populated
from tests.lab.gitlab.conftest import CI_FILE, Site, settings_for

Made = tuple[Path, Commit]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # time stands still: two answers can be compared


@pytest.fixture(scope="session")
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bare repository with two branches, and the commit at its head."""
    place = tmp_path_factory.mktemp("gitlab")
    async with serving(settings_for(place)) as shell:
        project = projects.create_project(shell.state, "app")
        await shell.repositories.create(project.id, "main")
        site = Site(shell, place)
        await site.push("root/app", {CI_FILE: CI_TEXT})
        await site.push("root/app", {}, branch="topic")
        commit = await shell.repositories.commit(project.id, "main")
        assert commit is not None
        return shell.repositories.path(project.id), commit


@pytest.fixture
async def world(tmp_path: Path, repository: Made) -> AsyncIterator[World]:
    async with serving(settings_for(tmp_path), clock=lambda: NOON) as shell:
        made = populated(shell, repository[1])
        shutil.copytree(repository[0], shell.repositories.path(made["project"]))
        yield made
