"""Reading Dockerfiles: lines, words, variables."""

import pytest

from lab.buildah.dockerfile import expand, parse, split
from lab.buildah.errors import DockerfileError

VARIABLES = {"A": "one two", "EMPTY": "", "N": "7"}


def test_comments_continuations_and_flags() -> None:
    head = "# syntax=docker/dockerfile:1\n# escape=`\n\nfrom scratch\n# note\n"
    text = head + "COPY --from=0 --chown=1:2 a `\n  # between\n  b /c/\n"

    first, second = parse(text, "Dockerfile")

    assert (first.keyword, first.text, first.line) == ("FROM", "scratch", 4)
    assert (second.keyword, second.flags, second.line) == ("COPY", {"from": "0", "chown": "1:2"}, 6)
    assert second.words({}) == ["a", "b", "/c/"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b", ["a", "b"]),
        ("$A x", ["one two", "x"]),
        ("'$A' \"$A\"", ["$A", "one two"]),
        (r"\$A a\ b", ["$A", "a b"]),
        ("${A}s ${MISSING:-x $N} ${EMPTY:-e} ${EMPTY-e}", ["one twos", "x 7", "e", ""]),
        ("${N:+set} ${MISSING:+set}end", ["set", "end"]),
        ('k="a b"c', ["k=a bc"]),
        ("''", [""]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split(text, VARIABLES) == words


def test_expand_leaves_quotes_alone() -> None:
    assert expand('"$N" ${N}', VARIABLES) == '"7" 7'


def test_json_and_pairs() -> None:
    cmd, env, old, broken = parse('CMD ["a", "b c"]\nENV A=1 B="x y"\nENV K v w\nCMD [not json]', "f")

    assert cmd.json_form == ["a", "b c"]
    assert env.pairs({}) == {"A": "1", "B": "x y"}
    assert old.pairs({}) == {"K": "v w"}
    assert broken.json_form is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no instructions"),
        ("FROM", "f:1: FROM .*arguments are missing"),
        ("FROM scratch\nCOPY <<EOF /x", "f:2: COPY .*heredocs"),
    ],
)
def test_what_cannot_be_read_names_file_and_line(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        parse(text, "f")
