"""Fails where a test passed on one engine and not on the other, unless it is on the list of differences.

    python .ci/engines.py JUNIT_XML [JUNIT_XML_OF_A_SECOND_RUN] DIFFERENCES

DIFFERENCES has a line `test name: reason` for each test that may run on one engine only. Nothing may be skipped but
what needs a real gitlab-runner.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ENGINES = ("embedded", "kube")
PERMITTED_SKIP = "gitlab-runner"


def main(reports: Sequence[Path], differences: Path) -> int:
    """Return the exit code. What a later report says of a test counts."""
    allowed = dict(
        line.split(": ", 1) for line in differences.read_text().splitlines() if ": " in line and line[0] != "#"
    )
    collected: Counter[str] = Counter()
    passed: dict[str, set[str]] = {engine: set() for engine in ENGINES}
    problems = []
    cases = {
        f"{case.get('classname')}.{case.get('name')}": case
        for report in reports
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314  # our own pytest wrote it
    }
    for name, case in cases.items():
        skip = case.find("skipped")
        if skip is not None and PERMITTED_SKIP not in (skip.get("message") or ""):
            problems.append(f"skipped: {name}: {skip.get('message')}")
        engine = next((e for e in ENGINES if re.search(rf"\[(.*-)?{e}(-.*)?\]", name)), "")
        if not engine:
            continue
        collected[engine] += 1
        if all(case.find(kind) is None for kind in ("failure", "error", "skipped")):
            passed[engine].add(re.sub(rf"([\[-]){engine}([\]-])", r"\1ENGINE\2", name))
    for engine in ENGINES:
        print(f"engine {engine}: collected {collected[engine]}, passed {len(passed[engine])}")
    for name in sorted(passed["embedded"] ^ passed["kube"]):
        if not any(key in name for key in allowed):
            where = "embedded" if name in passed["embedded"] else "kube"
            problems.append(f"passed on {where} only: {name}")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    *reports, last = map(Path, sys.argv[1:])
    sys.exit(main(reports, last))
