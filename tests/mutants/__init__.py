"""Patches that undo a mend or a rule, each with the test that must then go red."""
