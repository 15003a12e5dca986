"""What the table says of one endpoint, in words that both the tests and the page in docs/ are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gitlab

from tests.conformance.gitlab.world import World

Body = dict[str, object] | bytes | None
Client = Callable[[gitlab.Gitlab, World], object]
NO_LIST = ""
TOTALS, NO_TOTALS, WHOLE = "totals", "no totals", "whole"  # WHOLE: a list that GitLab does not page


@dataclass(frozen=True, slots=True)
class Try:
    """One more call of the endpoint: what it is about, what is different, and what comes of it."""

    why: str
    status: int
    path: str = ""
    body: Body = None
    query: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint. Paths and texts in bodies are templates over the world's names.

    `who`: `user` or `admin` (a personal token), `runner` (its token in the body), `job` (a Job-Token), `password`
    (basic authentication), `anyone`. `stranger`: the answer to a user who is no member and no administrator.
    """

    method: str
    route: str
    ok: int = 200
    who: str = "user"
    path: str = ""
    query: str = ""
    body: Body = None
    headers: tuple[tuple[str, str], ...] = ()
    denied: int = 0  # for a bad token; 0: as usual for `who`
    stranger: int = 404
    missing: str = ""  # the path of what is not there; empty: it names nothing that could be missing
    wrong: tuple[Try, ...] = ()
    pages: str = NO_LIST
    keyset: str = ""  # the query that asks for keyset pages, where there are any
    client: Client | None = None

    @property
    def id(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def template(self) -> str:
        return self.path or self.route
