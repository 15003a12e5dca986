"""The table and the tests of this room are one: every row is played, every test is in a row, and there are enough."""

import ast
from collections import Counter
from pathlib import Path

from tests.strangers.attempts import attempts

ROOM = Path(__file__).parent
PROTOCOL = ROOM.parents[1] / "docs" / "protocol.md"
OF_THE_ROOM_ITSELF = {"test_attempts", "test_secrecy"}  # they judge the room, and attack nothing
ATTEMPTS_MIN = 60
NEW_MIN = 20


def functions() -> set[str]:
    """All tests of the room, as `module::function`."""
    found = set()
    for file in ROOM.glob("test_*.py"):
        if file.stem in OF_THE_ROOM_ITSELF:
            continue
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name.startswith("test_"):
                found.add(f"{file.stem}::{node.name}")
    return found


def test_every_row_is_played_and_every_test_is_in_a_row() -> None:
    named = {one.test for one in attempts()}
    assert named == functions()


def test_no_attempt_is_there_twice() -> None:
    assert [name for name, times in Counter(one.id for one in attempts()).items() if times > 1] == []


def test_there_are_enough_of_each_kind() -> None:
    rows = attempts()
    assert len(rows) >= ATTEMPTS_MIN
    assert sum(one.is_new for one in rows) >= NEW_MIN
    assert 2 * sum(one.origin == "docs" for one in rows) >= len(rows)
    assert {one.origin for one in rows} == {"docs", "code"}
    assert {one.who for one in rows} == {"target", "source", "user"}


def test_every_row_names_rules_that_are_there() -> None:
    lines = PROTOCOL.read_text().splitlines()
    headings = {line.split()[1].rstrip(".:") for line in lines if line.startswith("#")}
    assert [one.id for one in attempts() if not one.rules or not set(one.rules) <= headings] == []
