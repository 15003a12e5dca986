"""What is kept of a manifest as text."""

from typing import Any

from federation.model.kept import keep, keep_manifest, opened, opened_manifest, without_nulls


def test_nulls_are_dropped_at_any_depth_and_nothing_else() -> None:
    value: dict[str, Any] = {"a": None, "b": [{"c": None, "d": 0}, [], None, ""], "e": {"f": {"g": None}}, "h": False}
    assert without_nulls(value) == {"b": [{"d": 0}, [], None, ""], "e": {"f": {}}, "h": False}
    assert opened(keep(value)) == without_nulls(value)


def test_a_manifest_loses_only_who_wrote_which_field() -> None:
    manifest: dict[str, Any] = {
        "metadata": {"name": "a", "managedFields": [{"manager": "x"}]},
        "spec": {"future": {"field": None}},
    }
    text = keep_manifest(manifest)
    assert opened_manifest(text) == {"metadata": {"name": "a"}, "spec": {"future": {"field": None}}}
    assert "managedFields" in manifest["metadata"], "the server's object is not touched"
