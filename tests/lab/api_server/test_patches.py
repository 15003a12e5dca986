"""JSON patch, merge patch, strategic merge patch and selectors, as pure functions."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab.api_server.core.json_patch import PatchError, TestFailed, json_patch, merge_patch
from lab.api_server.core.label_selector import parse_labels
from lab.api_server.core.selectors import labels_match
from lab.api_server.core.strategic_patch import strategic_merge

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text("abc", min_size=1, max_size=2), JSON, max_size=4)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "b/c": {"~": 1}}),
        ([{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1, 2], "b/c": {"~": 1}}),
        ([{"op": "replace", "path": "/b~1c/~0", "value": 2}], {"a": [1, 2], "b/c": {"~": 2}}),
        ([{"op": "move", "from": "/a/0", "path": "/x"}], {"a": [2], "b/c": {"~": 1}, "x": 1}),
        ([{"op": "copy", "from": "/a", "path": "/x"}], {"a": [1, 2], "b/c": {"~": 1}, "x": [1, 2]}),
        ([{"op": "test", "path": "/a/1", "value": 2}, {"op": "remove", "path": "/a"}], {"b/c": {"~": 1}}),
    ],
)
def test_json_patch(operations: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    before = {"a": [1, 2], "b/c": {"~": 1}}
    assert json_patch(before, operations) == expected
    assert before == {"a": [1, 2], "b/c": {"~": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none/x", "value": 1},
        {"op": "add", "path": "/a/9", "value": 1},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "hop", "path": "/a"},
    ],
)
def test_json_patches_that_do_not_apply(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        json_patch({"a": [1]}, [operation])


def test_a_failed_test_has_its_own_name() -> None:
    with pytest.raises(TestFailed):
        json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_applied_twice_is_applied_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(OBJECTS, OBJECTS)
@example({"a": True}, {"a": []})
def test_a_strategic_merge_applied_twice_is_applied_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = strategic_merge(target, patch)
    assert strategic_merge(once, patch) == once


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "c"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}]},
        ),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}),
        ({"a": {"x": 1}}, {"a": {"$patch": "replace", "y": 2}}, {"a": {"y": 2}}),
        (
            {"strategy": {"type": "R", "rollingUpdate": {}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
        ),
        (
            {"ports": [{"containerPort": 80, "name": "a"}]},
            {"ports": [{"containerPort": 80, "name": "b"}]},
            {"ports": [{"containerPort": 80, "name": "b"}]},
        ),
        (
            {"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
            {"$setElementOrder/env": [{"name": "b"}, {"name": "a"}], "env": [{"name": "a", "value": "3"}]},
            {"env": [{"name": "b", "value": "2"}, {"name": "a", "value": "3"}]},
        ),
    ],
)
def test_strategic_merge(target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert strategic_merge(target, patch) == expected


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("a=b,c!=d", {"a": "b"}, True),
        ("a in (b, c),!x", {"a": "c"}, True),
        ("a notin (b)", {}, True),
        ("a", {"a": ""}, True),
        ("a>3", {"a": "4"}, True),
        ("a<3", {"a": "4"}, False),
        ("x.io/y=z", {"x.io/y": "z"}, True),
        ("a=", {"a": ""}, True),
        ("", {"a": "b"}, True),
    ],
)
def test_label_selectors(text: str, labels: dict[str, str], matches: bool) -> None:
    assert labels_match(parse_labels(text), labels) is matches
