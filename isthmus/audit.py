"""`isthmus audit`: options, clients, progress, exit code. Not in `federation`, which knows of no lab."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from federation.audit.auditing import UNREAD, Verdict
from federation.audit.auditing import audit as judge
from federation.audit.collecting import LIMITS
from federation.audit.looking import Scope
from federation.audit.report import as_data, show
from federation.kube.api import connect
from federation.kube.dialling import Dialable
from federation.kube.errors import ApiError, BadKubeconfig

_PIPED_COLUMNS = 80

Kubeconfig = Annotated[
    str | None, typer.Option(help="Of the source (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)")
]
OfTargets = Annotated[
    list[str] | None,
    typer.Option(
        "--target-kubeconfig",
        metavar="NAME=FILE",
        help="The auditor's own way into the cluster of a Target (NAME or NAMESPACE/NAME), with rights of "
        "deploy/rbac/auditor.yaml; may be repeated (default: the Target's own kubeconfig Secret)",
    ),
]
Allowed = Annotated[
    list[str] | None,
    typer.Option(
        "--dialable",
        metavar="WHAT",
        help="A network, host name or URL that a Target's own kubeconfig may lead to although it is loopback, without "
        "TLS or the like, as in the agent's ISTHMUS_AGENT_DIALABLE; may be repeated",
    ),
]
_LOOPBACK = "127.0.0.0/8"  # where all of a lab is


def audit(
    kubeconfig: Kubeconfig = None,
    context: Annotated[str, typer.Option(help="Context of the kubeconfig")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace (default: all)")] = "",
    target_kubeconfigs: OfTargets = None,
    allowed: Allowed = None,
    lab: Annotated[
        Path | None, typer.Option("--lab", metavar="DIR", help="Audit the lab in this directory, as its administrator")
    ] = None,
    cluster_name: Annotated[
        str, typer.Option(help="What the source is called on its PodChaperons (default: as its agent says)")
    ] = "",
    settle: Annotated[
        float, typer.Option(min=0, max=600, metavar="SECONDS", help="How long something must be wrong to be told")
    ] = 5.0,
    is_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs (docs/audit.md)")] = False,
) -> None:
    """Read a whole federation and list every violation of the one rule and every leak.

    Writes nothing. Exit code: 0 clean, 1 violations or leaks, 2 something could not be read.
    """
    dialable = [*(allowed or []), *([] if lab is None else [_LOOPBACK])]
    scope = Scope(namespace, cluster_name, _files(target_kubeconfigs or []), _dialable(dialable))
    source: Path | None = _default_kubeconfig() if kubeconfig is None else Path(kubeconfig)
    if lab is not None:
        if kubeconfig is not None:
            raise typer.BadParameter("--lab brings its own kubeconfigs: leave out --kubeconfig", param_hint="--lab")
        source, of_lab = _of_lab(lab)
        scope = replace(scope, kubeconfigs={**of_lab, **scope.kubeconfigs})
    try:
        verdict = asyncio.run(_audit(source, context, scope, settle))
    except (ApiError, BadKubeconfig) as error:
        typer.echo(f"isthmus audit: the source could not be read: {error}", err=True)
        raise typer.Exit(UNREAD) from error
    if is_json:
        typer.echo(json.dumps(as_data(verdict), indent=2))
    else:
        show(as_data(verdict), Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS))
    raise typer.Exit(verdict.exit_code)


async def _audit(source: Path | None, context: str, scope: Scope, settle_seconds: float) -> Verdict:
    progress = Console(stderr=True)
    async with await connect(source, context, LIMITS) as api:
        if not progress.is_terminal:
            return await judge(api, scope, settle_seconds, lambda _: None)
        with progress.status("reading") as status:
            return await judge(api, scope, settle_seconds, status.update)


def _default_kubeconfig() -> Path | None:
    """Return what kubectl would use; None where there is none: the account of the pod we are in."""
    if named := os.environ.get("KUBECONFIG"):
        return Path(named)
    usual = Path.home() / ".kube" / "config"
    return usual if usual.exists() else None


def _dialable(entries: list[str]) -> Dialable:
    try:
        return Dialable.of(entries)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--dialable") from error


def _files(pairs: list[str]) -> Mapping[str, Path]:
    files = {}
    for pair in pairs:
        name, is_pair, file = pair.partition("=")
        if not (name and is_pair and file):
            raise typer.BadParameter(f"{pair!r} is not NAME=FILE", param_hint="--target-kubeconfig")
        files[name] = Path(file)
    return files


def _of_lab(directory: Path) -> tuple[Path, dict[str, Path]]:
    """Return the administrators' kubeconfigs of a lab: the source's, and the others by their Targets' name."""
    from lab.directory import LabDirectory, NoLab  # noqa: PLC0415  # an auditor of real clusters loads no lab

    try:
        clusters = LabDirectory(directory.absolute()).read().clusters
    except NoLab as error:
        raise typer.BadParameter(str(error), param_hint="--lab") from error
    source, *targets = ((cluster.name, Path(cluster.kubeconfig)) for cluster in clusters)
    return source[1], dict(targets)
