"""Reads a `.gitlab-ci.yml` into plain dicts: YAML, then `!reference`, then `extends`. Knows no keyword besides
`extends`.

GitLab resolves in this order, and it matters: a `!reference` may point into a hidden job, and `extends` merges what
the references became. Maps merge key by key, anything else (lists too) is replaced. Depths are limited as GitLab
limits them, so that a loop in the file is an error and not a hang.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from lab.gitlab.errors import CiConfigError

REFERENCE_DEPTH_MAX = 10  # GitLab's own limit; deeper nesting is a loop in practice
EXTENDS_DEPTH_MAX = 11  # the same

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Reference:
    """A `!reference [job, key, ...]` that has not been looked up yet."""

    path: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML plus `!reference`."""


def _construct_reference(loader: yaml.SafeLoader, node: yaml.Node) -> Reference:
    if not isinstance(node, yaml.SequenceNode):
        raise CiConfigError(f"!reference at line {node.start_mark.line + 1} must be a list such as [job, key]")
    return Reference(tuple(str(part) for part in loader.construct_sequence(node)))


_Loader.add_constructor("!reference", _construct_reference)


def load(text: str) -> Document:
    """The file's top-level map with references and extends resolved; raises CiConfigError."""
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with one more tag
    except yaml.YAMLError as error:
        raise CiConfigError(f"Invalid configuration format: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise CiConfigError("Invalid configuration format: the file must be a map of keywords and jobs")
    document = {str(key): value for key, value in raw.items()}
    try:
        resolved = {key: _dereference(document, value, 0) for key, value in document.items()}
    except RecursionError:
        raise CiConfigError("Invalid configuration format: an anchor contains itself") from None
    return {key: _extended(resolved, key, ()) for key in resolved}


def _dereference(document: Document, value: object, depth: int) -> object:
    if depth > REFERENCE_DEPTH_MAX:
        raise CiConfigError(f"!reference is nested deeper than {REFERENCE_DEPTH_MAX} levels, or refers to itself")
    if isinstance(value, Reference):
        return _dereference(document, _look_up(document, value), depth + 1)
    if isinstance(value, dict):
        return {str(key): _dereference(document, item, depth) for key, item in value.items()}
    if isinstance(value, list):
        return [_dereference(document, item, depth) for item in value]
    return value


def _look_up(document: Document, reference: Reference) -> object:
    found: object = document
    for part in reference.path:
        if not isinstance(found, dict) or part not in found:
            raise CiConfigError(f"!reference {list(reference.path)} could not be found")
        found = found[part]
    return found


def _extended(document: Document, key: str, seen: tuple[str, ...]) -> object:
    value = document[key]
    if not isinstance(value, dict) or "extends" not in value:
        return value
    if key in seen:
        raise CiConfigError(f"{key}: circular dependency detected in `extends`")
    if len(seen) >= EXTENDS_DEPTH_MAX:
        raise CiConfigError(f"{key}: nesting too deep in `extends`")
    merged: object = {}
    for parent in _parents(key, value["extends"]):
        if parent not in document:
            raise CiConfigError(f"{key}: unknown keys in `extends` ({parent})")
        if not isinstance(document[parent], dict):
            raise CiConfigError(f"{key}: invalid base hash in `extends` ({parent})")
        merged = _merge(merged, _extended(document, parent, (*seen, key)))
    return _merge(merged, {name: item for name, item in value.items() if name != "extends"})


def _parents(key: str, extends: object) -> list[str]:
    names = [extends] if isinstance(extends, str) else extends
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CiConfigError(f"jobs:{key}:extends config should be an array of strings or a string")
    return names


def _merge(below: object, above: object) -> object:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _merge(below[key], item) if key in below else item for key, item in above.items()}}
