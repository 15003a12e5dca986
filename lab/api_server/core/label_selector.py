"""The text form of label selectors: `a=b,c in (d,e),!f`.

The grammar and the words for what is wrong with it are apimachinery's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.api_server.core.metadata import label_value, qualified_name
from lab.api_server.core.status import ApiStatus, bad_request, quoted

TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+|$)")
SYMBOLS = frozenset({"==", "!=", "=", "!", "(", ")", ",", "<", ">", ""})
OPERATORS = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}


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
    return tuple(_Parser(text).parse())


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = [found[1] for found in TOKEN.finditer(text)]

    def _next(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self) -> str:
        return self._tokens.pop(0) if self._tokens else ""

    def parse(self) -> list[Requirement]:
        """Return all requirements."""
        requirements: list[Requirement] = []
        if not self._next():
            return requirements
        if self._next() in SYMBOLS - {"!"}:
            raise bad_request(f"found '{self._next()}', expected: !, identifier, or 'end of string'")
        while True:
            requirements.append(self._requirement())
            separator = self._take()
            if not separator:
                return requirements
            if separator != ",":
                raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
            if self._next() in SYMBOLS - {"!"}:
                raise bad_request(f"found '{self._next()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        is_absent = self._next() == "!"
        if is_absent:
            self._take()
        key = self._take()
        if key in SYMBOLS:
            raise _wrong(f"found '{key}', expected: identifier")
        for message in qualified_name(key):
            raise _wrong(f"<nil>: Invalid value: {quoted(key)}: {message}")
        if is_absent or self._next() in {"", ","}:
            return Requirement(key, "absent" if is_absent else "exists")
        operator = self._take()
        if operator not in OPERATORS:
            raise _wrong(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in {"in", "notin"} else [self._exact()]
        _check_values(key, operator, values)
        return Requirement(key, OPERATORS[operator], frozenset(values))

    def _exact(self) -> str:
        if self._next() in {"", ","}:
            return ""
        value = self._take()
        if value in SYMBOLS:
            raise _wrong(f"found '{value}', expected: identifier")
        return value

    def _values(self) -> list[str]:
        opening = self._take()
        if opening != "(":
            raise _wrong(f"found '{opening}' expected: '('")
        if self._next() in SYMBOLS - {",", ")"}:
            raise _wrong(f"found '{self._next()}', expected: ',', ')' or identifier")
        values = [""]
        while True:
            word = self._take()
            if word == ")":
                return values
            if word == ",":
                values.append("")
            elif word in SYMBOLS or values[-1]:
                raise _wrong(f"found '{word}', expected: ',' or ')'")
            else:
                values[-1] = word


def _wrong(why: str) -> ApiStatus:
    return bad_request(f"unable to parse requirement: {why}")


def _check_values(key: str, operator: str, values: list[str]) -> None:
    for index, value in enumerate(sorted(values)):
        if operator in "<>" and not re.fullmatch(r"[+-]?[0-9]+", value):
            detail = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _wrong(f"values[{index}]: Invalid value: {quoted(value)}: {detail}")
        for message in label_value(value):
            raise _wrong(f"values[{index}][{key}]: Invalid value: {quoted(value)}: {message}")
