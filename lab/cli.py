"""`isthmus lab`: the lab's Python API (`lab.up`, `lab.down`, `lab.status`) on the command line, nothing else.

What it needs is imported by each command, so that `isthmus --help` stays quick.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from lab.plan import LabPlan

app = typer.Typer(no_args_is_help=True, help="A whole federation on this machine, to try and to test.")

T = TypeVar("T")

Directory = Annotated[Path | None, typer.Option("--dir", help="State of the lab [default: ./.isthmus-lab]")]


@app.command()
def up(
    directory: Directory = None,
    engine: Annotated[str | None, typer.Option(help="embedded, or kube (see make kube)")] = None,
    clusters: Annotated[str | None, typer.Option(help="name:os/arch[+os/arch],...; the first is the source")] = None,
    bare: Annotated[bool, typer.Option("--bare", help="Control planes and nodes only")] = False,
    fake_nodes: Annotated[
        int | None, typer.Option(min=0, help="This many nodes of each platform, by kwok: nothing really runs there")
    ] = None,
) -> None:
    """Start a lab and return when all of it is ready."""
    from lab.up import up as start  # noqa: PLC0415

    plan = _or_exit(lambda: _plan(directory, engine, clusters, is_bare=bare, fake_nodes=fake_nodes))
    record = _or_exit(lambda: _run(start(plan, report=lambda line: print(line, file=sys.stderr, flush=True))))  # noqa: T201
    for cluster in record.clusters:
        typer.echo(f"export KUBECONFIG={cluster.kubeconfig}  # {cluster.name}")


@app.command()
def demo(
    directory: Directory = None,
    engine: Annotated[str | None, typer.Option(help="embedded, or kube (see make kube)")] = None,
    clusters: Annotated[str | None, typer.Option(help="name:os/arch[+os/arch],...; the first is the source")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file too")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running and say what to try next")] = False,
) -> None:
    """Push a project whose jobs run in three clusters, show them on their way, check the images, clean up."""
    from rich.console import Console  # noqa: PLC0415

    from lab.demo.run import Demo, run  # noqa: PLC0415
    from lab.demo.screen import screen_for  # noqa: PLC0415

    plan = _or_exit(lambda: _plan(directory, engine, clusters))
    screen = screen_for(Console(highlight=False))
    is_right = _or_exit(lambda: _run(run(Demo(plan, json_file, keep), screen)))
    raise typer.Exit(0 if is_right else 1)


@app.command()
def down(directory: Directory = None) -> None:
    """End a lab and remove its directory."""
    from lab.directory import LabDirectory  # noqa: PLC0415
    from lab.down import down as end  # noqa: PLC0415

    root = _resolve(directory)
    _or_exit(lambda: _run(end(LabDirectory(root))))


@app.command()
def status(
    directory: Directory = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs")] = False,
) -> None:
    """Show what a lab consists of."""
    from lab.directory import LabDirectory  # noqa: PLC0415
    from lab.status import status as look  # noqa: PLC0415

    facts = _or_exit(lambda: look(LabDirectory(_resolve(directory))))
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        from lab.status_table import print_status  # noqa: PLC0415

        print_status(facts)


def _plan(
    directory: Path | None,
    engine: str | None,
    clusters: str | None,
    *,
    is_bare: bool = False,
    fake_nodes: int | None = 0,  # the demo's jobs have to run
) -> "LabPlan":
    from lab.plan import Component, EngineName, LabPlan, parse_clusters  # noqa: PLC0415
    from lab.settings import LabSettings  # noqa: PLC0415

    settings = LabSettings()
    return LabPlan(
        directory=_resolve(directory),
        engine=EngineName(settings.engine if engine is None else _engine(engine)),
        clusters=parse_clusters(
            clusters or settings.clusters, settings.fake_nodes if fake_nodes is None else fake_nodes
        ),
        components=frozenset() if is_bare else frozenset(Component),
    )


def _resolve(directory: Path | None) -> Path:
    from lab.settings import LabSettings  # noqa: PLC0415

    return (directory or LabSettings().dir).absolute()


def _engine(text: str) -> str:
    from lab.plan import EngineName  # noqa: PLC0415

    if text not in list(EngineName):
        raise ValueError(f"unknown engine {text!r} (known: {', '.join(EngineName)})")
    return text


def _or_exit(act: Callable[[], T]) -> T:
    """Run it; an error that its user can do something about is one message, not a traceback."""
    from lab.directory import LabBusy, NoLab  # noqa: PLC0415
    from lab.waiting import StartFailed  # noqa: PLC0415

    try:
        return act()
    except (LabBusy, NoLab, StartFailed, ValueError, TimeoutError) as error:
        typer.secho(f"isthmus lab: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.secho("isthmus lab: broken off; what it had started was ended", err=True)
        raise typer.Exit(130) from None


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """asyncio.run that takes SIGTERM and SIGHUP like Ctrl-C: each cancels, so that what was started is ended.

    Only the first counts: somebody who presses Ctrl-C again must not break off the cleaning up.
    """

    async def main() -> T:
        task = asyncio.ensure_future(coroutine)
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

        def cancel() -> None:
            for number in signals:
                asyncio.get_running_loop().add_signal_handler(number, lambda: None)
            task.cancel()

        for number in signals:
            asyncio.get_running_loop().add_signal_handler(number, cancel)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
