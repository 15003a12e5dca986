"""A mutant: a patch that takes one mend or one rule of the protocol back, and the test that has to see it.

Each is a file in `patches/`, a unified diff under a head of lines `Key: value`:

    Rule: S3
    Undoes: a proxy's finalizer goes only after a live NotFound of its chaperon
    Red: tests/controllers/test_proxy_writes.py::test_S3_a_finalizer_stays_until_the_target_says_not_found

`Red` may stand several times: every one of them has to fail. The text before the colon is all that is read of the head.
"""

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "patches"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch. `rules` are ids of docs/protocol.md, `red` ids of tests as pytest takes them."""

    name: str
    path: Path
    rules: tuple[str, ...]
    undoes: str
    red: tuple[str, ...]

    def missing_tests(self, root: Path = ROOT) -> list[str]:
        """Return those of its tests that do not exist, by file and function; parameters are not looked at."""
        return [test for test in self.red if not _exists(root, test)]

    def apply(self, tree: Path, *, is_checked_only: bool = False) -> str:
        """Apply the patch in `tree`, or only see whether it applies; returns git's complaint, or an empty string."""
        option = ["--check"] if is_checked_only else []
        # Outside of any repository: git would take paths from the top of the one around.
        done = subprocess.run(
            ["git", "apply", "--recount", "-C2", *option, str(self.path)],
            cwd=tree,
            env={"GIT_CEILING_DIRECTORIES": str(tree.parent), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if done.returncode == 0 else done.stderr.strip() or f"git apply: {done.returncode}"


def parse_mutant(path: Path) -> Mutant:
    """Return the mutant of a file. Raises ValueError where its head lacks a rule, what it undoes, or a test."""
    head, separator, _ = path.read_text().partition("\n--- ")
    if not separator:
        raise ValueError(f"{path.name}: there is no diff in it")
    found: dict[str, list[str]] = {"Rule": [], "Undoes": [], "Red": []}
    for line in head.splitlines():
        key, colon, value = line.partition(": ")
        if colon and key in found:
            found[key].append(value.strip())
    if lacking := [key for key, values in found.items() if not values]:
        raise ValueError(f"{path.name}: its head lacks {', '.join(lacking)}")
    return Mutant(path.stem, path, tuple(found["Rule"]), " ".join(found["Undoes"]), tuple(found["Red"]))


def mutants() -> list[Mutant]:
    """Return all mutants, by name."""
    return [parse_mutant(path) for path in sorted(PATCHES.glob("*.patch"))]


def _exists(root: Path, test: str) -> bool:
    file, _, rest = test.partition("::")
    function = rest.rpartition("::")[2].partition("[")[0]
    try:
        tree = ast.parse((root / file).read_text())
    except (OSError, SyntaxError):
        return False
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return any(isinstance(node, kinds) and node.name == function for node in ast.walk(tree))
