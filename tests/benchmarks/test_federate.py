"""`python -m benchmarks.federate` on both engines."""

import json
from pathlib import Path

import pytest

from benchmarks.federate import measure, parse, report
from benchmarks.rows import write_json
from lab.plan import EngineName


@pytest.mark.kwok
@pytest.mark.timeout(300)
async def test_it_measures_plain_and_federated_pods(
    engine: EngineName, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--engine", engine.value, "--targets", "1,2", "--pods", "8", "--nodes", "2", "--alone", "1"]
    options = parse([*arguments, "--json", str(tmp_path / "federate.json")])
    rows = await measure(options)
    report(rows, options.engine)
    assert "2 targets" in capsys.readouterr().out
    write_json(options.json, "federate", rows, {"engine": options.engine})
    plain, one, _, two = json.loads(options.json.read_text())["rows"]
    assert (plain["targets"], one["targets"], two["targets"]) == (0, 1, 2)
    for row in (plain, one, two):
        assert row["pods_per_second"] > 0
        assert row["p50_seconds"] <= row["p99_seconds"]
        assert {"agent", "extender", "api-server"} <= row["cpu_seconds_by_role"].keys()
    assert plain["ratio_to_plain"] == 1.0
    # Eleven are needed; a conflict now and then on a busy machine is not counted as waste.
    assert _of_pods(one) < 12, one["writes_by_kind"]
    assert _of_pods(two) < 2 * _of_pods(one), "a second target is asked only where the first takes its time"


def _of_pods(row: dict[str, dict[str, float]]) -> float:
    return sum(value for kind, value in row["writes_by_kind"].items() if " pod" in kind)
