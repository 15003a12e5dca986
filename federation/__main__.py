"""`isthmus agent` and `isthmus extender`: where all objects are built. Read it first.

An agent serves admission and the gateway on every replica; its controllers run on the elected one. The same agent is
source and target: what a cluster is depends only on the Targets in it and on the chaperons that others make there.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer
from loguru import logger
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from federation import logs
from federation.agent import Agent
from federation.extender import serve_extender
from federation.kube.api import connect
from federation.kube.errors import ApiError, BadKubeconfig
from federation.kube.limits import Limits
from federation.kube.transport import use_small_tls_buffers
from federation.settings import AgentSettings, ExtenderSettings

S = TypeVar("S", bound=BaseSettings)

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def agent() -> None:
    """Run this cluster's agent until stopped. Settings: ISTHMUS_AGENT_... (see docs/settings.md)."""
    settings = _settings(AgentSettings)
    logs.configure(level=settings.log_level, is_json=settings.log_json)
    _run(_agent(settings))


@app.command()
def extender() -> None:
    """Run the candidate scheduler's extender until stopped. Settings: ISTHMUS_EXTENDER_... (see docs/settings.md)."""
    settings = _settings(ExtenderSettings)
    logs.configure(level=settings.log_level, is_json=settings.log_json)
    _run(_extender(settings))


async def _agent(settings: AgentSettings) -> None:
    identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
    election_limits = Limits(
        reconnect_seconds_max=1.0, connections_max=4
    )  # a late look at the Lease is a late successor
    async with (
        await connect(settings.kubeconfig, settings.context) as api,
        await connect(settings.kubeconfig, settings.context, election_limits) as election_api,
    ):
        await Agent(api, election_api, settings, identity).run()


async def _extender(settings: ExtenderSettings) -> None:
    async with await connect(settings.kubeconfig, settings.context) as api:
        await serve_extender(api, settings)


def _settings(kind: type[S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors():
            field = "_".join(str(part) for part in problem["loc"]).upper()
            where = f"{prefix}{field}: " if field else ""  # of several fields together, the message names them
            print(f"{where}{problem['msg']}", file=sys.stderr)  # noqa: T201  # before the log is set up
        raise SystemExit(2) from None


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, SIGTERM or SIGINT; what the operator can mend ends in one line, not in a traceback."""

    async def main() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    use_small_tls_buffers()
    try:
        asyncio.run(main())
    except* (ApiError, BadKubeconfig, OSError, ValueError) as errors:
        for error in _leaves(errors):
            logger.error("cannot go on", error=str(error))
        raise SystemExit(1) from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


if __name__ == "__main__":
    app()
