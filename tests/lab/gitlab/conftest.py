"""A running GitLab of the lab, and small tools to use it as its real clients do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import gitlab
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.gitlab.server import serving
from lab.gitlab.settings import Settings
from lab.gitlab.shell import Shell

ROOT_TOKEN = "glpat-root-for-tests"
BRIDGE_TOKEN = "glpat-bridge-for-tests"
CI_FILE = ".gitlab-ci.yml"
T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    """The server under test and where this test may write."""

    shell: Shell
    directory: Path

    @property
    def url(self) -> str:
        return self.shell.state.site.url

    def client(self, token: str = ROOT_TOKEN) -> gitlab.Gitlab:
        return gitlab.Gitlab(self.url, private_token=token, timeout=10)

    async def call(self, function: Callable[[], T]) -> T:
        """Runs a synchronous client away from the server's loop."""
        return await asyncio.to_thread(function)

    async def push(
        self, project_path: str, files: dict[str, str], branch: str = "main", message: str = "A commit"
    ) -> None:
        """Commits the files in a work tree of the project's and pushes them."""
        tree = self.directory / "trees" / project_path
        if not (tree / ".git").exists():
            tree.mkdir(parents=True)
            url = self.url.replace("://", f"://root:{ROOT_TOKEN}@")
            await git(tree, "init", "--quiet", "--initial-branch=main")
            await git(tree, "remote", "add", "origin", f"{url}/{project_path}.git")
        await git(tree, "checkout", "--quiet", "-B", branch)
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        await git(tree, "add", "--all")
        await git(tree, "commit", "--quiet", "--allow-empty", "--message", message)
        await git(tree, "push", "--quiet", "--force", "origin", branch)


async def git(directory: Path, *arguments: str) -> str:
    """The real git, without the machine's configuration."""
    identity = {f"GIT_{who}_{what}": "Ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_TERMINAL_PROMPT": "0", **identity},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def run_single(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Starts `gitlab-runner run-single` of the lab as a real process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lab.runner",
        "run-single",
        *arguments,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **(environment or {})},
        stderr=asyncio.subprocess.PIPE,
    )


def settings_for(directory: Path) -> Settings:
    """A server that keeps its things below the directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    key_file = directory / "jwt.pem"
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    bridge = {"name": "bridge", "token": BRIDGE_TOKEN, "scopes": ["create_runner", "manage_runner", "read_api"]}
    return Settings.model_validate(
        {
            "data_dir": str(directory / "data"),
            "root_token": ROOT_TOKEN,
            "tokens": [bridge],
            "registry": "127.0.0.1:5555",
            "jwt_signing_key_file": str(key_file),
            "long_poll_seconds": 2,
        }
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(settings) as shell:
        yield Site(shell, tmp_path)
