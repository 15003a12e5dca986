"""Who makes which write: kube-apiserver's audit log, read after a run with `--who`."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection", "get"]},
    ],
}
LOG = "audit.log"


def flags(directory: Path) -> tuple[str, ...]:
    """Write the policy and return kube-apiserver's flags for it; `{directory}` there is each cluster's own."""
    directory.mkdir(parents=True, exist_ok=True)
    policy = directory / "audit-policy.json"
    policy.write_text(json.dumps(POLICY))
    return (f"--audit-policy-file={policy}", f"--audit-log-path={{directory}}/{LOG}", "--audit-log-maxsize=2000")


class Audit:
    """The audit logs of several API servers, read from where the last reading ended."""

    def __init__(self, logs: Iterable[Path]) -> None:
        self._offsets = dict.fromkeys(logs, 0)

    def take(self) -> Counter[tuple[str, str]]:
        """Return how often each (kind, who) was seen since the last call."""
        counts: Counter[tuple[str, str]] = Counter()
        for path, offset in self._offsets.items():
            with path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    counts[_kind_and_who(path, json.loads(line))] += 1
                self._offsets[path] = file.tell()
        return counts


def _kind_and_who(path: Path, event: dict[str, Any]) -> tuple[str, str]:
    reference = event.get("objectRef") or {}
    resource = reference.get("resource", event.get("requestURI", "?").partition("?")[0])
    if reference.get("subresource"):
        resource += f"/{reference['subresource']}"
    code = (event.get("responseStatus") or {}).get("code", 200)
    suffix = "" if 200 <= code < 300 else f" {code}"
    return f"{event['verb']} {resource}{suffix}", f"{event['user']['username']} at {path.parent.name}"
