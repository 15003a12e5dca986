"""The command line of `gitlab-runner`, as far as pods use it: run-single, run, verify, unregister, --version.

Flags may also come from the environment by the real runner's names (CI_SERVER_URL, CI_SERVER_TOKEN, RUNNER_NAME,
RUNNER_EXECUTOR, CONFIG_FILE); a flag wins over the environment, and that over the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.runner import VERSION
from lab.runner.config import ConfigError, RunnerConfig, read_runners
from lab.runner.coordinator import Coordinator
from lab.runner.interrupts import Interrupts
from lab.runner.loop import Run, RunSingle, log, run_daemon
from lab.runner.network import ARCHITECTURE
from lab.runner.system_id import system_id_for

CONFIG_DEFAULT = "/etc/gitlab-runner/config.toml"
_FROM_ENVIRONMENT = {
    "url": "CI_SERVER_URL",
    "token": "CI_SERVER_TOKEN",
    "name": "RUNNER_NAME",
    "executor": "RUNNER_EXECUTOR",
    "builds_dir": "RUNNER_BUILDS_DIR",
    "clone_url": "CLONE_URL",
    "tls_ca_file": "CI_SERVER_TLS_CA_FILE",
}


def main() -> int:
    """Parses, runs, and gives the exit code."""
    arguments = _parser().parse_args()
    try:
        return _COMMANDS[arguments.command](arguments)
    except ConfigError as error:
        log(f"FATAL: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gitlab-runner",
        description="The lab's GitLab Runner (shell executor).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-v", "--version", action="version", version=f"Version:      {VERSION}\nOS/Arch:      linux/{ARCHITECTURE}"
    )
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("-c", "--config", type=Path, default=_configured())
        command.add_argument("-n", "-r", "--runner", default="", help="name of the [[runners]] entry")
        for key in _FROM_ENVIRONMENT:
            command.add_argument(f"--{key.replace('_', '-')}", dest=key, default="")
    single = commands.choices["run-single"]
    single.add_argument("--max-builds", type=int, default=0, help="jobs to run before exiting; 0: no limit")
    single.add_argument("--wait-timeout", type=float, default=0, help="seconds to wait for a job; 0: for ever")
    daemon = commands.choices["run"]
    daemon.add_argument("-u", "--user", default="", help="accepted; jobs run as the runner's user")
    daemon.add_argument("-d", "--working-directory", type=Path, default=None)
    return parser


def _configured() -> Path | None:
    return Path(os.environ["CONFIG_FILE"]) if "CONFIG_FILE" in os.environ else None


def _chosen(arguments: argparse.Namespace) -> tuple[RunnerConfig, str, int]:
    """The runner to use, its system_id, and the poll interval."""
    runner, interval = RunnerConfig(), 3
    if arguments.config is not None:
        runners, interval = read_runners(arguments.config)
        matching = [entry for entry in runners if arguments.runner in ("", entry.name)]
        if not matching:
            raise ConfigError(f"{arguments.config} has no [[runners]] named {arguments.runner!r}")
        runner = matching[0]
    given: dict[str, Any] = {
        key: value
        for key, variable in _FROM_ENVIRONMENT.items()
        if (value := getattr(arguments, key) or os.environ.get(variable, ""))
    }
    return replace(runner, **given).checked(), system_id_for(arguments.config), interval


def _run_single(arguments: argparse.Namespace) -> int:
    runner, system_id, interval = _chosen(arguments)
    interrupts = Interrupts()
    interrupts.install()
    return RunSingle(runner, system_id, interrupts, interval).run(arguments.max_builds, arguments.wait_timeout)


def _run(arguments: argparse.Namespace) -> int:
    path = (arguments.config or Path(CONFIG_DEFAULT)).absolute()
    runners, interval = read_runners(path)
    if arguments.working_directory:
        os.chdir(arguments.working_directory)
    interrupts = Interrupts(quit_ends_poll=True)
    interrupts.install()
    system_id = system_id_for(path)
    return run_daemon([Run(r.checked(), system_id, interrupts, interval) for r in runners], interrupts, interval)


def _verify(arguments: argparse.Namespace) -> int:
    runner, system_id, _ = _chosen(arguments)
    reply = Coordinator(runner, system_id).verify()
    verdict = "is valid" if reply.status == 200 else f"is not valid: HTTP {reply.status} {reply.error}"
    log(f"Verifying runner... {verdict}")
    return 0 if reply.status == 200 else 1


def _unregister(arguments: argparse.Namespace) -> int:
    runner, system_id, _ = _chosen(arguments)
    reply = Coordinator(runner, system_id).unregister_manager()
    log(f"Unregistering runner manager... HTTP {reply.status} {reply.error}")
    return 0 if reply.status == 204 else 1


_COMMANDS = {"run-single": _run_single, "run": _run, "verify": _verify, "unregister": _unregister}

if __name__ == "__main__":
    sys.exit(main())
