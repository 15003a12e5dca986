"""The annotation in which kubectl's client-side apply keeps what it applied, seen from server-side apply.

Whoever goes over from one to the other must not be told of a conflict with himself, and must be able to go back.
"""

from typing import Any

import orjson

from lab.api_server.core.field_sets import FieldSet, difference
from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.typed import Comparison, NotDeclared, fields_of
from lab.api_server.kinds.model import Kind

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def fields_of_last_applied(kind: Kind, live: Manifest) -> FieldSet:
    """Return the fields that client-side apply set and that still have its values."""
    try:
        applied: Any = orjson.loads(at(live, "metadata", "annotations", LAST_APPLIED) or "{}")
        fields = fields_of(applied, kind.schema)
        changed = Comparison(applied, live, kind.schema)
    except (orjson.JSONDecodeError, NotDeclared):
        return {}
    for part in (changed.modified, changed.added, changed.removed):
        fields = difference(fields, part)
    return fields


def remember(current: Manifest, applied: Manifest, config: Manifest) -> None:
    """Keep the annotation of client-side apply true where there is one."""
    if not at(current, "metadata", "annotations", LAST_APPLIED):
        return
    annotations = {**(applied["metadata"].get("annotations") or {})}
    annotations[LAST_APPLIED] = orjson.dumps(config, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    applied["metadata"]["annotations"] = annotations
