"""No clock, no randomness and no I/O in pure code: what import-linter cannot see."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = sorted(
    [
        *(ROOT / "federation" / "decisions").glob("*.py"),
        *(ROOT / "federation" / "model").glob("*.py"),
        ROOT / "federation" / "names.py",
        ROOT / "bridge" / "demand.py",
        ROOT / "bridge" / "runners.py",
    ]
)
CLOCKS = {"now", "utcnow", "today", "time", "monotonic", "perf_counter"}
IMPURE = {"open", "print", "input"}
MODULES = {
    "asyncio",
    "time",
    "random",
    "secrets",
    "os",
    "socket",
    "subprocess",
    "aiohttp",
    "kubernetes",
    "loguru",
    "yaml",
}


def impurities(source: str) -> list[str]:
    """Return what a module does that pure code may not, with line numbers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                found.append(f"{node.lineno}: reads a clock ({name})")
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE:
                found.append(f"{node.lineno}: does I/O ({name})")
            case ast.Import(names=names):
                found += [f"{node.lineno}: imports {n.name}" for n in names if n.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                found.append(f"{node.lineno}: imports {module}")
            case ast.AsyncFunctionDef():
                found.append(f"{node.lineno}: is asynchronous")
    return found


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_code_is_pure(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\ndatetime.now()",
        "import time",
        "open('x')",
        "async def f(): ...",
        "from os import path",
    ],
)
def test_the_check_can_fail(source: str) -> None:
    assert impurities(source) != []
