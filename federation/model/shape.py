"""What JSON must look like, as values: see `reading` for how and why (rule T1).

Every shape answers two questions about a value: `check` raises Misfit, with the path of the field, for the first thing
that does not fit; `fit` returns what of it fits, None for nothing. Null is as good as absent: nobody asks about it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

TEXT_MAX = 1 << 20  # etcd takes objects of 1.5 MiB: no text in one is longer
ITEMS_MAX = 16_384  # conditions, containers, finalizers, labels: API servers hold fewer in any object of 1.5 MiB
NUMBER_MAX = 2**63 - 1
NAME_MAX = 253  # an object's name, by Kubernetes; also the most of a stranger's name or key in a message

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"  # of 63 characters in DNS; of any length in names, by apimachinery
_OBJECT_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)


class Misfit(Exception):
    """(path of the field, what it must be); `reading` makes an Unreadable of it."""


class Shape(Protocol):
    """What a value must be."""

    def check(self, value: Any, path: str) -> None:
        """Raise Misfit unless the value fits."""
        ...

    def fit(self, value: Any) -> Any:
        """Return what of the value fits, None for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value."""

    def check(self, value: Any, path: str) -> None:
        """See Shape."""

    def fit(self, value: Any) -> Any:
        """See Shape."""
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most so many characters; a longer one is cut to fit."""

    max: int = TEXT_MAX

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, str):
            raise Misfit(path, "must be a string")
        if len(value) > self.max:
            raise Misfit(path, f"is longer than {self.max} characters")

    def fit(self, value: Any) -> str | None:
        """See Shape."""
        return value[: self.max] if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Name:
    """A name that an API server takes and that may be a part of a URL (rule T2)."""

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not is_object_name(value):
            raise Misfit(path, "is not a valid object name (a DNS-1123 subdomain)")

    def fit(self, value: Any) -> str | None:
        """See Shape."""
        return value if is_object_name(value) else None


def is_object_name(text: object) -> bool:
    """Whether a value is a DNS-1123 subdomain of at most 253 characters."""
    return isinstance(text, str) and len(text) <= NAME_MAX and _OBJECT_NAME.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether a text is a key of labels, or a resource's name: a qualified name."""
    prefix, slash, name = text.rpartition("/")
    return _QUALIFIED.fullmatch(name) is not None and (not slash or is_object_name(prefix))


def is_label_value(text: str) -> bool:
    """Whether a text is a label's value."""
    return not text or _QUALIFIED.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds; a boolean is none."""

    low: int = -NUMBER_MAX
    high: int = NUMBER_MAX

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if self.fit(value) is None:
            raise Misfit(path, f"must be a whole number from {self.low} to {self.high}")

    def fit(self, value: Any) -> int | None:
        """See Shape."""
        is_fit = isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
        return value if is_fit else None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, bool):
            raise Misfit(path, "must be true or false")

    def fit(self, value: Any) -> bool | None:
        """See Shape."""
        return value if isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Words:
    """An object whose values are strings: labels, annotations."""

    max: int = TEXT_MAX

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, dict) or len(value) > ITEMS_MAX:
            raise Misfit(path, f"must be an object of at most {ITEMS_MAX} strings")
        for key, item in value.items():
            if not isinstance(item, str) or len(item) > self.max:
                raise Misfit(f"{path}[{key[:NAME_MAX]}]", f"must be a string of at most {self.max} characters")

    def fit(self, value: Any) -> dict[str, str] | None:
        """See Shape."""
        if not isinstance(value, dict):
            return None
        return dict([(k, v) for k, v in value.items() if isinstance(v, str) and len(v) <= self.max][:ITEMS_MAX])


@dataclass(frozen=True, slots=True)
class Quantities:
    """An object whose values are strings or numbers: a resource list. Whether they are quantities `amount` knows."""

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, dict) or len(value) > ITEMS_MAX:
            raise Misfit(path, f"must be an object of at most {ITEMS_MAX} quantities")
        for key, item in value.items():
            if not _is_quantity(item):
                raise Misfit(f"{path}[{key[:NAME_MAX]}]", "must be a quantity")

    def fit(self, value: Any) -> dict[str, str | float] | None:
        """See Shape."""
        if not isinstance(value, dict):
            return None
        return dict([(key, item) for key, item in value.items() if _is_quantity(item)][:ITEMS_MAX])


def _is_quantity(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of things of one shape."""

    of: Shape
    max: int = ITEMS_MAX

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, list):
            raise Misfit(path, "must be a list")
        if len(value) > self.max:
            raise Misfit(path, f"has more than {self.max} items")
        for index, item in enumerate(value):
            self.of.check(item, f"{path}[{index}]")

    def fit(self, value: Any) -> list[Any] | None:
        """See Shape."""
        if not isinstance(value, list):
            return None
        return [item for item in map(self.of.fit, value[: self.max]) if item is not None]


@dataclass(frozen=True, slots=True)
class Fields:
    """An object: the shapes of the fields that we look at, and which of them it must have. Others pass through."""

    known: Mapping[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def check(self, value: Any, path: str) -> None:
        """See Shape."""
        if not isinstance(value, dict):
            raise Misfit(path, "must be an object")
        for key in self.required:
            if value.get(key) is None:
                raise Misfit(f"{path}.{key}", "is missing")
        for key, item in value.items():
            if item is not None and (inner := self.known.get(key)) is not None:
                inner.check(item, f"{path}.{key}")

    def fit(self, value: Any) -> dict[str, Any] | None:
        """See Shape."""
        if not isinstance(value, dict):
            return None
        found = {key: self.known[key].fit(item) if key in self.known else item for key, item in value.items()}
        found = {key: item for key, item in found.items() if item is not None}
        return found if all(key in found for key in self.required) else None
