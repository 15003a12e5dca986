"""Checked readings of single YAML values; every refusal says where in the file and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from lab.gitlab.errors import CiConfigError

NESTING_MAX = 10  # lists in script lists, as GitLab allows for anchors and references


def strings(where: str, value: object, depth: int = 0) -> tuple[str, ...]:
    """A string, or a list of strings with lists in it up to NESTING_MAX deep, flattened."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or depth > NESTING_MAX:
        raise CiConfigError(
            f"{where} config should be a string or a nested array of strings up to {NESTING_MAX} levels deep"
        )
    return tuple(text for item in value for text in strings(where, item, depth + 1))


def one_of(where: str, value: object, allowed: Sequence[str]) -> str:
    """One of the allowed words."""
    if not isinstance(value, str) or value not in allowed:
        raise CiConfigError(f"{where} should be one of: {', '.join(allowed)}")
    return value


def whole_number(where: str, value: object, lowest: int, highest: int) -> int:
    """An integer within bounds (a boolean is not one)."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise CiConfigError(f"{where} should be a whole number from {lowest} to {highest}")
    return value
