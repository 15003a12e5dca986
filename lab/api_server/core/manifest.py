"""Kubernetes objects as plain dicts, and the few ways in which every part of the server handles them.

An object that was stored is shared by everyone who reads it and is never changed afterwards: whoever wants to change
one takes a `clone` first. Encoding and decoding with orjson is the fastest deep copy Python has for JSON-shaped data.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

Manifest = dict[str, Any]
Clock = Callable[[], datetime]


def encode(value: Any) -> bytes:
    """Return compact JSON."""
    return orjson.dumps(value)


def clone(manifest: Manifest) -> Manifest:
    """Return a copy that shares nothing with the original."""
    return cast(Manifest, orjson.loads(orjson.dumps(manifest)))


def at(manifest: Any, *path: str) -> Any:
    """Return the value under `path`, or None where any step is missing or not an object."""
    for step in path:
        if not isinstance(manifest, dict):
            return None
        manifest = manifest.get(step)
    return manifest


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 in whole seconds, the format of metav1.Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read RFC 3339 with or without a fraction."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds_after(text: str, seconds: int) -> str:
    """Return the timestamp `seconds` after the one in `text`."""
    return timestamp(parse_timestamp(text) + timedelta(seconds=seconds))


def without_nulls(value: Any) -> Any:
    """Return `value` without object members that are null: to a typed API server they are as good as absent."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def is_true(text: str | None) -> bool:
    """Read a boolean query parameter as apimachinery does: "0" and "false" are false, other text is true."""
    return text is not None and text.lower() not in {"", "0", "false"}
