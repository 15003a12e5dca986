"""T1: whatever a stranger sends, a reader returns what its users can use, or refuses by its one error."""

import base64
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
import federation.decisions
import federation.model
from federation import foreign_yaml, names, submitted
from federation.controllers.connections import read_kubeconfig
from federation.decisions.credential import (
    Endpoint,
    kubeconfig_for,
    new_token,
    renewable,
    successor,
    token_term,
    with_token,
)
from federation.decisions.services import format_selector, parse_selector
from federation.kube.errors import BadKubeconfig
from federation.model.pod import parse_reservations, reservations_text
from federation.model.quantity import amounts, quantities
from federation.model.reading import Unreadable
from federation.model.times import format_time, parse_time
from federation.submitted import BadAnnotation
from tests.fuzz import goods
from tests.fuzz.hostile import VALUES, WORDS, hostile_settings, spoilt, writable
from tests.fuzz.readers import READERS, SOURCE, TARGET, use_constraints, use_submitted

LONGEST = 2000  # characters of an error
# Readers of texts and annotations: each has a test of its own below.
BY_THEMSELVES = {
    "parse_time",
    "parse_reservations",
    "parse_selector",
    "parse_constraints",
    "parse_kept_labels",
    "parse_asking",
    "parse_submitted",
}
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.text("{}[]&*!:-,'\"# \na1.eE+<", max_size=60),
    spoilt(goods.SUBMITTED).map(lambda value: orjson.dumps(value).decode()),
)


def _parsers() -> Iterator[str]:
    modules = [submitted]
    for package in (federation.model, federation.decisions, bridge):
        names_of = [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
        modules += [importlib.import_module(name) for name in names_of if not name.endswith("__main__")]
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("parse_") and inspect.unwrap(function).__module__ == module.__name__:
                yield name


def test_every_reader_is_fuzzed() -> None:
    found = set(_parsers())
    assert {"parse_chaperon", "parse_constraints"} <= found
    assert found - BY_THEMSELVES - READERS.keys() == set(), "put it into tests/fuzz/readers.py"


@pytest.mark.parametrize("name", READERS)
def test_t1_a_good_manifest_is_read(name: str) -> None:
    reader = READERS[name]
    for good in reader.good:
        found = reader.read(good)
        assert found is not None
        writable(reader.use(found))


@pytest.mark.parametrize("name", READERS)
def test_t1_a_spoilt_manifest_is_read_or_refused(name: str) -> None:
    reader = READERS[name]

    @hostile_settings
    @given(spoilt(*reader.good))
    def run(manifest: Any) -> None:
        try:
            found = reader.read(manifest)
        except reader.refusal as error:
            refusal = str(error)
        else:
            writable(reader.use(found))
            return
        assert 0 < len(refusal) < LONGEST

    run()


@hostile_settings
@given(TEXTS)
def test_t1_texts(text: str) -> None:
    if (moment := parse_time(text)) is not None:
        assert parse_time(format_time(moment)) is not None
    if selector := parse_selector(text):
        assert parse_selector(format_selector(selector)) == selector
    if reservations := dict(parse_reservations(text)):
        assert dict(parse_reservations(reservations_text(reservations))) == reservations
    writable(quantities(amounts({"cpu": text, "memory": text}, is_rounded_up=True)))
    token_term(text)
    try:
        writable(foreign_yaml.load(text, "it"))
    except Unreadable as error:
        refusal = str(error)
    else:
        return
    assert refusal.startswith("it")
    assert len(refusal) < LONGEST


ANNOTATION_READERS: list[tuple[Callable[[dict[str, str]], Any], Callable[[Any], Any]]] = [
    (submitted.parse_constraints, use_constraints),
    (submitted.parse_kept_labels, lambda is_kept: is_kept("app=job")),
    (submitted.parse_asking, lambda asking: asking),
    (submitted.parse_submitted, use_submitted),
]


@hostile_settings
@given(TEXTS)
def test_t1_what_users_write_into_annotations(text: str) -> None:
    keys = (names.PROXY_CONSTRAINTS, names.NO_PREFIX_LABEL_REGEXP, names.ASK, names.SOURCE_POD_MANIFEST)
    annotations = dict.fromkeys(keys, text)
    for parse, use in ANNOTATION_READERS:
        try:
            found = parse(annotations)
        except BadAnnotation as error:
            refusal = str(error)
        else:
            writable(use(found))
            continue
        assert refusal.startswith("metadata.annotations[")
        assert len(refusal) < LONGEST


@hostile_settings
@given(
    spoilt({key: goods.SPEC[key] for key in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")})
)
def test_t1_constraints_that_a_user_writes(fragment: Any) -> None:
    try:
        found = submitted.parse_constraints({names.PROXY_CONSTRAINTS: orjson.dumps(fragment).decode()})
    except BadAnnotation:
        return
    writable(use_constraints(found))


@hostile_settings
@given(spoilt(goods.SUBMITTED))
def test_t1_a_pod_as_submitted_that_a_user_writes(manifest: Any) -> None:
    try:
        found = submitted.parse_submitted({names.SOURCE_POD_MANIFEST: orjson.dumps(manifest).decode()})
    except BadAnnotation:
        return
    writable(use_submitted(found))


_TOKEN = "e30.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMH0.c2ln"
KUBECONFIG = kubeconfig_for(SOURCE, Endpoint("https://arm.example", "PEM"), "arm", _TOKEN, SOURCE.credential("isthmus"))


@hostile_settings
@given(spoilt(KUBECONFIG), st.one_of(st.just("arm"), TEXTS))
def test_t1_a_kubeconfig_of_a_strangers_making(kubeconfig: Any, context: str) -> None:
    try:
        found = read_kubeconfig(base64.b64encode(orjson.dumps(kubeconfig)).decode(), TARGET)
    except BadKubeconfig:
        return
    held = renewable(KUBECONFIG)
    assert held is not None
    for one in (context, ""):
        renewable(found, one)
        successor(held, found)
        new_token(KUBECONFIG, found, one)
        new_token(found, KUBECONFIG, one)
        writable(with_token(found, one, "token"))


@hostile_settings
@given(VALUES)
def test_t1_a_value_in_place_of_a_manifest_is_refused(value: Any) -> None:
    for name, reader in READERS.items():
        try:
            assert reader.read(value) in ([], None), name
        except reader.refusal:
            continue
