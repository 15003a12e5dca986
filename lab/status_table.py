"""`lab status` for people, within 80 columns."""

from pathlib import Path
from typing import Any

import typer


def print_status(facts: dict[str, Any]) -> None:
    """Print a lab's status as sections of short lines."""
    state = "ready" if facts["ready"] else "NOT READY"
    typer.echo(f"{state}, engine {facts['engine']}, in {facts['directory']}")
    typer.echo("\nCLUSTER          NODES")
    for cluster in facts["clusters"]:
        typer.echo(f"{cluster['name']:<16} {', '.join(cluster['nodes'])}")
    for service in ("gitlab", "registry"):
        if facts[service]:
            typer.echo(f"{service:<16} {facts[service]['url']}")
    typer.echo(f"\n{'ROLE':<20} {'CLUSTER':<16} {'PID':>8}  STATE")
    for process in [*facts["agents"], *facts["processes"]]:
        alive = "running" if process["alive"] else f"ENDED, see logs/{Path(process['log']).name}"
        typer.echo(f"{process['role']:<20} {process['cluster'] or '-':<16} {process['pid']:>8}  {alive}")
    typer.echo("\nkubectl: export KUBECONFIG=" + facts["clusters"][0]["kubeconfig"])
