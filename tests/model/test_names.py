"""Name rules, by Admiralty's own vectors (recomputed) and by properties."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import names


@pytest.mark.parametrize(
    ("parts", "optional", "expected"),
    [
        (["default", "foo"], [], "default-foo"),
        (["default", "foo-bar"], [], "default-foo-bar-b1f5f88a38"),
        (["default-foo", "bar"], [], "default-foo-bar-ce0b03a405"),
        (
            ["verylongnamespaceverylongnamespace", "verylongnameverylongnameverylongname"],
            [],
            "verylongnamespaceverylongnamespace-verylongnameveryl-79f7165434",
        ),
        (["", "foo"], [0], "foo"),
        (["", "foo"], [0, 1], "foo-6f64c6e626"),
        (["foo", ""], [0, 1], "foo-14fe48f0fb"),
    ],
)
def test_names_are_joined_as_admiralty_joins_them(parts: list[str], optional: list[int], expected: str) -> None:
    assert names.join_parts(63, parts, optional=optional) == expected


@pytest.mark.parametrize(
    ("namespace", "name", "node", "finalizer"),
    [
        ("default", "c1", "admiralty-default-c1", "default-c1"),
        ("", "c1", "admiralty-c1", "c1"),
        ("", "my-cluster", "admiralty-my-cluster-01c0013dd9", "my-cluster-caa8216d1c"),
        ("default", "us-west-2-0", None, "default-us-west-2-0-828e2d3ceb"),
        ("default", "eu-west-3-1", "admiralty-default-eu-west-3-1-8984c76b96", None),
    ],
)
def test_virtual_nodes_and_finalizers(namespace: str, name: str, node: str | None, finalizer: str | None) -> None:
    if node is not None:
        assert names.virtual_node_name(namespace, name) == node
    if finalizer is not None:
        assert names.finalizer(namespace, name) == names.PREFIX + finalizer


dns = st.text(string.ascii_lowercase + string.digits + "-.", min_size=1, max_size=253).filter(
    lambda text: text[0].isalnum() and text[-1].isalnum()
)


@given(dns, st.uuids(), st.uuids())
def test_S2_a_chaperon_name_is_a_label_and_differs_by_uid(name: str, one: object, other: object) -> None:
    first, second = names.chaperon_name(name, str(one), "t"), names.chaperon_name(name, str(other), "t")
    assert len(first) <= 63
    assert first == names.chaperon_name(name, str(one), "t")
    assert first != names.chaperon_name(name, str(one), "u"), "two Targets may lead to one cluster"
    assert (first == second) == (one == other)
    assert first[-17] == "-"
    assert first[-18].isalnum(), "no separator is left dangling before the hash"


def test_labels_move_under_the_prefix() -> None:
    assert names.delegate_labels({"foo.com/bar": "1", names.PREFIX + "baz": "2", "a": "3"}, lambda _: False) == {
        names.PREFIX + "bar": "1",
        names.PREFIX + "baz": "2",
        names.PREFIX + "a": "3",
    }
    assert names.delegate_labels({"a": "d", "b": "d"}, lambda label: label == "a=d") == {
        "a": "d",
        names.PREFIX + "b": "d",
    }
