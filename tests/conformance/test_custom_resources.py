"""CustomResourceDefinitions: schemas, status, columns, what is dropped and what is refused."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.conftest import HttpClient
from tests.lab.api_server.client import Refused

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "colour": {"type": "string", "default": "red", "enum": ["red", "blue"]},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "either": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "whole": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "x-kubernetes-map-type": "atomic",
            "properties": {"named": {"type": "string"}},
        },
        "list": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "port": {"x-kubernetes-int-or-string": True},
    },
}
STATUS = {"type": "object", "properties": {"phase": {"type": "string"}}}
SCHEMA = {"type": "object", "required": ["spec"], "properties": {"spec": SPEC, "status": STATUS}}


@dataclass(frozen=True)
class Things:
    """A custom resource of the test's own."""

    path: str
    api_version: str
    plural: str

    def thing(self, name: str = "t", **spec: Any) -> dict[str, Any]:
        """Return an object."""
        return {
            "apiVersion": self.api_version,
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": {"size": 1, **spec},
        }


@pytest.fixture
async def things(client: HttpClient, home: str) -> AsyncIterator[Things]:
    group = f"g{secrets.token_hex(4)}.ex.io"
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": SCHEMA},
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"]},
        "versions": [version],
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name = f"things.{group}"
    await client.create(definitions, {"metadata": {"name": name}, "spec": spec})
    things = Things(home.replace("/api/v1", f"/apis/{group}/v1") + "/things", f"{group}/v1", "things")
    await served(client, f"{definitions}/{name}", things.path)
    yield things
    with suppress(Refused):  # a test may have deleted it
        await client.delete(f"{definitions}/{name}")


async def served(client: HttpClient, definition: str, path: str) -> None:
    """Wait until the kind is established and its path answers."""
    for _ in range(200):
        found = await client.get(definition)
        conditions = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions") or []}
        if conditions.get("Established") == "True":
            try:
                await client.get(path)
                return
            except Refused:
                pass
        await asyncio.sleep(0.05)
    raise AssertionError("the definition was not served")


async def test_an_atomic_object_has_one_owner_as_a_whole(client: HttpClient, things: Things) -> None:
    """PodChaperons rely on it: to keep an owner for each field of a pod's spec costs a quarter of each write."""
    whole = {"named": "a", "any": {"thing": 1}}
    made = await client.create(things.path, things.thing(whole=whole))
    assert made["spec"]["whole"] == whole
    (owner,) = made["metadata"]["managedFields"]
    assert owner["fieldsV1"]["f:spec"]["f:whole"] == {}
    changed = await client.patch(f"{things.path}/t", {"spec": {"whole": {"named": "b"}}})
    assert changed["spec"]["whole"] == {"named": "b", "any": {"thing": 1}}, "a merge patch still merges"


async def test_defaults_pruning_and_generation(client: HttpClient, things: Things) -> None:
    made = await client.create(
        things.path, things.thing(unknown=1, free={"any": {"thing": 1}}), fieldValidation="Ignore"
    )
    assert made["spec"] == {"size": 1, "colour": "red", "free": {"any": {"thing": 1}}}
    assert made["metadata"]["generation"] == 1
    changed = await client.patch(f"{things.path}/t", {"metadata": {"labels": {"a": "b"}}})
    assert changed["metadata"]["generation"] == 1
    changed = await client.patch(f"{things.path}/t", {"spec": {"size": 2}})
    assert changed["metadata"]["generation"] == 2
    listed = await client.get(things.path)
    assert (listed["kind"], listed["items"][0]["kind"]) == ("ThingList", "Thing")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"colour": "green"}, 'spec.colour: Unsupported value: "green": supported values: "red", "blue"'),
        ({"code": "A1"}, "spec.code: Invalid value: \"A1\": spec.code in body should match '^[a-z]+$'"),
        ({"code": "abcdef"}, "spec.code: Too long: may not be more than 5 bytes"),
        ({"list": ["a", "b", "c"]}, "spec.list: Too many: 3: must have at most 2 items"),
        (
            {"list": [1]},
            'spec.list[0]: Invalid value: "integer": spec.list[0] in body must be of type string: "integer"',
        ),
        ({"either": {}}, '"spec.either" must validate one and only one schema (oneOf). Found none valid'),
        (
            {"either": {"a": "x", "b": True}},
            '"spec.either" must validate one and only one schema (oneOf). Found 2 valid',
        ),
        (
            {"port": {}},
            'spec.port: Invalid value: "object": spec.port in body must be of type integer,string: "object"',
        ),
    ],
)
async def test_what_the_schema_refuses(client: HttpClient, things: Things, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        await client.create(things.path, things.thing(**spec))
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    assert message in refused.value.message


async def test_required_fields(client: HttpClient, things: Things) -> None:
    body = things.thing()
    del body["spec"]["size"]
    with pytest.raises(Refused) as refused:
        await client.create(things.path, body)
    group = things.api_version.split("/", maxsplit=1)[0]
    assert refused.value.message == f'Thing.{group} "t" is invalid: spec.size: Required value'
    assert refused.value.status["details"] == {
        "name": "t",
        "group": group,
        "kind": "Thing",
        "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec.size"}],
    }


