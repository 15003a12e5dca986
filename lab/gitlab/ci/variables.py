"""CI/CD variables: one shape for predefined, instance, project, `.gitlab-ci.yml` and pipeline variables, and `$NAME`
expansion.

Order is precedence: in a list of variables a later one with the same key wins, which is also how a runner reads the
job's payload.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.gitlab.errors import CiConfigError

_NAME = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as it goes into a job. `public` is False for secrets; `raw` means its `$` are not expanded."""

    key: str
    value: str
    public: bool = True
    masked: bool = False
    file: bool = False
    raw: bool = False


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replaces `$NAME` and `${NAME}`; a name that is not known stays as written; `$$` is left for the shell."""

    def value(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        return match[0] if name is None else values.get(name, match[0])

    return _NAME.sub(value, text)


def expanded(values: Mapping[str, str], raw: frozenset[str] = frozenset()) -> dict[str, str]:
    """Every value with the variables in it filled in, however they are nested; one that leads to itself stays as is."""

    def fill(key: str, seen: frozenset[str]) -> str:
        names = {match[2] or match[3] for match in _NAME.finditer(values[key])} - {None, *seen, key}
        known = {name: fill(name, seen | {key}) for name in names if name in values}
        return values[key] if key in raw else expand(values[key], known)

    return {key: fill(key, frozenset()) for key in values}


def as_values(variables: Iterable[Variable]) -> dict[str, str]:
    """Name -> value, later ones winning."""
    return {variable.key: variable.value for variable in variables}


def parse_variables(where: str, value: object) -> tuple[Variable, ...]:
    """The `variables:` keyword; `where` is its place in the file, for messages."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise CiConfigError(f"{where} config should be a hash of key value pairs")
    return tuple(_parse_one(where, str(key), item) for key, item in value.items())


def _parse_one(where: str, key: str, item: object) -> Variable:
    if isinstance(item, dict):
        unknown = set(item) - {"value", "description", "expand", "options"}
        if unknown:
            raise CiConfigError(f"{where}:{key} config uses invalid data keys: {', '.join(sorted(map(str, unknown)))}")
        return Variable(key, _scalar(where, key, item.get("value", "")), raw=item.get("expand") is False)
    return Variable(key, _scalar(where, key, item))


def _scalar(where: str, key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise CiConfigError(f"{where}:{key} config must be a string or a number; quote true, false and empty values")
    return str(value)
