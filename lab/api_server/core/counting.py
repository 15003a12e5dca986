"""A counter of requests in Prometheus' text format, under upstream's metric name.

Tests and benchmarks count requests on the embedded and on the real API server with the same query.
"""

from collections import Counter as Tally

from lab.api_server.core.request import Answer, Request, Response
from lab.api_server.core.routes import Target

NAME = "apiserver_request_total"
VERBS = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}


class Counter:
    """Counts answered requests."""

    def __init__(self) -> None:
        self._counts: Tally[tuple[str, ...]] = Tally()

    def count(self, request: Request, target: Target | None, answer: Answer) -> None:
        """Take note of one request."""
        code = str(answer.status) if isinstance(answer, Response) else "200"
        if target is None:
            self._counts[(code, "", "", request.method, "", "")] += 1
            return
        verb = VERBS.get(target.verb, request.method)
        self._counts[(code, target.group, target.plural, verb, target.subresource, target.version)] += 1

    def text(self) -> str:
        """Return the metric."""
        lines = [f"# HELP {NAME} Counter of apiserver requests.", f"# TYPE {NAME} counter"]
        for (code, group, resource, verb, subresource, version), count in sorted(self._counts.items()):
            labels = (
                f'code="{code}",component="apiserver",dry_run="",group="{group}",resource="{resource}",scope="",'
                f'subresource="{subresource}",verb="{verb}",version="{version}"'
            )
            lines.append(f"{NAME}{{{labels}}} {count}")
        return "\n".join(lines) + "\n"
