"""`isthmus bridge`: run, status, check. Wiring only: settings, log, clients, controller. Read it first."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from loguru import logger
from pydantic import ValidationError
from rich.console import Console

from bridge import demand, profiles, reports
from bridge.cluster import Cluster
from bridge.controller import Bridge, Pace
from bridge.demand import Plan
from bridge.errors import BridgeError, ConfigurationError
from bridge.gitlab_api import GitLab
from bridge.observed import Bounds
from bridge.profiles import Mode, Profile
from bridge.reading import DemandReader, Watched
from bridge.registration import Registrar
from bridge.runner_spec import Registered
from bridge.runners import RunnerOptions
from bridge.settings import Settings
from federation import logs
from federation.kube.api import connect
from federation.kube.errors import ApiError, BadKubeconfig

T = TypeVar("T")

_VERSION = "0.1.0"
_PIPED_COLUMNS = 200  # nothing is cut off that a script or a log shall show

app = typer.Typer(no_args_is_help=True, add_completion=False, help="GitLab jobs to runner pods, by tag.")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything one bridge is made of."""

    settings: Settings
    profiles: tuple[Profile, ...]
    gitlab: GitLab
    cluster: Cluster
    registrar: Registrar
    reader: DemandReader
    options: RunnerOptions
    bounds: Bounds


@app.command()
def run() -> None:
    """Watch GitLab and keep the right number of runner pods, until stopped. Settings: ISTHMUS_BRIDGE_..."""
    settings = _settings()
    logs.configure(level=settings.log_level, is_json=settings.log_json)
    _run(_serve(settings))


@app.command()
def status(is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False) -> None:
    """Show profiles, their runners, pending jobs and pods. Reads only."""
    report = _run(_look(_settings()))
    if is_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        reports.show(report, Console(width=None if sys.stdout.isatty() else _PIPED_COLUMNS))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A profiles file, as in runner-config/.")]) -> None:
    """Validate a profiles file and say what each profile means."""
    try:
        loaded = profiles.load(file)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for profile in loaded:
        typer.echo(reports.meaning(profile))
        for remark in profiles.remarks(profile):
            typer.echo(f"  note: {remark}")


def _settings() -> Settings:
    try:
        return Settings()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            field = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"ISTHMUS_BRIDGE_{field}: {fault['msg']}", err=True)
        raise typer.Exit(2) from error


def _run(coroutine: Coroutine[object, object, T]) -> T:
    try:
        return asyncio.run(coroutine)
    except (BridgeError, ApiError, BadKubeconfig) as error:
        typer.echo(f"isthmus bridge: {error}", err=True)
        raise typer.Exit(1) from error


@contextlib.asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Parts]:
    """Build everything a bridge is made of, from its settings. Raises ConfigurationError, BadKubeconfig."""
    loaded = profiles.load(settings.profiles_file)
    gitlab = GitLab(
        settings.gitlab,
        settings.gitlab_token(),
        ca_file=str(settings.gitlab_ca_file or ""),
        timeout_seconds=settings.gitlab_timeout_seconds,
    )
    options = _options(settings)
    async with await connect(settings.kubeconfig) as api:
        has_deployments = any(profile.mode is Mode.DEPLOYMENT for profile in loaded)
        cluster = Cluster(api, settings.namespace, settings.name, has_deployments=has_deployments)
        registrar = Registrar(
            gitlab,
            cluster,
            options,
            scope=settings.runner_scope,
            runner_url=settings.gitlab_for_runners,
            version=_VERSION,
        )
        watched = Watched(settings.projects, settings.groups, timedelta(seconds=settings.discovery_interval_seconds))
        reader = DemandReader(gitlab, watched, _now, choice=settings.demand_source, url=settings.gitlab)
        yield Parts(settings, loaded, gitlab, cluster, registrar, reader, options, _bounds(settings))


def controller(parts: Parts) -> Bridge:
    """Return the bridge's loop over these parts."""
    settings = parts.settings
    return Bridge(
        gitlab=parts.gitlab,
        demand_reader=parts.reader,
        cluster=parts.cluster,
        registrar=parts.registrar,
        profiles=parts.profiles,
        options=parts.options,
        bounds=parts.bounds,
        pace=Pace(settings.poll_interval_seconds, timedelta(seconds=settings.heartbeat_interval_seconds)),
        clock=_now,
    )


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        burst_max=settings.burst_max,
        start_timeout_seconds=settings.start_timeout_seconds,
        wait_timeout_seconds=settings.wait_timeout_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        scale_down_delay_seconds=settings.scale_down_delay_seconds,
    )


def _options(settings: Settings) -> RunnerOptions:
    return RunnerOptions(
        bridge=settings.name,
        namespace=settings.namespace,
        wait_timeout_seconds=settings.wait_timeout_seconds,
        start_timeout_seconds=settings.start_timeout_seconds,
        finished_ttl_seconds=settings.finished_ttl_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
        image=settings.runner_image,
        ca_config_map=settings.runner_ca_config_map,
    )


async def _serve(settings: Settings) -> None:
    async with assemble(settings) as parts:
        logger.info("bridge starts", gitlab=settings.gitlab, profiles=[profile.name for profile in parts.profiles])
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(controller(parts).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        logger.info("bridge stops")


async def _look(settings: Settings) -> reports.Report:
    """Read once and decide, writing nothing."""
    async with assemble(settings) as parts:
        registrations: dict[str, Registered] = {}
        for profile in parts.profiles:
            if registered := await parts.registrar.stored(profile):
                registrations[profile.name] = registered
        fleet = await parts.cluster.read_once()
        observed = await parts.reader.observe(fleet, registrations)
        plan: Plan = demand.decide(parts.profiles, observed, parts.bounds, _now())
        runner_ids = {name: registered.id for name, registered in registrations.items()}
        return reports.report(plan, observed, runner_ids, (parts.reader.source, parts.reader.source_reason))


def _now() -> datetime:
    return datetime.now(UTC)
