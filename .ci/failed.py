"""Name the tests that failed, for a second try; fails where there is none to try or there are too many.

    python .ci/failed.py JUNIT_XML

What was found when a test or a lab was over is tried no second time: a breach of the one rule, a secret that was told.
Nor is a run that broke off, by a collection that failed or a defect of pytest: it has begun only some of its tests.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

FAILED_MAX = 10


def main(report: Path) -> int:
    """Return the exit code."""
    if not report.exists():
        print("there is no report of the tests", file=sys.stderr)
        return 1
    failed, found = set(), set()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own pytest wrote it
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        if any(not (error.get("message") or "").startswith("failed on setup") for error in case.findall("error")):
            found.add(name)
    print(", ".join(sorted(failed)))
    if found:
        print(f"not tried again, found by more than a test: {', '.join(sorted(found))}", file=sys.stderr)
        return 1
    if not 0 < len(failed) <= FAILED_MAX:
        print(f"{len(failed)} tests failed, of which at most {FAILED_MAX} would be tried again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
