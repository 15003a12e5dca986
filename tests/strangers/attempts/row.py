"""One attempt: who tries what against which rule, and what must happen instead.

A row is written before its test. `origin` says what the attacker knew: the documents alone (README, docs/, deploy/),
or the code as well; half of the table is of the first kind, because a reader of the code tries what the code thinks of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Who(StrEnum):
    """The stranger. What each may do without being one is in docs/security.md."""

    TARGET = "target"  # runs the API server that a Target leads to
    SOURCE = "source"  # holds the credential of a Source, and sends requests of its own making
    USER = "user"  # may `edit` one namespace at home, and nothing else


class Origin(StrEnum):
    """What the attacker had read when the attempt was written."""

    DOCS = "docs"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`rules` are headings of docs/protocol.md; `test` is `module::function` in this room; `is_new`: no review knew it."""

    id: str
    who: Who
    asset: str
    rules: str
    how: str
    must: str
    is_new: bool
    origin: Origin
    test: str
