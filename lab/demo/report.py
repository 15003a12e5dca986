"""What `verify` found: rows, the index, what is wrong. As data, and as the JSON of `--json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One job and the way it took. What could not be found stays empty and has its entry in `problems`."""

    job: str
    tag: str = ""
    status: str = ""
    cluster: str = ""
    virtual_node: str = ""
    node: str = ""
    runner_pod: str = ""
    delegate: str = ""
    seconds: float = 0.0
    image: str = ""
    digest: str = ""
    simulated: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of an index."""

    os: str
    architecture: str
    os_version: str
    digest: str

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.os}/{self.architecture}", self.os_version)))


@dataclass(slots=True)
class Index:
    """The multi-arch index."""

    image: str = ""
    digest: str = ""
    platforms: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """The whole result; `problems` are those that belong to no row."""

    engine: str = ""
    rows: list[Row] = field(default_factory=list)
    index: Index = field(default_factory=Index)
    problems: list[str] = field(default_factory=list)

    @property
    def all_problems(self) -> list[str]:
        """Everything that is wrong, rows first."""
        return [f"{row.job}: {problem}" for row in self.rows for problem in row.problems] + self.problems

    @property
    def is_right(self) -> bool:
        """Whether there are rows and all of them are right."""
        return bool(self.rows) and not self.all_problems

    def to_json(self) -> Json:
        """The content of `--json FILE`."""
        return result(self.engine, [_row(row) for row in self.rows], _index(self.index), self.all_problems)


def result(engine: str, rows: Sequence[Json], index: Json, problems: Sequence[str]) -> Json:
    """The content of `--json FILE`, also where it never came to a verification."""
    is_right = bool(rows) and not problems
    return {"ok": is_right, "engine": engine, "jobs": list(rows), "index": index, "problems": list(problems)}


def _row(row: Row) -> Json:
    return {key: value for key, value in asdict(row).items() if key != "problems"}


def _index(index: Index) -> Json:
    entries = [
        {
            "os": entry.os,
            "architecture": entry.architecture,
            **({"os.version": entry.os_version} if entry.os_version else {}),
            "digest": entry.digest,
        }
        for entry in index.platforms
    ]
    return {"image": index.image, "digest": index.digest, "platforms": entries}
