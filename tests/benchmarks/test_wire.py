"""`python -m benchmarks.wire`."""

import json
from pathlib import Path

from benchmarks.rows import write_json
from benchmarks.wire import PARSERS, bytes_per_object, measure, parse


async def test_it_measures_every_parser(tmp_path: Path) -> None:
    options = parse(["--objects", "60", "--events", "120", "--json", str(tmp_path / "wire.json")])
    rows = await measure(options.objects, options.events)
    write_json(options.json, "wire", rows, {})
    written = json.loads(options.json.read_text())["rows"]
    assert [row["name"] for row in written] == list(PARSERS)
    for row in written:
        assert row["pods"] == 60
        assert row["events_per_second"] > 0
        assert row["ratio_to_plain"] > 0


def test_a_pod_that_runs_is_kept_in_3_kb() -> None:
    """The aim of the reference; deterministic, unlike the times. Gated ones are kept whole until they are bound."""
    for name in ("proxy", "chaperon", "chaperon in its target", "delegate"):
        kind, parser = PARSERS[name]
        assert bytes_per_object(kind, parser, 200) < 3000, name
    kind, parser = PARSERS["gated proxy"]
    assert bytes_per_object(kind, parser, 200) < 7000
