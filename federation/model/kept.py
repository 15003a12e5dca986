"""What is kept of a manifest besides the fields we decide on: JSON text, a quarter of what it takes as dicts.

Dicts would also be walked by every full garbage collection, and stop the loop for as long as there are objects.
Nulls are dropped: an API server writes them for built-in kinds (`lastProbeTime`) and drops them from custom ones, so
a pod's status and its copy on a PodChaperon would never be equal.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

Manifest = dict[str, Any]

# The same few manifests are looked at again and again while candidates are made; more would only take memory.
_OPENED_AT_ONCE = 32


def keep(value: Mapping[str, Any]) -> bytes:
    """Return a JSON object as text, without its nulls."""
    return _exact(orjson.dumps(without_nulls(value)))


def keep_manifest(manifest: Mapping[str, Any]) -> bytes:
    """Return a whole manifest as text, without `managedFields`, which nobody copies through."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return _exact(orjson.dumps({**manifest, "metadata": metadata}))


def _exact(text: bytes) -> bytes:
    """Return a copy: what orjson returns keeps the buffer it was written in, up to four times as large."""
    return bytes(memoryview(text))


def opened(text: bytes) -> Manifest:
    """Return what `keep` was given, anew each time."""
    value: Manifest = orjson.loads(text)
    return value


@lru_cache(maxsize=_OPENED_AT_ONCE)
def opened_manifest(text: bytes) -> Manifest:
    """Return what `keep_manifest` was given: read-only, because several callers may get the same one."""
    return opened(text)


def without_nulls(value: Any) -> Any:
    """Return a JSON value without fields that are null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
