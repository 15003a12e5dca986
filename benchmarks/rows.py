"""Rows of figures: printed as a table, written as JSON.

Every benchmark's rows have the fields of `Row`; a figure that it does not measure is null. What else it knows is in
`details`, which stand beside the others in the JSON and have a column where they are asked for.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `ratio_to_plain` compares `pods_per_second` with the simplest of its kind, in the same run."""

    name: str
    targets: int
    pods: int
    pods_per_second: float | None = None
    ratio_to_plain: float | None = None
    writes_per_pod: float | None = None
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def flat(self) -> dict[str, object]:
        """All fields on one level."""
        values = asdict(self)
        details = values.pop("details")
        return {**values, **details}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie; the nearest that was measured."""
    ordered = sorted(values)
    return ordered[min(round(share * (len(ordered) - 1)), len(ordered) - 1)]


def shown(figure: object) -> str:
    """A figure with three significant digits, as a table wants it."""
    if figure is None:
        return "-"
    if isinstance(figure, float):
        return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
    return str(figure)


def print_table(title: str, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print these columns of the rows."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(shown(row.get(column)) for column in columns))
    console = Console(highlight=False)
    # A pipe has no width: give it what the widest table needs.
    Console(highlight=False, width=None if console.is_terminal else _WIDTH).print(table)


def write_json(path: Path, benchmark: str, rows: Sequence[Row], facts: Mapping[str, object]) -> None:
    """Write the rows, and on what they were measured."""
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    content = {"benchmark": benchmark, "machine": machine, **facts, "rows": [row.flat() for row in rows]}
    path.write_text(json.dumps(content, indent=2) + "\n")
