"""What an audit says: as data first, whose shape is kept (docs/audit.md), then as a table made from that data."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.audit.auditing import Verdict
from federation.model.audit import Finding, SeenCluster, Severity, Unread

Data = dict[str, Any]

_HEADINGS = {Severity.VIOLATION: "Violations", Severity.LEAK: "Leaks", Severity.WARNING: "Warnings"}
_PLURALS = {"clusters": "cluster", "pods": "pod", "chaperons": "chaperon"}


def as_data(verdict: Verdict) -> Data:
    """Return the verdict, ready for JSON."""
    seen = verdict.observed
    return {
        "exit_code": verdict.exit_code,
        "source": {"name": seen.source.name, "id": seen.source.id},
        "clusters": [_cluster(cluster) for cluster in seen.clusters],
        "audited": {
            "clusters": len(seen.clusters),
            "pods": len(seen.source.proxies),
            "chaperons": sum(len(cluster.chaperons) for cluster in seen.clusters),
            "looks": verdict.looks,
        },
        "counts": {
            severity.value: sum(finding.severity is severity for finding in verdict.findings) for severity in Severity
        },
        "findings": [_finding(finding) for finding in verdict.findings],
        "unaudited": [_unread(unread) for unread in seen.unread],
    }


def _cluster(cluster: SeenCluster) -> Data:
    return {
        "name": cluster.name,
        "id": cluster.id,
        "targets": sorted(f"{target.namespace}/{target.name}".lstrip("/") for target in cluster.targets),
        "chaperons": len(cluster.chaperons),
        "pods": len(cluster.pods),
        "copies": len(cluster.copies),
    }


def _finding(finding: Finding) -> Data:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "cluster": finding.cluster,
        "kind": finding.kind,
        "namespace": finding.namespace,
        "name": finding.name,
        "uid": finding.uid,
        "message": finding.message,
        "fix": finding.fix,
    }


def _unread(unread: Unread) -> Data:
    return {
        "cluster": unread.cluster,
        "what": unread.what,
        "why": unread.why,
        "by_design": unread.is_by_design,
    }


def show(data: Data, console: Console) -> None:
    """Print the data as tables, one for each severity, then what was not audited, then one line of summary."""
    for severity, heading in _HEADINGS.items():
        if found := [finding for finding in data["findings"] if finding["severity"] == severity.value]:
            console.print(_table(heading, found), "")
    for unread in data["unaudited"]:
        mark = "not audited" if unread["by_design"] else "[bold]NOT AUDITED[/bold]"
        console.print(f"{mark}: {escape(unread['cluster'])}: {escape(unread['what'])}: {escape(unread['why'])}")
    console.print(summary(data), markup=False)


def _table(heading: str, found: list[Data]) -> Table:
    table = Table("RULE, OBJECT", "WHAT IS WRONG, WHAT TO DO", title=heading, title_justify="left", box=None)
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    for number, finding in enumerate(found):
        if number:
            table.add_row()
        place = f"{finding['namespace']}/{finding['name']}".lstrip("/")
        what = (
            f"[bold]{escape(finding['rule'])}[/bold]\n{escape(finding['cluster'])}: {finding['kind']}\n{escape(place)}"
        )
        table.add_row(what, f"{escape(finding['message'])}\n-> {escape(finding['fix'])}")
    return table


def summary(data: Data) -> str:
    """Return the last line: what was looked at and what was found."""
    audited, counts = data["audited"], data["counts"]
    looked = ", ".join(_count(audited[name], one, name) for name, one in _PLURALS.items())
    found = [_count(counts[severity.value], severity.value, _HEADINGS[severity].lower()) for severity in Severity]
    return f"audited {looked}: {', '.join(found)}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
