"""What stays behind in a target that was away when its Target was deleted, or was replaced by another cluster.

One entry for each lost target in the ConfigMap `isthmus-left-behind` of the agent's namespace, as JSON, for
`isthmus audit` and for the agent, which deletes what is left when a Target leads to that cluster again.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from federation.model.reading import Unreadable, check, fitting, json_text
from federation.model.shape import Fields, Items, Text, Whole, Words

CONFIG_MAP = "isthmus-left-behind"
PODS_MAX = 500  # names on record for people; deletion goes by labels. A ConfigMap holds 1 MiB.

_WORD = Text(512)
_ENTRY = Fields(
    {
        "namespace": _WORD,
        "name": _WORD,
        "label": _WORD,
        "cluster_id": _WORD,
        "since": _WORD,
        "pod_count": Whole(0),
        "pods": Items(_WORD),
    },
    ("namespace", "name", "label", "cluster_id", "since", "pod_count", "pods"),
)


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
    data = manifest.get("data") if isinstance(manifest, dict) else None
    found = []
    for text in (fitting(data or {}, Words()) or {}).values():
        with suppress(Unreadable):
            entry = json_text(text, CONFIG_MAP)
            check(entry, _ENTRY, CONFIG_MAP)
            found.append(LeftBehind(**{key: entry[key] for key in _ENTRY.known} | {"pods": tuple(entry["pods"])}))
    return found
