"""Reads the table of attempts, attempts.md: who tries what, against which rule, and what must happen instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("attempts.md")
_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row. `test` is `module::function` of this room; `origin` is `docs` or `code`, what its author had read."""

    id: str
    asset: str
    rules: tuple[str, ...]
    how: str
    must: str
    is_new: bool
    origin: str
    test: str

    @property
    def who(self) -> str:
        """`target`, `source` or `user`."""
        return self.id.partition("-")[0]


@cache
def attempts() -> tuple[Attempt, ...]:
    """Return all rows, in the table's order."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in TABLE.read_text().splitlines()
        if line.startswith(("| target-", "| source-", "| user-"))
    ]
    assert all(len(row) == _COLUMNS for row in rows), [row[0] for row in rows if len(row) != _COLUMNS]
    return tuple(
        Attempt(name, asset, tuple(rules.split()), how, must, new == "new", origin, test.strip("`"))
        for name, asset, rules, how, must, new, origin, test in rows
    )


def ids_of(test: str) -> list[str]:
    """Return the ids, without who, of the attempts that one test (`module::function`) plays, to parametrize it with."""
    found = [one.id.partition("-")[2] for one in attempts() if one.test == test]
    assert found, f"no row of {TABLE.name} names {test}"
    return found
