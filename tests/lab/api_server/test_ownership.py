"""Field sets obey the laws of sets, and ownership follows from what a write changed."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.api_server.core.field_sets import SELF, FieldSet, decode, difference, encode, intersection, paths, union
from lab.api_server.core.typed import Comparison, NotDeclared, fields_of, merge, without
from lab.api_server.kinds.types import named
from tests.lab.api_server.client import CONFIG_MAPS, Client, Refused

NAMES = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"x"'])


def _nodes(below: st.SearchStrategy[FieldSet]) -> st.SearchStrategy[FieldSet]:
    member = st.fixed_dictionaries({}, optional={SELF: st.just(True)})
    full = st.tuples(member, st.dictionaries(NAMES, below.filter(bool), max_size=3))
    return full.map(lambda parts: {**parts[0], **parts[1]})


SETS = st.dictionaries(NAMES, st.recursive(st.just({SELF: True}), _nodes, max_leaves=6).filter(bool), max_size=3)
POD_SPEC = named("core", "PodSpec")


@given(SETS, SETS)
def test_the_laws_of_sets(left: FieldSet, right: FieldSet) -> None:
    assert union(difference(left, right), intersection(left, right)) == left
    assert intersection(difference(left, right), right) == {}
    assert union(left, right) == union(right, left)
    assert difference(left, left) == {}
    assert decode(encode(left)) == left


@given(SETS)
def test_paths_name_each_member_once(fields: FieldSet) -> None:
    def size(node: FieldSet) -> int:
        return sum(1 if key == SELF else size(child) for key, child in node.items())

    assert len(list(paths(fields))) == size(fields)


def test_paths_read_as_people_write_them() -> None:
    fields = decode({"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}}}}, "f:x": {'v:"y"': {}}})
    assert list(paths(fields)) == ['.spec.containers[name="c"]', '.spec.containers[name="c"].image', '.x[="y"]']


def test_fields_follow_the_schema() -> None:
    spec = {
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k"}],
        "containers": [{"name": "c", "command": ["x"], "ports": [{"containerPort": 1}]}],
    }
    port: dict[str, Any] = {'k:{"containerPort":1,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    container = {".": {}, "f:name": {}, "f:command": {}, "f:ports": port}
    expected = {"f:nodeSelector": {}, "f:tolerations": {}, "f:containers": {'k:{"name":"c"}': container}}
    assert encode(fields_of(spec, POD_SPEC)) == dict(sorted(expected.items()))
    with pytest.raises(NotDeclared, match=r"\.nope: field not declared in schema"):
        fields_of({"nope": 1}, POD_SPEC)


def test_merging_keeps_others_items_in_place() -> None:
    base = {"containers": [{"name": "a"}, {"name": "b", "image": "1"}, {"name": "c"}]}
    over = {"containers": [{"name": "b", "image": "2"}, {"name": "d"}]}
    merged = merge(base, over, POD_SPEC)["containers"]
    assert [one["name"] for one in merged] == ["a", "b", "c", "d"]
    assert merged[1]["image"] == "2"


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=2)), st.dictionaries(st.sampled_from("abc"), st.text()))
def test_taking_away_what_was_added_gives_back_what_was(old: dict[str, str], new: dict[str, str]) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    changed = Comparison({"data": old}, {"data": {**old, **new}}, {"properties": {"data": schema}})
    taken = without({"data": {**old, **new}}, changed.added, {"properties": {"data": schema}})
    left = (taken or {}).get("data") or {}
    assert left.keys() == old.keys()


def _owners(manifest: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(one["manager"], one["operation"]): one["fieldsV1"] for one in manifest["metadata"]["managedFields"]}


def _config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


async def test_a_write_that_changes_nothing_changes_no_time_either() -> None:
    client = Client()
    first = await client.patch(f"{CONFIG_MAPS}/a", _config_map(k="v"), "apply", fieldManager="me")
    client.now += timedelta(seconds=60)
    again = await client.patch(f"{CONFIG_MAPS}/a", _config_map(k="v"), "apply", fieldManager="me")
    assert again == first


async def test_more_writers_than_ten_become_ancient() -> None:
    client = Client()
    await client.create(CONFIG_MAPS, _config_map(), fieldManager="maker")
    for number in range(12):
        client.now += timedelta(seconds=1)
        body = {"data": {f"k{number}": "v"}}
        last = await client.patch(f"{CONFIG_MAPS}/a", body, "merge", fieldManager=f"m{number:02}")
    owners = _owners(last)
    assert len(owners) == 10
    assert ("ancient-changes", "Update") in owners
    assert ("m11", "Update") in owners


async def test_apply_needs_a_manager_and_no_managed_fields() -> None:
    client = Client()
    with pytest.raises(Refused, match="fieldManager: Required value: is required for apply patch"):
        await client.patch(f"{CONFIG_MAPS}/a", _config_map(), "apply")
    body = _config_map()
    body["metadata"]["managedFields"] = [{"manager": "x"}]
    with pytest.raises(Refused, match=r"metadata.managedFields must be nil"):
        await client.patch(f"{CONFIG_MAPS}/a", body, "apply", fieldManager="me")


async def test_a_client_may_clear_managed_fields() -> None:
    client = Client()
    await client.create(CONFIG_MAPS, _config_map(k="v"), fieldManager="maker")
    cleared = await client.patch(
        f"{CONFIG_MAPS}/a", {"metadata": {"managedFields": [{}]}}, "merge", fieldManager="cleaner"
    )
    assert "managedFields" not in cleared["metadata"]
