"""Label and field selectors: text -> a predicate on objects.

The grammar is apimachinery's. A field selector may only name fields that the kind offers (`kinds.model.Kind.fields`
adds to metadata.name and metadata.namespace), as upstream refuses all others.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.api_server.core.manifest import Manifest
from lab.api_server.core.status import bad_request

Field = Callable[[Manifest], str]
REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<not_key>[^\s,=!<>()]+)|(?P<key>[^\s,=!<>()]+)\s*"
    r"(?:(?P<set>notin|in)\s*\((?P<values>[^()]*)\)|(?P<operator>==|=|!=|>|<)\s*(?P<value>[^\s,=!<>()]*))?)\s*"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One comma-separated part of a label selector."""

    key: str
    operator: str  # in, notin, exists, absent, gt, lt
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether `labels` satisfy this part."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
        return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        try:
            left, right = int(value), int(next(iter(self.values)))
        except ValueError:
            return False
        return left > right if self.operator == "gt" else left < right


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse a label selector; BadRequest where it is malformed."""
    requirements, position = [], 0
    while position < len(text):
        found = REQUIREMENT.match(text, position)
        if found is None or found.end() == position:
            raise bad_request(f"unable to parse requirement: found '{text[position:]}', expected: identifier")
        requirements.append(_requirement(found))
        position = found.end()
        if position < len(text):
            if text[position] != ",":
                raise bad_request(f"unable to parse requirement: found '{text[position]}', expected: identifier")
            position += 1
    return tuple(requirements)


def _requirement(found: re.Match[str]) -> Requirement:
    if found["absent"]:
        return Requirement(found["not_key"], "absent")
    key = found["key"]
    if found["set"]:
        return Requirement(key, found["set"], frozenset(value.strip() for value in found["values"].split(",")))
    if found["operator"] is None:
        return Requirement(key, "exists")
    operator = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}[found["operator"]]
    return Requirement(key, operator, frozenset({found["value"]}))


def parse_label_selector(selector: Manifest | None) -> tuple[Requirement, ...]:
    """Parse the object form (matchLabels, matchExpressions); an absent or empty one matches everything."""
    requirements = [
        Requirement(key, "in", frozenset({value})) for key, value in ((selector or {}).get("matchLabels") or {}).items()
    ]
    names = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    for expression in (selector or {}).get("matchExpressions") or []:
        operator = names.get(expression["operator"], "in")
        requirements.append(Requirement(expression["key"], operator, frozenset(expression.get("values") or [])))
    return tuple(requirements)


def labels_match(requirements: tuple[Requirement, ...], labels: Mapping[str, str] | None) -> bool:
    """Return whether all requirements hold."""
    return all(requirement.matches(labels or {}) for requirement in requirements)


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed pair of selectors; `matches` answers for a whole object."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[tuple[Field, bool, str], ...] = ()

    @property
    def is_everything(self) -> bool:
        """Return whether nothing is filtered out, so that callers can skip the work."""
        return not self.labels and not self.fields

    def matches(self, manifest: Manifest) -> bool:
        """Return whether the object is selected."""
        if self.labels and not labels_match(self.labels, manifest["metadata"].get("labels")):
            return False
        return all((read(manifest) == value) is wanted for read, wanted, value in self.fields)


EVERYTHING = Selector()


def parse_selector(labels: str, fields: str, offered: Mapping[str, Field]) -> Selector:
    """Parse the two query parameters; `offered` are the fields of the kind."""
    parsed = []
    for part in filter(None, (piece.strip() for piece in fields.split(","))):
        found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{fields}'; can't understand '{part}'")
        name, operator, value = found.groups()
        if name not in offered:
            known = ", ".join(f'"{field}"' for field in sorted(offered))
            if len(offered) > 2:
                raise bad_request(f"field label not supported: {name}")
            raise bad_request(f'"{name}" is not a known field selector: only {known}')
        parsed.append((offered[name], operator != "!=", value))
    return Selector(parse_labels(labels), tuple(parsed))
