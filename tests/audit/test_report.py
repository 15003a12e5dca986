"""What an audit says, to people at 80 columns and to programs."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from federation import names
from federation.audit.auditing import CLEAN, UNREAD, UNSOUND, Verdict
from federation.audit.report import Data, as_data, show, summary
from federation.decisions.audit import findings, in_order
from federation.model.audit import Observed, Unread
from tests.decisions.federations import adding, chaperon, in_cluster, sound

BLIND = Unread("gpu-west", "everything", "it answers [no] more")
BY_DESIGN = Unread("arm", "copies that are left over (secrets)", "its kubeconfig may not list them", is_by_design=True)


def verdict(seen: Observed, *unread: Unread) -> Verdict:
    return Verdict(replace(seen, unread=unread), tuple(in_order(findings(seen))), looks=2)


def spoilt() -> Observed:
    long = chaperon("a-pod-with-a-name-that-is-as-long-as-names-of-runners-are-in-practice", "windows")
    seen = adding(in_cluster(sound(), "windows", pods=()), "windows", long)
    return adding(seen, "windows", chaperon("job", "windows", names.IS_ALLOWED))


def printed(data: Data) -> list[str]:
    out = StringIO()
    show(data, Console(file=out, width=80))
    return out.getvalue().splitlines()


def columns(lines: list[str]) -> str:
    """All that stands in the left columns, then all in the right ones, without spaces."""
    left, right, edge = "", "", 80
    for line in lines:
        edge = line.find("WHAT IS WRONG") if "WHAT IS WRONG" in line else edge
        left, right = left + line[:edge], right + line[edge:]
    return "".join((left + right).split())


def test_everything_fits_into_80_columns_and_nothing_is_cut_off() -> None:
    lines = printed(as_data(verdict(spoilt(), BLIND, BY_DESIGN)))
    assert max(map(len, lines)) <= 80
    shown = columns(lines)
    for finding in findings(spoilt()):
        for said in (finding.rule, finding.name, finding.message, finding.fix):
            assert "".join(said.split()) in shown
    assert "".join(BLIND.why.split()) in "".join("".join(lines).split()), "what an API server says is no markup"
    headings = [line.strip() for line in lines if line.strip() in ("Violations", "Leaks", "Warnings")]
    assert headings == ["Violations", "Leaks", "Warnings"]


def test_the_summary_counts() -> None:
    clean, bad = as_data(verdict(sound())), as_data(verdict(spoilt()))
    assert summary(clean) == "audited 2 clusters, 2 pods, 3 chaperons: 0 violations, 0 leaks, 0 warnings"
    assert summary(bad) == "audited 2 clusters, 2 pods, 5 chaperons: 3 violations, 1 leak, 1 warning"
    assert printed(clean) == [summary(clean)]


def test_json_has_the_fields_that_the_page_names() -> None:
    data = as_data(verdict(spoilt(), BLIND))
    assert set(data) == {"exit_code", "source", "clusters", "audited", "counts", "findings", "unaudited"}
    assert data["source"] == {"name": "home", "id": "home-id"}
    assert data["clusters"][0] == {
        "name": "arm",
        "id": "arm-id",
        "targets": ["ci/arm"],
        "chaperons": 2,
        "pods": 2,
        "copies": 2,
    }
    assert data["counts"] == {"violation": 3, "leak": 1, "warning": 1}
    keys = {"rule", "severity", "cluster", "kind", "namespace", "name", "uid", "message", "fix"}
    assert all(set(finding) == keys for finding in data["findings"])
    assert data["unaudited"] == [
        {"cluster": "gpu-west", "what": "everything", "why": "it answers [no] more", "by_design": False}
    ]


@pytest.mark.parametrize(
    ("seen", "unread", "code"),
    [
        (sound(), (), CLEAN),
        (sound(), (BY_DESIGN,), CLEAN),
        (sound(), (BLIND,), UNREAD),
        (spoilt(), (BLIND,), UNSOUND),
        (in_cluster(sound(), "windows", pods=()), (), CLEAN),
    ],
    ids=["clean", "blind by design", "blind", "spoilt and blind", "warnings alone"],
)
def test_the_exit_code(seen: Observed, unread: tuple[Unread, ...], code: int) -> None:
    assert verdict(seen, *unread).exit_code == code
    assert as_data(verdict(seen, *unread))["exit_code"] == code
