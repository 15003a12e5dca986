"""`python -m lab.demo.verify --dir LAB --project PATH [--json FILE]`: what came of a pipeline in a lab.

Prints the table and exits 0 only if every row is right. It asks the clusters (by their kubeconfigs), GitLab and the
registry, and is a program of its own so that it cannot take the demo's word for anything. It may be run again later, as
long as the lab runs.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console

from federation.kube.errors import ApiError
from lab.demo.facts import Facts
from lab.demo.gathering import gather
from lab.demo.gitlab_client import GitLabFailed
from lab.demo.registry_client import RegistryFailed
from lab.demo.tables import show
from lab.demo.verdict import judge
from lab.directory import LabDirectory, NoLab

SECONDS_MAX = 30


async def _facts(directory: Path, project: str) -> Facts:
    async with asyncio.timeout(SECONDS_MAX):
        return await gather(LabDirectory(directory).read(), project)


def verify(directory: Path, project: str, json_file: Path | None) -> bool:
    """Gather, judge, print; returns whether every row is right."""
    report = judge(asyncio.run(_facts(directory, project)))
    show(report, Console(highlight=False))
    if json_file:
        json_file.write_text(json.dumps(report.to_json(), indent=2) + "\n")
    return report.is_right


def main() -> int:
    """Run; returns the exit code: 0 right, 1 wrong, 2 could not find out."""
    parser = argparse.ArgumentParser(prog="python -m lab.demo.verify", description="What came of a pipeline in a lab.")
    parser.add_argument("--dir", type=Path, required=True, help="the lab's directory")
    parser.add_argument("--project", required=True, help="path of the project in the lab's GitLab")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    try:
        return 0 if verify(arguments.dir.absolute(), arguments.project, arguments.json) else 1
    except (NoLab, GitLabFailed, RegistryFailed, ApiError, OSError, TimeoutError) as error:
        print(f"verify: {error or type(error).__name__}", file=sys.stderr)  # noqa: T201
    except KeyboardInterrupt:
        pass  # who called says so
    return 2


if __name__ == "__main__":
    sys.exit(main())
