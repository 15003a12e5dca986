"""docs/lab.md shows what the conformance tests cover, as they are now."""

from tests.conformance.table import PAGE, rows, table, written


def test_the_table_is_that_of_the_tests() -> None:
    assert table() in PAGE.read_text(), "run: python -m tests.conformance.table --write"
    assert len(rows()) > 15


def test_a_row_that_is_missing_is_noticed() -> None:
    page = PAGE.read_text()
    assert written(page.replace(rows()[0], "")) == page
