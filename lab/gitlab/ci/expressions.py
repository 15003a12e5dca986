"""The little language of `rules:if`: `$VAR`, "text", /regex/i, null, `== != =~ !~ && || ( )`. `&&` binds tighter than
`||`.

Regular expressions run in re2, the engine GitLab uses for them, so that a pattern someone writes cannot hang the
server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import re2

from lab.gitlab.errors import CiConfigError

_TOKEN = re.compile(
    r"\s*(?:(?P<variable>\$\w+|\$\{\w+\})|(?P<text>\"[^\"]*\"|'[^']*')|(?P<regex>/(?:\\.|[^/\\])+/[ismU]*)"
    r"|(?P<operator>==|!=|=~|!~|&&|\|\||\(|\))|(?P<null>null\b))"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def evaluate(expression: str, values: Mapping[str, str]) -> bool:
    """Whether the expression holds; raises CiConfigError with the expression when it cannot be read."""
    reader = _Reader(expression, values)
    result = reader.either()
    if reader.tokens:
        raise CiConfigError(f"invalid expression syntax: {expression!r} (at {reader.tokens[0].text!r})")
    return bool(result)


def _tokens(expression: str) -> list[_Token]:
    found, position = [], 0
    while expression[position:].strip():
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise CiConfigError(f"invalid expression syntax: {expression!r} (at {expression[position:].strip()!r})")
        found.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Reader:
    """Recursive descent over the tokens, computing as it goes; both sides are always read, so errors never hide."""

    def __init__(self, expression: str, values: Mapping[str, str]) -> None:
        self.expression = expression
        self.values = values
        self.tokens = _tokens(expression)

    def either(self) -> str | bool | None:
        result = self._both()
        while self._take("||"):
            right = self._both()
            result = bool(result) or bool(right)
        return result

    def _both(self) -> str | bool | None:
        result = self._comparison()
        while self._take("&&"):
            right = self._comparison()
            result = bool(result) and bool(right)
        return result

    def _comparison(self) -> str | bool | None:
        left = self._operand()
        for operator in ("==", "!=", "=~", "!~"):
            if self._take(operator):
                return _compare(operator, left, self._operand())
        return left

    def _operand(self) -> str | bool | None:
        if self._take("("):
            result = self.either()
            if not self._take(")"):
                raise CiConfigError(f"invalid expression syntax: {self.expression!r} (missing parenthesis)")
            return result
        if not self.tokens or self.tokens[0].kind == "operator":
            raise CiConfigError(f"invalid expression syntax: {self.expression!r}")
        token = self.tokens.pop(0)
        if token.kind == "variable":
            return self.values.get(token.text.strip("${}"))
        if token.kind == "null":
            return None
        return token.text if token.kind == "regex" else token.text[1:-1]

    def _take(self, operator: str) -> bool:
        if self.tokens and self.tokens[0] == _Token("operator", operator):
            self.tokens.pop(0)
            return True
        return False


def _compare(operator: str, left: str | bool | None, right: str | bool | None) -> bool:
    if operator in ("==", "!="):
        return (left == right) == (operator == "==")
    return matches_pattern(str(right or ""), str(left or "")) == (operator == "=~")


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether `/pattern/flags` is found in the text; a pattern without slashes matches nothing, as in GitLab."""
    body, slash, flags = pattern[1:].rpartition("/")
    if not pattern.startswith("/") or not slash:
        return False
    prefix = f"(?{flags.lower()})" if flags else ""
    try:
        return re2.search(prefix + body.replace("\\/", "/"), text) is not None
    except re2.error as error:
        raise CiConfigError(f"invalid regular expression {pattern}: {error}") from error
