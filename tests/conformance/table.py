"""The table of conformance in docs/lab.md: what is held against both engines, and by how many tests.

    python -m tests.conformance.table --write

One row per test file: the first line of its docstring, and how many tests it has. A test compares the two.
"""

import ast
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "lab.md"
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
HEAD = "| what both engines are held to | tests | where |\n|---|---|---|\n"


def rows() -> list[str]:
    """Return the table's rows, by file."""
    return [_row(path) for path in sorted(HERE.rglob("test_*.py")) if path.name != "test_table.py"]


def _row(path: Path) -> str:
    module = ast.parse(path.read_text())
    said = (ast.get_docstring(module) or "").splitlines()[0].rstrip(".")
    tests = [
        node.name
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return f"| {said} | {len(tests)} | `{path.relative_to(HERE)}` |"


def table() -> str:
    """Return the table between its marks."""
    return f"{BEGIN}\n{HEAD}" + "\n".join(rows()) + f"\n{END}"


def written(page: str) -> str:
    """Return a page with the table as it should be."""
    before, _, rest = page.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text()))
    else:
        sys.stdout.write(table() + "\n")
