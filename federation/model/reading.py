"""Reads what strangers write: JSON whose shape, size and depth are checked before anybody looks into it (rule T1).

A `Shape` says of the fields that we look at what they must be; fields that it does not name pass through, bounded by
depth and number alone. Null is as good as absent. There are two ways to use one:

- `check` refuses the whole object. For what an API server of ours has typed, and for what an object cannot do without.
- `fitting` leaves out what does not fit and cuts texts that are too long. For what a stranger says beside that: a bad
  annotation or condition is then as good as none, and never hides the object that it is on.

`Unreadable` is the only error, whatever comes in. It names the object and the field, and quotes no value: that may be
long, or secret.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import orjson

from federation.model.shape import (
    NAME_MAX,
    TEXT_MAX,
    Anything,
    Fields,
    Flag,
    Items,
    Misfit,
    Name,
    Shape,
    Text,
    Whole,
    Words,
)

T = TypeVar("T")
Manifest = dict[str, Any]

DEPTH_MAX = 64  # a pod with every field set is 15 deep, and managedFields 20; ten times as deep breaks recursion
NODES_MAX = 200_000  # objects and lists within one manifest; one of 1.5 MiB that is no attack has some thousands

_DIGITS = re.compile(r"[0-9]{1,18}")


class Unreadable(ValueError):
    """An object that cannot be used: the message names it, the field, and what it must be."""


_OWNER = Fields({"apiVersion": Text(), "kind": Text(), "name": Text(), "uid": Text(), "controller": Flag()}, ("uid",))
METADATA = Fields(
    {
        "name": Name(),
        "namespace": Name(),
        "uid": Text(NAME_MAX),
        "resourceVersion": Text(NAME_MAX),
        "generation": Whole(),
        "creationTimestamp": Text(),
        "deletionTimestamp": Text(),
        "labels": Words(),
        "annotations": Words(),
        "finalizers": Items(Text()),
        "ownerReferences": Items(
            Fields(
                {"apiVersion": Text(), "kind": Text(), "name": Text(), "uid": Text(), "controller": Flag()}, ("uid",)
            )
        ),
    },
    required=("name", "uid"),
)
NAMED = Fields(METADATA.known, ("name",))  # what is looked at and never written to
STORED = Fields(METADATA.known, (*METADATA.required, "resourceVersion"))  # what a store keeps


def described(kind: str, manifest: object) -> str:
    """Return how an error calls an object: its kind, namespace and name, as far as it has any."""
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    found = [metadata.get(key) for key in ("namespace", "name")] if isinstance(metadata, dict) else []
    shown = "/".join(part[:NAME_MAX] for part in found if isinstance(part, str) and part)
    return f"{kind} {shown or '(without a name)'}"


def check(value: object, shape: Shape, what: str) -> None:
    """Raise Unreadable for `what` (as `described` says it) unless `value` has this shape, depth and size."""
    try:
        shape.check(value, "")
        _bounded(value)
    except Misfit as misfit:
        raise _unreadable(what, misfit) from None


def reads(kind: str, shape: Fields) -> Callable[[Callable[[Manifest], T]], Callable[[Manifest], T]]:
    """Decorate a parser: what it gets has this shape (with metadata), else Unreadable is raised."""

    def decorate(parse: Callable[[Manifest], T]) -> Callable[[Manifest], T]:
        @wraps(parse)
        def checked(manifest: Manifest) -> T:
            try:
                shape.check(manifest, "")
                _bounded(_without_managed_fields(manifest))
            except Misfit as misfit:
                raise _unreadable(described(kind, manifest), misfit) from None
            return parse(manifest)

        return checked

    return decorate


def _unreadable(what: str, misfit: Misfit) -> Unreadable:
    path, why = misfit.args
    return Unreadable(f"{what}: {path.lstrip('.')} {why}" if path else f"{what} {why}")


def fitting(value: Any, shape: Shape) -> Any:
    """Return what of a value fits: its bad fields and items left out, long texts cut; None where nothing does.

    The value itself is returned where all of it fits. Whoever calls has checked its depth.
    """
    try:
        shape.check(value, "")
    except Misfit:
        return shape.fit(value)
    return value


def json_text(text: object, what: str, bytes_max: int = TEXT_MAX) -> Any:
    """Return what a text says in JSON; raises Unreadable for `what` where it is none, too long or nested too deep."""
    if not isinstance(text, str | bytes) or len(text) > bytes_max:
        raise Unreadable(f"{what} must be a JSON text of at most {bytes_max} characters")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"{what} is not JSON: {str(error)[:NAME_MAX]}") from None
    check(value, Anything(), what)
    return value


def whole(text: object, default: int = 0) -> int:
    """Return the number that a text of at most 18 ASCII digits is, else the default: `int` takes other digits too."""
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else default


def _without_managed_fields(manifest: Manifest) -> list[object]:
    """Return the parts of a manifest to walk through: two thirds of an object may be what nobody here looks at."""
    metadata = manifest.get("metadata")
    parts = [part for key, part in manifest.items() if key != "metadata"]
    return [*parts, *(part for key, part in metadata.items() if key != "managedFields")] if metadata else parts


def _bounded(value: object) -> None:
    """Refuse what is nested too deep or has too many parts; takes time by its size, and no recursion."""
    level, count = [value] if isinstance(value, dict | list) else [], 0
    for _ in range(DEPTH_MAX):
        below = []
        for item in level:
            for part in item.values() if type(item) is dict else item:
                kind = type(part)
                if kind is dict or kind is list:  # every object is walked: `isinstance` would take twice as long
                    below.append(part)
        count += len(below)
        if count > NODES_MAX:
            raise Misfit("", f"has more than {NODES_MAX} objects and lists")
        if not below:
            return
        level = below
    raise Misfit("", f"is nested deeper than {DEPTH_MAX} levels")