async def test_strict_field_validation(client: HttpClient, things: Things) -> None:
    with pytest.raises(Refused, match=r'strict decoding error: unknown field "spec\.unknown"') as refused:
        await client.create(things.path, things.thing(unknown=1), fieldValidation="Strict")
    assert refused.value.code == 400


async def test_status_is_a_subresource(client: HttpClient, things: Things) -> None:
    made = await client.create(things.path, things.thing() | {"status": {"phase": "x"}})
    assert "status" not in made
    changed = await client.patch(
        f"{things.path}/t", {"status": {"phase": "x"}, "metadata": {"annotations": {"a": "b"}}}
    )
    assert "status" not in changed
    patch = {"status": {"phase": "y"}, "spec": {"size": 7}, "metadata": {"annotations": {"a": "c"}}}
    changed = await client.patch(f"{things.path}/t/status", patch)
    assert (changed["status"], changed["spec"]["size"]) == ({"phase": "y"}, 1)
    assert changed["metadata"]["annotations"] == {"a": "b"}
    assert changed["metadata"]["generation"] == 1


async def test_updates_need_a_revision(client: HttpClient, things: Things) -> None:
    await client.create(things.path, things.thing())
    with pytest.raises(Refused) as refused:
        await client.replace(f"{things.path}/t", things.thing(size=2))
    assert refused.value.code == 422
    assert "metadata.resourceVersion: Invalid value: " in refused.value.message
    assert "must be specified for an update" in refused.value.message


async def test_strategic_merge_is_not_for_custom_resources(client: HttpClient, things: Things) -> None:
    await client.create(things.path, things.thing())
    with pytest.raises(Refused) as refused:
        await client.patch(f"{things.path}/t", {"spec": {"size": 2}}, "strategic")
    assert refused.value.code == 415


async def test_columns(client: HttpClient, things: Things) -> None:
    await client.create(things.path, things.thing())
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    table = await client.send("GET", things.path, headers=accept)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Age"]
    assert table["rows"][0]["cells"][:2] == ["t", 1]
    assert table["rows"][0]["object"]["metadata"]["name"] == "t"


async def test_foreground_deletion_waits(client: HttpClient, things: Things) -> None:
    await client.create(things.path, things.thing())
    marked = await client.delete(f"{things.path}/t", {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    await client.patch(f"{things.path}/t", {"metadata": {"finalizers": []}})
    assert (await client.get(things.path))["items"] == []


async def test_a_merge_patch_loses_nulls_in_lists(client: HttpClient, things: Things) -> None:
    """Agents copy pod statuses this way, whose conditions all have a null: the copy has none."""
    await client.create(things.path, things.thing("copied"))
    patch = {"spec": {"free": {"conditions": [{"type": "Ready", "lastProbeTime": None, "more": {"a": None}}]}}}
    headers = {"content-type": "application/merge-patch+json"}
    patched = await client.send("PATCH", f"{things.path}/copied", patch, headers=headers)
    assert patched["spec"]["free"] == {"conditions": [{"type": "Ready", "more": {}}]}


async def test_deleting_a_definition_deletes_its_objects_and_ends_its_watches(
    client: HttpClient, things: Things
) -> None:
    """A follower sees each object go, then its watch ends long before its time, and then the path is not found."""
    await client.create(things.path, things.thing())
    watching = asyncio.create_task(client.watched(things.path, timeoutSeconds="300"))
    await asyncio.sleep(0.5)
    definition = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{things.api_version.split('/')[0]}"
    await client.delete(definition)
    async with asyncio.timeout(30):
        seen = await watching
    assert [(kind, found["metadata"]["name"]) for kind, found in seen] == [("ADDED", "t"), ("DELETED", "t")]
    with pytest.raises(Refused) as missing:
        await client.get(f"{things.path}/t")
    assert missing.value.code == 404
