"""The protocol's rules have one page, and whoever cites a rule by its number finds it there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "protocol.md"

_HEADING = re.compile(r"^### ([SMCFT]\d+) \S", re.MULTILINE)
# A rule is cited as a word of its own: (S3), "rule M7", "S2: ...", "rules F1-F3", test_S7_..., not F100 or a hash.
_CITED = re.compile(r"(?<![A-Za-z0-9_/.#-])(?:test_)?([SMCFT]\d)(?![0-9A-Za-z]|\.[0-9A-Za-z])")
_READ = ("*.py", "*.md", "*.yaml", "*.toml", "*.patch")
_ROOMS = (
    "benchmarks",
    "bridge",
    "deploy",
    "docs",
    "examples",
    "federation",
    "isthmus",
    "lab",
    "runner-config",
    "tests",
)


def _pages() -> list[Path]:
    rooms = [path for room in _ROOMS for kind in _READ for path in (ROOT / room).rglob(kind)]
    return [*rooms, *ROOT.glob("*.md")]


def rules() -> set[str]:
    """The rules that have a heading."""
    return set(_HEADING.findall(PAGE.read_text()))


def test_every_rule_is_told_once() -> None:
    headings = _HEADING.findall(PAGE.read_text())
    assert len(headings) == len(set(headings))
    assert {name[0] for name in headings} == set("SMCFT")
    for letter in "SMCFT":
        numbers = sorted(int(name[1:]) for name in headings if name[0] == letter)
        assert numbers == list(range(1, len(numbers) + 1)), f"a gap among the rules {letter}"


def test_every_rule_that_is_cited_has_a_heading() -> None:
    told = rules()
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in _pages()
        for name in _CITED.findall(path.read_text())
        if name not in told
    }
    assert not unknown, sorted(unknown)


def test_a_citation_is_seen() -> None:
    """The two tests above can fail: the expression finds what it should, and no more."""
    absent = "S" + "9"  # in two parts: this file is read as well
    assert _CITED.findall(f"rule {absent}; (M3), rules F1-F3: test_T2_paths; C3.") == [absent, "M3", "F1", "T2", "C3"]
    assert _CITED.findall("F100 0xC3 sha-S1 names.M2 S12 C3x") == []
