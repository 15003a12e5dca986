"""Events, which two groups serve: core/v1 stores them, events.k8s.io/v1 shows the same objects under newer names."""

from lab.api_server.core.manifest import Manifest
from lab.api_server.kinds.model import reader

RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
OLD_NAMES = {new: old for old, new in RENAMED.items()}
OBJECT_MEMBERS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

FIELDS = {f"involvedObject.{member}": reader("involvedObject", member) for member in OBJECT_MEMBERS} | {
    "reason": reader("reason"),
    "type": reader("type"),
    "source": reader("source", "component"),
    "reportingComponent": reader("reportingComponent"),
}
NEW_FIELDS = {f"regarding.{member}": reader("involvedObject", member) for member in OBJECT_MEMBERS} | {
    "reason": reader("reason"),
    "type": reader("type"),
    "reportingController": reader("reportingComponent"),
}


def to_core(manifest: Manifest) -> Manifest:
    """Return an events.k8s.io object as it is stored."""
    return {OLD_NAMES.get(key, key): value for key, value in manifest.items()} | {"apiVersion": "v1"}


def from_core(manifest: Manifest) -> Manifest:
    """Return a stored Event as events.k8s.io shows it."""
    return {RENAMED.get(key, key): value for key, value in manifest.items()} | {"apiVersion": "events.k8s.io/v1"}
