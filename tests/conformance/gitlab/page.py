"""Writes docs/gitlab-endpoints.md: `python -m tests.conformance.gitlab.page > docs/gitlab-endpoints.md`. A test keeps
it current."""

from __future__ import annotations

from collections.abc import Sequence

from tests.conformance.gitlab import rest_rows, runner_rows
from tests.conformance.gitlab.rows import Row

INTRODUCTION = """# What the lab's GitLab answers

Every endpoint it serves, in every case that is tested: this page is made from the table of `tests/conformance/gitlab/`,
which fails when an endpoint is missing from it. *Stranger*: a user who is a member of nothing and no administrator.
A wrong or revoked personal token gets 401, one without the scope 403, a job or runner token that is not good 403,
a wrong password 401; other answers are shown. ✓: python-gitlab is tested with it, too.

| endpoint | for | success | stranger | not found | conflict or invalid | pages |
|---|---|---|---|---|---|---|
"""


def page(rows: Sequence[Row]) -> str:
    """The page for these rows."""
    return INTRODUCTION + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _cells(row: Row) -> list[str]:
    return [
        f"`{row.id}`{' ✓' if row.client else ''}",
        f"{row.who} ({row.denied})" if row.denied else row.who,
        str(row.ok),
        str(row.stranger) if row.who in ("user", "admin") else "",
        "404" if row.missing else "",
        "; ".join(f"{wrong.why}: {wrong.status}" for wrong in row.wrong),
        f"{row.pages}{', keyset' if row.keyset else ''}",
    ]


if __name__ == "__main__":
    print(page((*rest_rows.ROWS, *runner_rows.ROWS)), end="")  # noqa: T201  # this is what it is for
