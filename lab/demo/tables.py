"""The report for people: within 80 columns, and what is simulated beside what it is about."""

import platform

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.demo.report import Report, Row

_DIGITS = 12  # of a digest: enough to tell images apart, and what GitLab's and Docker's own lists show

# What a row's `simulated` means, in the order of this list.
MEANING = {
    "node": ("node *", "os and arch are labels; what runs there is a {machine} process"),
    "containers": ("containers", "processes with a view of their own; no images are pulled"),
    "engine": ("control planes", "the embedded engine (real ones: make kube, then --engine kube)"),
    "gitlab": ("GitLab", "the lab's own, with REST API and runner protocol of the real one"),
    "registry": ("registry", "the lab's own, with the distribution protocol"),
    "runner": ("runner", "the lab's own (ISTHMUS_GITLAB_RUNNER=PATH takes a real one)"),
    "buildah": ("buildah", "a stand-in that writes real images (install buildah for it)"),
}


def show(report: Report, console: Console) -> None:
    """Print the tables and what is wrong."""
    console.print(_jobs(report.rows))
    if report.index.digest:
        console.print()
        console.print(_index(report))
    simulated = {what for row in report.rows for what in row.simulated}
    if simulated:
        console.print(Text("\nSimulated here", style="bold"))
        machine = f"{platform.system()}/{platform.machine()}".lower()
        console.print(_simulated(simulated, machine))
    for problem in report.all_problems:
        console.print(Text(f"WRONG {problem}", style="red"), soft_wrap=True)


def short(digest: str) -> str:
    """The first digits of a digest."""
    return digest.removeprefix("sha256:")[:_DIGITS]


def _jobs(rows: list[Row]) -> Table:
    table = Table("JOB", "TAG", "CLUSTER", "NODE", box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("SEC", justify="right")
    table.add_column("IMAGE DIGEST")
    for row in rows:
        node = f"{row.node}*" if "node" in row.simulated else row.node
        style = "red" if row.problems else ""
        cells = (row.job, row.tag, row.cluster or "?", node or "?", f"{row.seconds:.1f}", short(row.digest) or "?")
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _index(report: Report) -> Table:
    index = report.index
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_row(Text("INDEX", style="bold"), Text(index.image), Text(short(index.digest)))
    for entry in index.platforms:
        table.add_row("", Text(str(entry)), Text(short(entry.digest)))
    return table


def _simulated(simulated: set[str], machine: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    for what, (name, meaning) in MEANING.items():
        if what in simulated:
            table.add_row(Text(name), Text(meaning.format(machine=machine)))
    return table
