"""The job's variables as its scripts see them: later ones win, `$NAME` in values is filled in, files become paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Variable:
    key: str
    value: str
    is_masked: bool = False
    is_file: bool = False
    is_raw: bool = False


def from_payload(rows: object) -> list[Variable]:
    """The payload's `variables`."""
    found = rows if isinstance(rows, list) else []
    return [
        Variable(
            str(row["key"]),
            str(row.get("value", "")),
            is_masked=row.get("masked") is True,
            is_file=row.get("file") is True,
            is_raw=row.get("raw") is True,
        )
        for row in found
        if isinstance(row, dict) and "key" in row
    ]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fills in `$NAME` and `${NAME}`; an unknown name becomes empty, as in the real runner."""
    return _NAME.sub(lambda match: values.get(match[1] or match[2], ""), text)


class Variables:
    """All variables of one job, by name, and where their files go."""

    def __init__(self, variables: Iterable[Variable], files_dir: Path) -> None:
        self._by_key = {variable.key: variable for variable in variables}
        self.files_dir = files_dir
        unfilled = {key: self._shown(variable) for key, variable in self._by_key.items()}
        self.values = {
            key: shown if self._by_key[key].is_raw or self._by_key[key].is_file else expand(shown, unfilled)
            for key, shown in unfilled.items()
        }

    def _shown(self, variable: Variable) -> str:
        return str(self.files_dir / variable.key) if variable.is_file else variable.value

    def get(self, key: str, default: str = "") -> str:
        return self.values.get(key, default)

    def masks(self) -> list[str]:
        """What must not be seen in the trace."""
        masked = [variable for variable in self._by_key.values() if variable.is_masked]
        return [value for variable in masked for value in (variable.value, self.values[variable.key]) if value]

    def write_files(self) -> None:
        """Writes the file variables, readable by their owner only."""
        self.files_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for variable in self._by_key.values():
            if variable.is_file:
                path = self.files_dir / variable.key
                path.touch(mode=0o600)
                path.write_text(variable.value)

    def exports(self, **extra: str) -> str:
        """Shell lines that export every variable."""
        values = {**self.values, **extra}
        return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in values.items())
