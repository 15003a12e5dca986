"""Label and field selectors: text -> a predicate on objects.

The grammar is apimachinery's. A field selector may only name fields that the kind offers (`kinds.model.Kind.fields`
adds to metadata.name and metadata.namespace), as upstream refuses all others.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.api_server.core.label_selector import Requirement, parse_labels
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.status import bad_request

Field = Callable[[Manifest], str]


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
