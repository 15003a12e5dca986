"""T1, nothing from outside is believed by shape: what does not fit is refused by name, or is as good as absent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from federation.model.reading import (
    DEPTH_MAX,
    STORED,
    Unreadable,
    check,
    fitting,
    reads,
    whole,
)
from federation.model.shape import Fields, Flag, Items, Quantities, Text, Whole, Words, is_object_name
from federation.model.times import parse_time

SHAPE = Fields(
    {
        "name": Text(5),
        "count": Whole(0, 9),
        "on": Flag(),
        "labels": Words(3),
        "room": Quantities(),
        "items": Items(Fields({"key": Text()}, ("key",)), max=2),
    },
    ("name",),
)


def nested(levels: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (7, "Thing t must be an object"),
        ({}, "Thing t: name is missing"),
        ({"name": None}, "Thing t: name is missing"),
        ({"name": 7}, "Thing t: name must be a string"),
        ({"name": "longer"}, "Thing t: name is longer than 5 characters"),
        ({"name": "n", "count": True}, "Thing t: count must be a whole number from 0 to 9"),
        ({"name": "n", "count": 10}, "Thing t: count must be a whole number from 0 to 9"),
        ({"name": "n", "count": 1.0}, "Thing t: count must be a whole number from 0 to 9"),
        ({"name": "n", "on": "true"}, "Thing t: on must be true or false"),
        ({"name": "n", "labels": ["a"]}, "Thing t: labels must be an object of at most 16384 strings"),
        ({"name": "n", "labels": {"a.b/c": None}}, "Thing t: labels[a.b/c] must be a string of at most 3 characters"),
        ({"name": "n", "labels": {"a": "four"}}, "Thing t: labels[a] must be a string of at most 3 characters"),
        ({"name": "n", "room": {"cpu": []}}, "Thing t: room[cpu] must be a quantity"),
        ({"name": "n", "items": {}}, "Thing t: items must be a list"),
        ({"name": "n", "items": [{"key": "a"}, {"key": 1}]}, "Thing t: items[1].key must be a string"),
        ({"name": "n", "items": [{"key": "a"}] * 3}, "Thing t: items has more than 2 items"),
        ({"name": "n", "other": nested(DEPTH_MAX)}, f"Thing t is nested deeper than {DEPTH_MAX} levels"),
        ({"name": "n", "other": nested(100_000)}, f"Thing t is nested deeper than {DEPTH_MAX} levels"),
        ({"name": "n", "other": [[]] * 200_001}, "Thing t has more than 200000 objects and lists"),
    ],
)
def test_a_refusal_names_the_object_and_the_field(value: object, says: str) -> None:
    with pytest.raises(Unreadable) as caught:
        check(value, SHAPE, "Thing t")
    assert str(caught.value) == says


def test_what_nobody_looks_at_passes_and_null_is_as_good_as_absent() -> None:
    check({"name": "n", "other": nested(DEPTH_MAX - 1), "on": None, "items": None}, SHAPE, "Thing t")


def test_a_refusal_says_whose_it_is_and_quotes_no_value() -> None:
    read = reads("Thing", Fields({"metadata": STORED}, ("metadata",)))(lambda manifest: manifest)
    secret = {
        "name": "n" * 300,
        "namespace": "ns",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {"token": ["very secret"]},
    }
    with pytest.raises(Unreadable) as caught:
        read({"metadata": secret})
    assert str(caught.value) == f"Thing ns/{'n' * 253}: metadata.name is not a valid object name (a DNS-1123 subdomain)"
    with pytest.raises(Unreadable, match=r"^Thing \(without a name\): metadata must be an object$"):
        read({"metadata": []})
    with pytest.raises(Unreadable, match=r"^Thing .* must be an object$"):
        read([])  # type: ignore[arg-type]  # an API server may send anything
    with pytest.raises(Unreadable) as caught:
        read({"metadata": secret | {"name": "n"}})
    assert "secret" not in str(caught.value)


def test_what_fits_is_kept() -> None:
    value = {
        "name": "longer",
        "count": "1",
        "on": 1,
        "labels": {"a": 1, "b": "ok", "c": "four"},
        "room": {"cpu": "1", "memory": {}},
        "items": [{"key": "a"}, 7, {"key": "c"}],
        "other": [1],
    }
    assert fitting(value, SHAPE) == {
        "name": "longe",
        "labels": {"b": "ok"},
        "room": {"cpu": "1"},
        "items": [{"key": "a"}],  # the first two items, of which one fits
        "other": [1],
    }
    assert fitting({"name": 7}, SHAPE) is None
    assert fitting([], SHAPE) is None
    assert fitting(good := {"name": "n"}, SHAPE) is good


@pytest.mark.parametrize("text", ["²", "٣", "-1", "+1", "1_0", " 1", "1" * 5000, "", None, 1, "1.0"])
def test_a_number_is_ascii_digits_and_few(text: object) -> None:
    assert whole(text, 7) == 7


def test_a_number_is_read() -> None:
    assert whole("0042") == 42


@pytest.mark.parametrize("name", ["a", "kube-root-ca.crt", "a.b-c.d", "0", "a" * 63, ".".join(["a" * 63] * 3)])
def test_object_names(name: str) -> None:
    assert is_object_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a/../b",
        "A",
        "a_b",
        "-a",
        "a-",
        "a..b",
        "a.",
        "a\n",
        "a%2f",
        "é",
        "a" * 254,
        7,
        None,
    ],
)
def test_what_is_no_name_is_never_a_part_of_a_url(name: object) -> None:  # rule T2
    assert not is_object_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "1969-01-01T00:00:00Z",
        "2026-11-28T12:00:00" + "0" * 100,
        "²",
        "now",
        "",
        None,
        7,
        [],
    ],
)
def test_a_time_that_would_overflow_is_none(text: object) -> None:
    assert parse_time(text) is None


def test_a_time_is_read_in_utc() -> None:
    moment = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert parse_time("2026-11-28T13:00:00+01:00") == parse_time("2026-11-28T12:00:00") == moment
