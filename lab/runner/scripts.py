"""The shell text of each stage, as strings: nothing is run here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab.runner.trace import GREEN, RESET
from lab.runner.variables import Variables

PREAMBLE = "set -eo pipefail\nset +o noclobber\n"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the code comes from: the payload's git_info, and the runner's clone_url if it has one."""

    repo_url: str
    sha: str
    ref: str
    refspecs: tuple[str, ...]
    depth: int
    clone_url: str = ""

    @property
    def url(self) -> str:
        """The URL to fetch from: the job's, or its path and credentials under `clone_url`."""
        if not self.clone_url:
            return self.repo_url
        job, other = urlsplit(self.repo_url), urlsplit(self.clone_url)
        credentials = job.netloc.rpartition("@")[0]
        return f"{other.scheme}://{credentials}@{other.netloc}{other.path.rstrip('/')}{job.path}"


def commands(lines: list[str], variables: Variables, project_dir: str, **extra: str) -> str:
    """A script of the user's: each line is shown before it runs, in the project's directory."""
    shown = "\n".join(f"{_announce(line)}\n{line}" for line in lines)
    return f"{variables.exports(**extra)}\n{PREAMBLE}cd {shlex.quote(project_dir)}\n{shown}\n"


def _announce(line: str) -> str:
    first, _, rest = line.strip().partition("\n")
    note = " # collapsed multi-line command" if rest else ""
    return f"echo {shlex.quote(f'{GREEN}$ {first}{note}{RESET}')}"


def sources(code: Sources, variables: Variables, project_dir: str) -> str:
    """Gets the code by GIT_STRATEGY: `none` and `empty` leave git alone, `clone` starts afresh, `fetch` reuses."""
    strategy = variables.get("GIT_STRATEGY") or "fetch"
    place = shlex.quote(project_dir)
    fresh = f"rm -rf {place}\n" if strategy in ("clone", "empty") else ""
    start = f"{PREAMBLE}{fresh}mkdir -p {place}\ncd {place}\n"
    if strategy in ("none", "empty"):
        return f"{start}echo 'Skipping Git repository setup'\n"
    return start + _fetch(code) + _checkout(code, variables)


def _fetch(code: Sources) -> str:
    depth = f"--depth {code.depth} " if code.depth > 0 else ""
    shown = f"Fetching changes with git depth set to {code.depth}..." if depth else "Fetching changes..."
    refspecs = " ".join(shlex.quote(refspec) for refspec in code.refspecs) or shlex.quote(code.sha)
    return "\n".join(
        [
            "export GIT_TERMINAL_PROMPT=0",
            f"echo {shlex.quote(shown)}",
            "rm -f .git/index.lock .git/shallow.lock .git/HEAD.lock",
            "git -c init.defaultBranch=none init --quiet",
            f"git config remote.origin.url {shlex.quote(code.url)}",
            "git config gc.autoDetach false",
            f"git fetch --quiet --prune --force {depth}origin {refspecs}",
            "",
        ]
    )


def _checkout(code: Sources, variables: Variables) -> str:
    if variables.get("GIT_CHECKOUT").lower() == "false":
        return "echo 'Skipping Git checkout'\n"
    clean = variables.get("GIT_CLEAN_FLAGS") or "-ffdx"
    shown = f"Checking out {code.sha[:8]} as detached HEAD (ref is {code.ref})..."
    cleaning = "" if clean == "none" else f"git clean --quiet {clean}\n"
    return f"echo {shlex.quote(shown)}\ngit checkout --quiet --force {shlex.quote(code.sha)}\n{cleaning}"
