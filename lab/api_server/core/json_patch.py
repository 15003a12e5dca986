"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) on plain values.

Both return a new value and leave the original alone. A patch that does not apply raises `PatchError`; a `test` that
fails raises `TestFailed`, which upstream answers with 422 as well but which callers use as a precondition.
"""

from typing import Any

from lab.api_server.core.manifest import Manifest, clone


class PatchError(Exception):
    """The patch is malformed or does not fit the object."""


class TestFailed(PatchError):
    """A `test` operation found another value."""

    __test__ = False  # not a test case, whatever pytest thinks of its name


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply an RFC 7386 patch; as upstream's library, it drops nulls of objects in lists too, which the RFC keeps."""
    if not isinstance(patch, dict):
        return _without_nulls(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def json_patch(target: Manifest, operations: Any) -> Manifest:
    """Apply an RFC 6902 patch."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise PatchError("a JSON patch is a list of operations")
    document: Any = clone(target)
    for operation in operations:
        document = _apply(document, operation)
    if not isinstance(document, dict):
        raise PatchError("the patched document is not an object")
    return document


def _apply(document: Any, operation: Manifest) -> Any:
    name, path = operation.get("op"), _pointer(operation.get("path"))
    match name:
        case "add":
            return _add(document, path, _value(operation))
        case "remove":
            return _remove(document, path)
        case "replace":
            _find(document, path[:-1])
            return _value(operation) if not path else _set(document, path, _value(operation))
        case "test":
            return _test(document, path, operation)
        case "move":
            source = _pointer(operation.get("from"))
            value = _find(document, source)
            return _add(_remove(document, source), path, value)
        case "copy":
            source = _pointer(operation.get("from"))
            return _add(document, path, clone({"value": _find(document, source)})["value"])
    raise PatchError(f"Unexpected kind: {name}")


def _value(operation: Manifest) -> Any:
    if "value" not in operation:
        raise PatchError(f"{operation.get('op')} operation without a value at {operation.get('path')}")
    return operation["value"]


def _test(document: Any, path: list[str], operation: Manifest) -> Any:
    shown = operation.get("path")
    try:
        found = _find(document, path)
    except PatchError:
        found = None
    if found != operation.get("value"):
        raise TestFailed(f"testing value {shown} failed: test failed")
    return document


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{text!r} is not a JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _index(items: list[Any], step: str, *, insert: bool = False) -> int:
    if insert and step == "-":
        return len(items)
    if not step.isdigit() or int(step) >= len(items) + insert:
        raise PatchError(f"Unable to access invalid index: {step}: invalid index referenced")
    return int(step)


def _find(document: Any, path: list[str]) -> Any:
    for position, step in enumerate(path):
        if isinstance(document, list):
            document = document[_index(document, step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            shown = "/" + "/".join(path[: position + 1])
            raise PatchError(f"path {shown} does not exist: missing value")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], insert=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise PatchError(f"add operation does not apply: doc is missing path: {'/'.join(path)}: missing value")
    return document


def _set(document: Any, path: list[str], value: Any) -> Any:
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        parent[_index(parent, path[-1])] = value
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise PatchError("remove operation does not apply to the whole document")
    try:
        parent = _find(document, path[:-1])
        parent.pop(_index(parent, path[-1]) if isinstance(parent, list) else path[-1])
    except (KeyError, PatchError, AttributeError, TypeError) as error:
        shown = "/" + "/".join(path)
        raise PatchError(f"remove operation does not apply: doc is missing path: {shown}: missing value") from error
    return document
