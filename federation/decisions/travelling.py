"""Which annotations of a pod reach a target, and under which keys (rule T5).

To controllers in a target an annotation is an order: a mesh injects, a network is joined. So foreign keys travel under
our prefix, as labels do, where nobody looks; the original is beside them on record, and the target's own agent puts it
there as well where its owner lets it in. What the pod itself reads of them by the downward API is read under the key
that they travel by.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from federation import names

Manifest = dict[str, Any]

_NAME_MAX = 63
_HASH_LENGTH = 10
_PAIR = re.compile(r"([^=\s]+)=([^=\s]+)")
_FIELD = re.compile(r"metadata\.annotations\['([^']+)'\]")
# Names under our prefix that mean something to us or to Admiralty: no foreign key may become one of them.
_RESERVED = frozenset(
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and value.startswith(names.PREFIX)
)


def moved_keys(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the key that each foreign annotation travels by; no two are alike, whatever their names."""
    wanted = {key: names.PREFIX + key.rpartition("/")[2] for key in annotations}
    count = Counter(wanted.values())
    return {
        key: moved if count[moved] == 1 and moved not in _RESERVED else _hashed(key, moved)
        for key, moved in wanted.items()
    }


def _hashed(key: str, moved: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()[:_HASH_LENGTH]
    short = moved.removeprefix(names.PREFIX)[: _NAME_MAX - _HASH_LENGTH - 1].rstrip("-_.")
    return f"{names.PREFIX}{short}-{digest}"


def travelling(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return a chaperon's annotations for these foreign ones of a proxy, with the record of their own keys."""
    moved = moved_keys(annotations)
    if not moved:
        return {}
    record = " ".join(f"{moved[key]}={key}" for key in sorted(annotations))
    return {moved[key]: value for key, value in annotations.items()} | {names.MOVED: record}


def let_in(annotations: Mapping[str, str], is_allowed: Callable[[str], bool]) -> dict[str, str]:
    """Return a pod's annotations in a target: ours of the chaperon, and by their own keys those that the owner lets in.

    A source that does not move them (Admiralty, or one that means harm) sends others by their own keys: those stay out.
    """
    own = {
        key: annotations[moved]
        for moved, key in _recorded(annotations.get(names.MOVED, ""))
        if moved in annotations and not key.startswith((names.PREFIX, names.OURS)) and is_allowed(key)
    }
    kept = {
        key: value
        for key, value in annotations.items()
        if key != names.MOVED and (key.startswith((names.PREFIX, names.OURS)) or is_allowed(key))
    }
    return kept | own


def _recorded(text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        if match := _PAIR.fullmatch(word):
            yield match[1], match[2]


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a key is on a list of keys, or of their beginnings with `*` at the end."""
    patterns = [pattern.strip() for pattern in patterns]
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
    return lambda key: key in exact or key.startswith(beginnings)


def read_as_moved(spec: Manifest, moved: Mapping[str, str]) -> None:
    """Have a pod's downward API read annotations by the keys that they travel by; `spec` is changed in place."""
    for ref in _field_refs(spec):
        match = _FIELD.fullmatch(str(ref.get("fieldPath")))
        if match and match[1] in moved:
            ref["fieldPath"] = f"metadata.annotations['{moved[match[1]]}']"


def _field_refs(spec: Manifest) -> Iterator[Manifest]:
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for variable in container.get("env") or []:
            if ref := (variable.get("valueFrom") or {}).get("fieldRef"):
                yield ref
    for volume in spec.get("volumes") or []:
        sources = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for item in (item for source in sources for item in (source.get("downwardAPI") or {}).get("items") or []):
            if ref := item.get("fieldRef"):
                yield ref
