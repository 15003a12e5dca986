"""Apply mutants to copies of this tree and see whether their tests go red.

    python -m tests.mutants                 five at random; the seed is printed
    python -m tests.mutants --seed 7        the same five again
    python -m tests.mutants --all           every one, with a table for people
    python -m tests.mutants NAME ...        these
    python -m tests.mutants --new NAME --rule S3 --undoes TEXT --red TEST
                                            make one of the change that is not committed here, and take that back

A mutant survives where one of its tests passes, or where pytest could not run it at all. Exit code 1 if any survives.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.mutant import PATCHES, ROOT, Mutant, mutants, parse_mutant

_SECONDS_MAX = 300.0  # one test with a lab of its own takes a minute at the most
_COUNT = 5
_TESTS_FAILED = 1  # pytest's exit code; 2 to 5 are its own trouble, and prove nothing


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="See whether the tests see mutants.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--seed", type=int, default=None, help="which five are taken")
    parser.add_argument("--count", type=int, default=_COUNT, help="how many are taken")
    parser.add_argument("--new", metavar="NAME", help="write a mutant of the uncommitted change")
    parser.add_argument("--rule", action="append", default=[])
    parser.add_argument("--undoes", default="")
    parser.add_argument("--red", action="append", default=[])
    options = parser.parse_args(arguments)
    if options.new:
        return _make(options.new, options.rule, options.undoes, options.red)
    chosen = _chosen(options)
    survivors = [mutant for mutant in chosen if not _is_seen(mutant)]
    print(f"mutants: {len(chosen) - len(survivors)} of {len(chosen)} were seen by their tests")
    for mutant in survivors:
        print(f"SURVIVED {mutant.name}: {mutant.undoes}")
    return 1 if survivors else 0


def _chosen(options: argparse.Namespace) -> list[Mutant]:
    known = mutants()
    if options.all:
        return known
    if options.names:
        by_name = {mutant.name: mutant for mutant in known}
        if unknown := [name for name in options.names if name not in by_name]:
            raise SystemExit(f"no such mutant: {', '.join(unknown)}; there are {', '.join(sorted(by_name))}")
        return [by_name[name] for name in options.names]
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"mutants: seed {seed} (again: python -m tests.mutants --seed {seed})")
    return random.Random(seed).sample(known, min(options.count, len(known)))


def _is_seen(mutant: Mutant) -> bool:
    """Whether every test of a mutant fails on a copy of the tree that has it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        tree = Path(directory) / "tree"
        _copy(tree)
        if trouble := mutant.apply(tree):
            print(f"  {mutant.name}: the patch does not apply: {trouble}", flush=True)
            return False
        started = time.monotonic()
        outcomes = {test: _outcome(tree, test) for test in mutant.red}
        is_seen = all(outcome == _TESTS_FAILED for outcome in outcomes.values())
        took = time.monotonic() - started
        print(
            f"  {'red ' if is_seen else 'SURVIVED'} {','.join(mutant.rules):8} {mutant.name} ({took:.0f} s)", flush=True
        )
        for test, outcome in outcomes.items():
            if outcome != _TESTS_FAILED:
                print(f"       pytest {test}: exit code {outcome}", flush=True)
        return is_seen


def _copy(tree: Path) -> None:
    """Copy what git knows of, and what it would, as it is now."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def _outcome(tree: Path, test: str) -> int:
    """Return pytest's exit code for one test in a tree; a test that hangs has failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", test]
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, timeout=_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return _TESTS_FAILED
    return done.returncode


def _make(name: str, rules: list[str], undoes: str, red: list[str]) -> int:
    """Write a mutant of what is changed in the tree, and take the change back."""
    diff = subprocess.run(
        ["git", "diff", "-U3", "--", "bridge", "deploy", "federation", "isthmus"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if not diff:
        raise SystemExit("nothing is changed in bridge, deploy, federation or isthmus")
    head = [*(f"Rule: {rule}" for rule in rules), f"Undoes: {undoes}", *(f"Red: {test}" for test in red)]
    body = "\n".join(line for line in diff.splitlines() if not line.startswith(("index ",)))
    path = PATCHES / f"{name}.patch"
    path.write_text("\n".join(head) + "\n\n" + body + "\n")
    mutant = parse_mutant(path)
    if missing := mutant.missing_tests():
        path.unlink()
        raise SystemExit(f"there is no test {', '.join(missing)}")
    subprocess.run(["git", "apply", "-R", str(path)], cwd=ROOT, check=True)
    return 0 if _is_seen(mutant) else 1


if __name__ == "__main__":
    sys.exit(main())
