"""A new project in GitLab and the example in it, by a real `git push` over HTTP."""

import asyncio
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from lab.demo.gitlab_client import GitLabClient, Json

PROJECT = "multi-arch-image"
PUSH_SECONDS_MAX = 60


class PushFailed(Exception):
    """git said no; the message has its words."""


async def push_example(client: GitLabClient, token: str, example: Path, checkout: Path) -> Json:
    """Create the project and push a copy of the example; the copy stays in `checkout`. Returns the project."""
    project = await client.create_project(PROJECT)
    shutil.copytree(example, checkout)
    # In the configuration and not on a command line, so that the token is in no process list.
    remote = urlsplit(project["http_url_to_repo"])
    url = remote._replace(netloc=f"root:{token}@{remote.netloc}").geturl()
    await _git(checkout, "init", "--quiet", "--initial-branch=main")
    with (checkout / ".git" / "config").open("a") as config:
        config.write(f'[user]\n\tname = Isthmus demo\n\temail = demo@localhost\n[remote "origin"]\n\turl = {url}\n')
    await _git(checkout, "add", "--all")
    await _git(checkout, "commit", "--quiet", "--message=Build for three platforms")
    await _git(checkout, "push", "--quiet", "--set-upstream", "origin", "main")
    return project


async def _git(directory: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env=_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(PUSH_SECONDS_MAX):
            out, _ = await process.communicate()
    except BaseException:
        await end(process)
        raise
    if process.returncode != 0:
        raise PushFailed(f"git {arguments[0]} failed:\n{out.decode(errors='replace').strip()}")


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a child if it still runs, and reap it."""
    if process.returncode is None:
        process.kill()
    await process.wait()


def _environment() -> dict[str, str]:
    """Nothing of the user's git: no hooks, signing or credentials, and no proxy on the way to this machine."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return ours | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
