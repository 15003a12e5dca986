"""Strategies: what a stranger may send in place of a good manifest.

A good one is taken and spoilt in a few places, because a value that is wrong everywhere is refused at its first field:
the faults are behind fields that are right.
"""

import contextlib
import copy
import os
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from federation import names

EXAMPLES = int(os.environ.get("FUZZ", "40"))  # for each reader; `make fuzz` takes many more

hostile_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

WORDS = [
    "",
    "²",
    "٣",
    "-1",
    "1" * 5000,
    "1E999",
    "1e-999",
    "9" * 60 + "Ei",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "2026-11-28T12:00:00Z",
    "3 9999-12-31T23:59:59Z",
    "../../kube-system/secrets/x",
    "a/b",
    "\x00",
    "\n",
    "é" * 300,
    "x" * 10_000,
    "Failed",
    "True",
    "In",
    "Exists",
    "Gt",
    "=",
    ",".join("a=b" for _ in range(200)),
    "&a [*a]",
    "{" * 200,
    "[" * 2000,
    "!!binary aGk=",
    "(" * 500,
    "a{1000}{1000}",
]


def deep(levels: int, *, is_list: bool) -> Any:
    """Lists or objects within each other."""
    value: Any = "x"
    for _ in range(levels):
        value = [value] if is_list else {"a": value}
    return value


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=20).filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text)),
)
_KEYS = ["name", "key", "type", "status", "uid"]
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.lists(
        st.dictionaries(st.sampled_from(["name", "key", "type", "status", "uid"]), SCALARS, max_size=3), max_size=3
    ),
    st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text("ab/.-", max_size=9)), SCALARS, max_size=3),
    st.sampled_from([deep(60, is_list=False), deep(70, is_list=True), deep(200, is_list=False)]),
)
ANNOTATIONS = sorted(
    value for key, value in vars(names).items() if key.isupper() and isinstance(value, str) and "/" in value
)


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value within a manifest."""
    found = [before] if before else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*before, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*before, index))
    return found


@st.composite
def spoilt(draw: st.DrawFn, *good: dict[str, Any]) -> Any:
    """A good manifest with one to four places that are not."""
    manifest = copy.deepcopy(draw(st.sampled_from(good)))
    places = draw(st.lists(st.sampled_from(paths(manifest)), min_size=1, max_size=4, unique=True))
    for *above, last in sorted(places, key=len, reverse=True):  # inner ones first: what is put in is left alone
        with contextlib.suppress(IndexError):  # an item before it was taken out
            parent: Any = manifest
            for step in above:
                parent = parent[step]
            if draw(st.integers(0, 5)) == 0:
                del parent[last]
            else:
                parent[last] = draw(VALUES)
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    if isinstance(metadata, dict) and draw(st.booleans()):
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            more = {draw(st.sampled_from(ANNOTATIONS)): draw(st.one_of(st.sampled_from(WORDS), SCALARS))}
            metadata["annotations"] = annotations | more
    return draw(st.just(manifest) | VALUES) if draw(st.integers(0, 20)) == 0 else manifest


def writable(value: Any) -> None:
    """What we would send must be JSON: Mapping and tuple are ours, all else orjson's to judge."""
    orjson.dumps(value, default=lambda other: dict(other) if hasattr(other, "keys") else list(other))
