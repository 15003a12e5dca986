"""Reading a Dockerfile: text to instructions with line numbers, and words with quotes and variables. Pure.

What a stand-in cannot do faithfully (RUN, heredocs) is refused when it is reached, not skipped: an image that lacks a
step would be worse than none.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from lab.buildah.errors import DockerfileError

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `text` is what follows keyword and flags, continuation lines joined."""

    file: str
    line: int
    keyword: str
    flags: dict[str, str]
    text: str

    def refuse(self, reason: str) -> NoReturn:
        """Raise DockerfileError for this instruction."""
        raise DockerfileError(f"{self.file}:{self.line}: {self.keyword} {self.text}: {reason}".replace("  ", " "))

    @property
    def json_form(self) -> list[str] | None:
        """The arguments if they are in JSON (exec) form, else None."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError:
            return None
        return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """The arguments in either form, variables replaced."""
        if (given := self.json_form) is not None:
            return [expand(word, variables) for word in given]
        return split(self.text, variables)

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """`key=value key="other value"`, or the old form `key value`."""
        key, _, rest = self.text.partition(" ")
        if rest and "=" not in key:
            return {key: " ".join(split(rest, variables))}
        parts = [word.partition("=") for word in split(self.text, variables)]
        if not parts or any(not name or not equals for name, equals, _ in parts):
            self.refuse("want key=value")
        return {name: value for name, _, value in parts}


def parse(text: str, file: str) -> list[Instruction]:
    """All instructions of a Dockerfile, in order; raises DockerfileError."""
    escape, instructions, pending, start, is_top = "\\", list[Instruction](), "", 0, True
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        directive = _DIRECTIVE.fullmatch(line) if is_top else None
        if directive and directive[1].lower() == "escape":
            escape = directive[2]
        is_top = directive is not None
        if not line or line.startswith("#"):
            continue
        start = start or number
        if line.endswith(escape):
            pending += line.removesuffix(escape).rstrip() + " "
            continue
        instructions.append(_instruction(pending + line, start, file))
        pending, start = "", 0
    if pending:
        instructions.append(_instruction(pending.strip(), start, file))
    if not instructions:
        raise DockerfileError(f"{file}: no instructions")
    return instructions


def split(text: str, variables: Mapping[str, str]) -> list[str]:
    """Words as a shell would see them: quotes, backslashes, `$name` and `${name:-default}`; no other expansion.

    A variable's value never makes several words, as in Docker and unlike in a shell.
    """
    words, word, quote, position = list[str](), None, "", 0
    while position < len(text):
        character = text[position]
        if character == "\\" and quote != "'" and position + 1 < len(text):
            word, position = (word or "") + text[position + 1], position + 2
            continue
        if found := _VARIABLE.match(text, position) if character == "$" and quote != "'" else None:
            word, position = (word or "") + _value(found, variables), found.end()
            continue
        if quote:
            quote, word = ("", word) if character == quote else (quote, (word or "") + character)
        elif character in "'\"":
            quote, word = character, word or ""
        elif character.isspace():
            words, word = (words if word is None else [*words, word]), None
        else:
            word = (word or "") + character
        position += 1
    return words if word is None else [*words, word]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables in one word; quotes stay as they are."""
    return _VARIABLE.sub(lambda found: _value(found, variables), text)


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, operator, word = found[1] or found[2], found[3] or "", found[4] or ""
    value = variables.get(name)
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return expand(word, variables) if is_set else ""
    if operator.endswith("-") and not is_set:
        return expand(word, variables)
    return value or ""


def _instruction(text: str, line: int, file: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    rest, flags = rest.strip(), dict[str, str]()
    while found := _FLAG.match(rest) if keyword.upper() in {"FROM", "COPY", "ADD", "RUN", "HEALTHCHECK"} else None:
        flags[found[1]] = found[2] or "true"
        rest = rest[found.end() :]
    instruction = Instruction(file, line, keyword.upper(), flags, rest)
    if not rest:
        instruction.refuse("arguments are missing")
    if re.search(r"<<-?[\"']?\w", rest) and keyword.upper() in {"COPY", "ADD", "RUN"}:
        instruction.refuse("heredocs are not supported by the lab's stand-in for buildah")
    return instruction
