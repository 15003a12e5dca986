"""`python -m benchmarks.bridge` with tiny numbers: it runs to its end, and its rows say what they should."""

import json
import subprocess
import sys
from pathlib import Path

from lab.plan import EngineName
from tests.lab.registry.running import ROOT

FIELDS = {"targets", "pods", "pods_per_second", "ratio_to_plain", "writes_per_pod", "p50_seconds", "p99_seconds"}


def test_it_measures_all_three_parts(engine: EngineName, tmp_path: Path) -> None:
    sizes = ["--jobs=8", "--projects=3", "--profiles=2", "--at-work=4", f"--engine={engine.value}"]
    command = [sys.executable, "-m", "benchmarks.bridge", *sizes, f"--json={tmp_path / 'rows.json'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "rows.json").read_text())
    rows = {row["name"]: row for row in found["rows"] if row["name"] != "decision"}
    assert all(row.keys() >= FIELDS for row in found["rows"])
    # 3 projects and 4 pods; 3 projects and 2 runners; a page and 2 runners.
    assert [rows[f"read by {name}"]["requests_per_look"] for name in ("plain", "rest", "graphql")] == [7, 5, 3]
    assert [row["pods"] for row in found["rows"] if row["name"] == "decision"] == [0, 8]
    served = rows["pending job to pod"]
    assert served["pods"] == 8
    assert 0 < served["p50_seconds"] <= served["p99_seconds"]
    assert served["ratio_to_plain"] > 0
    assert "Serving" in done.stdout
