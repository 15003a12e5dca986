"""The command `isthmus`: mounts the commands of the other packages, nothing else.

A command's package is imported when that command is called, so that a cluster's agent never loads the lab; only the
help, which lists them all, loads them all.
"""

import sys
from importlib import import_module

import typer

# Command -> the module and the typer application, or the single command, that it is.
MOUNTED = {
    "agent": ("federation.__main__", "agent"),
    "extender": ("federation.__main__", "extender"),
    "audit": ("isthmus.audit", "audit"),
    "source": ("federation.source_command", "app"),
    "bridge": ("bridge.cli", "app"),
    "lab": ("lab.cli", "app"),
}

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Clusters of different owners, usable as one.")


@app.callback()
def isthmus() -> None:
    """Clusters of different owners, usable as one."""


def mount(arguments: list[str]) -> None:
    """Mount the command that is wanted, or all."""
    wanted = [name for name in arguments[:1] if name in MOUNTED] or list(MOUNTED)
    for name in wanted:
        module, attribute = MOUNTED[name]
        part = getattr(import_module(module), attribute)
        if isinstance(part, typer.Typer):
            app.add_typer(part, name=name)
        else:
            app.command(name)(part)


def main() -> None:
    """Run the command line."""
    mount(sys.argv[1:])
    app()


if __name__ == "__main__":
    main()
