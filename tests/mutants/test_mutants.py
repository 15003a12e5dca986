"""The mutants fit the tree: each applies, names tests that exist, and every rule has one. CI runs five of them."""

from pathlib import Path

import pytest

from tests.mutants.mutant import ROOT, Mutant, mutants, parse_mutant
from tests.test_rules import rules


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_tree(mutant: Mutant) -> None:
    assert not mutant.missing_tests()
    assert set(mutant.rules) <= rules()
    assert not mutant.apply(ROOT, is_checked_only=True)


def test_every_rule_has_a_mutant() -> None:
    assert sorted(rules() - {rule for mutant in mutants() for rule in mutant.rules}) == []


def test_what_a_mutant_lacks_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.patch"
    path.write_text("Rule: S1\nUndoes: something\n\n--- a/x\n+++ b/x\n")
    with pytest.raises(ValueError, match="lacks Red"):
        parse_mutant(path)
    path.write_text("Rule: S1\n")
    with pytest.raises(ValueError, match="no diff"):
        parse_mutant(path)
