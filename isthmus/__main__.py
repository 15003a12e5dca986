"""The command `isthmus`: mounts the commands of the other packages, nothing else.

Each command imports its package when it is called, so that `isthmus --help` is quick and a cluster's agent never
loads the lab.
"""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Clusters of different owners, usable as one.")


@app.callback()
def isthmus() -> None:
    """Clusters of different owners, usable as one."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
