"""YAML that strangers write, as JSON (rule T1): no aliases, anchors or tags; bounded in size, depth and number.

An alias costs a few bytes and stands for a whole tree: 649 bytes of them made half a gigabyte. Tags make objects of
other types than JSON has. Neither is needed in a kubeconfig or a pod. JSON, which is YAML too, is read as JSON.

The text is looked through event by event, without recursion, before anything is built from it.
"""

import math
from typing import Any, ClassVar

import orjson
import yaml

from federation.model.reading import DEPTH_MAX, Unreadable, check
from federation.model.shape import NUMBER_MAX, Anything

BYTES_MAX = 256 * 1024  # what all annotations of an object have together; kubeconfigs have some thousands
_NODES_MAX = 50_000  # scalars, lists and mappings; a pod with every field set has about a thousand
_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast, where there is one


class _Loader(_Base):  # type: ignore[misc]  # which of the two it is depends on how PyYAML was built
    """Makes of plain scalars what JSON has, and leaves times and merge keys the texts that they are."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load(text: str | bytes, what: str, bytes_max: int = BYTES_MAX) -> Any:
    """Return what a YAML text says, in JSON's types; raises Unreadable, which begins with `what`."""
    if len(text) > bytes_max:
        raise Unreadable(f"{what} is longer than {bytes_max} bytes")
    try:
        value = _value(text, what)
    except UnicodeDecodeError:
        raise Unreadable(f"{what} is not UTF-8") from None
    check(value, Anything(), what)
    return value


def _value(text: str | bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        _look_through(text, what)
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader that knows still less
    except yaml.YAMLError as error:
        raise Unreadable(f"{what} is not YAML: {_reason(error)}") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, Unreadable | UnicodeDecodeError):
            raise
        raise Unreadable(f"{what} holds a number that cannot be read") from None
    _as_json(value, what)
    return value


def _look_through(text: str | bytes, what: str) -> None:
    depth = count = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Unreadable(f"{what}: anchors and aliases are not allowed ({_place(event)}); write it out")
        if getattr(event, "tag", None) is not None:
            raise Unreadable(f"{what}: tags are not allowed ({_place(event)})")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > DEPTH_MAX or count > _NODES_MAX:
            raise Unreadable(f"{what} is nested deeper than {DEPTH_MAX} levels, or has more than {_NODES_MAX} parts")


def _as_json(value: Any, what: str) -> None:
    """Refuse what JSON cannot say; nothing is nested too deep or joined by aliases by now."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise Unreadable(f"{what}: every key must be a string (quote it)")
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise Unreadable(f"{what}: a number must be finite")
        elif isinstance(item, int) and abs(item) > NUMBER_MAX:
            raise Unreadable(f"{what}: a whole number must fit 64 bits")


def _place(event: Any) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _reason(error: yaml.YAMLError) -> str:
    """Return where and why, without a piece of the text: it may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or 'it has a character that YAML does not allow'}{where}"
