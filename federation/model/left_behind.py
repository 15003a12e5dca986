"""What stays behind in a target that was away when its Target was deleted, or was replaced by another cluster.

One entry for each lost target in the ConfigMap `isthmus-left-behind` of the agent's namespace, as JSON, for
`isthmus audit` and for the agent, which deletes what is left when a Target leads to that cluster again.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

CONFIG_MAP = "isthmus-left-behind"
PODS_MAX = 500  # names on record for people; deletion goes by labels. A ConfigMap holds 1 MiB.


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """One lost target.

    `namespace` and `name` are the Target's (no namespace: a ClusterTarget's), `label` marks its chaperons there.
    `cluster_id` is empty where it was never known. `pods` are `namespace/name` of proxies that may have left a
    PodChaperon there, of `pod_count` in all; `since` is RFC 3339.
    """

    namespace: str
    name: str
    label: str
    cluster_id: str
    since: str
    pod_count: int
    pods: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its key in the ConfigMap: one for each target and cluster."""
        return f"{self.label}.{self.cluster_id or 'unknown'}"

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def parse_left_behind(manifest: dict[str, Any]) -> list[LeftBehind]:
    """Return the entries of the ConfigMap; what cannot be read is left out."""
    found = []
    for text in (manifest.get("data") or {}).values():
        try:
            entry = json.loads(text)
            found.append(LeftBehind(**(entry | {"pods": tuple(entry["pods"])})))
        except (ValueError, KeyError, TypeError):
            continue
    return found
