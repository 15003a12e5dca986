"""Owner references: who goes with whom, on the real garbage collector and on ours."""

import asyncio
from typing import Any

from federation.kube.errors import NotFound
from federation.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, SECRETS, Resource
from tests.lab.planes import Manifest, Plane, eventually

WIDGETS = Resource("example.com", "v1", "widgets", "Widget")


def reference(owner: Manifest, **fields: Any) -> Manifest:
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **fields}
    return named | {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}


async def add(plane: Plane, space: str, name: str, *owners: Manifest, **metadata: Any) -> Manifest:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": space, "ownerReferences": list(owners), **metadata},
    }
    return await plane.api.create(CONFIG_MAPS, manifest)


async def gone(plane: Plane, space: str, name: str, resource: Resource = CONFIG_MAPS) -> None:
    async def missing() -> bool:
        try:
            await plane.api.get(resource, name, space)
        except NotFound:
            return True
        return False

    await eventually(missing, f"{name} gone")


async def exists(plane: Plane, space: str, name: str) -> bool:
    return bool(await plane.api.get(CONFIG_MAPS, name, space))


async def test_background_deletion_takes_dependents_of_dependents(plane: Plane, space: str) -> None:
    owner = await add(plane, space, "owner")
    child = await add(plane, space, "child", reference(owner))
    await add(plane, space, "grandchild", reference(child))
    await plane.api.delete(CONFIG_MAPS, "owner", space, propagation="Background")
    await gone(plane, space, "child")
    await gone(plane, space, "grandchild")


async def test_an_owner_that_never_was_is_an_owner_gone(plane: Plane, space: str) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "0-0-0"}
    await add(plane, space, "child", ghost)
    await gone(plane, space, "child")


async def test_an_owner_of_the_same_name_is_not_the_owner(plane: Plane, space: str) -> None:
    owner = await add(plane, space, "owner")
    await add(plane, space, "child", reference(owner) | {"uid": "0-0-0"})
    await gone(plane, space, "child")
    assert await exists(plane, space, "owner")


async def test_an_owner_in_another_namespace_is_none(plane: Plane, space: str) -> None:
    other = await plane.add_namespace(f"{space}-other")
    owner = await add(plane, other, "owner")
    await add(plane, space, "child", reference(owner))
    await gone(plane, space, "child")
    assert await exists(plane, other, "owner")


async def test_a_kind_nobody_knows_keeps_its_dependents(plane: Plane, space: str) -> None:
    unknown = {"apiVersion": "nobody.example.com/v1", "kind": "Thing", "name": "t", "uid": "0-0-0"}
    await add(plane, space, "child", unknown)
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "name": "ghost", "uid": "0-0-0"}
    await add(plane, space, "marker", ghost)
    await gone(plane, space, "marker")
    assert await exists(plane, space, "child")


async def test_one_owner_left_keeps_the_object(plane: Plane, space: str) -> None:
    first, second = await add(plane, space, "first"), await add(plane, space, "second")
    await add(plane, space, "child", reference(first), reference(second))
    await plane.api.delete(CONFIG_MAPS, "first", space)

    async def one_left() -> bool:
        child = await plane.api.get(CONFIG_MAPS, "child", space)
        return [one["name"] for one in child["metadata"]["ownerReferences"]] == ["second"]

    assert await eventually(one_left, "one owner left")


async def test_foreground_deletion_waits_for_blockers(plane: Plane, space: str) -> None:
    owner = await add(plane, space, "owner")
    await add(plane, space, "blocker", reference(owner, blockOwnerDeletion=True), finalizers=["example.com/hold"])
    await add(plane, space, "bystander", reference(owner))
    await plane.api.delete(CONFIG_MAPS, "owner", space, propagation="Foreground")

    async def going() -> bool:
        return bool((await plane.api.get(CONFIG_MAPS, "blocker", space))["metadata"].get("deletionTimestamp"))

    assert await eventually(going, "the blocker going")
    assert (await plane.api.get(CONFIG_MAPS, "owner", space))["metadata"]["finalizers"] == ["foregroundDeletion"]
    await plane.api.patch(CONFIG_MAPS, "blocker", {"metadata": {"finalizers": None}}, space)
    await gone(plane, space, "owner")
    await gone(plane, space, "bystander")


async def test_foreground_deletion_waits_for_blockers_of_blockers(plane: Plane, space: str) -> None:
    """S3: a Deployment stays until the last pod of its ReplicaSets is gone."""
    owner = await add(plane, space, "owner")
    middle = await add(plane, space, "middle", reference(owner, blockOwnerDeletion=True))
    await add(plane, space, "leaf", reference(middle, blockOwnerDeletion=True), finalizers=["example.com/hold"])
    await plane.api.delete(CONFIG_MAPS, "owner", space, propagation="Foreground")

    async def going() -> bool:
        return bool((await plane.api.get(CONFIG_MAPS, "leaf", space))["metadata"].get("deletionTimestamp"))

    assert await eventually(going, "the leaf going")
    await asyncio.sleep(1)
    assert await exists(plane, space, "owner")
    assert await exists(plane, space, "middle")
    await plane.api.patch(CONFIG_MAPS, "leaf", {"metadata": {"finalizers": None}}, space)
    await gone(plane, space, "middle")
    await gone(plane, space, "owner")


async def test_a_circle_of_owners_goes_as_a_whole(plane: Plane, space: str) -> None:
    first = await add(plane, space, "first")
    second = await add(plane, space, "second", reference(first, blockOwnerDeletion=True))
    circle = {"metadata": {"ownerReferences": [reference(second, blockOwnerDeletion=True)]}}
    await plane.api.patch(CONFIG_MAPS, "first", circle, space)
    await asyncio.sleep(1)
    await plane.api.delete(CONFIG_MAPS, "first", space, propagation="Foreground")
    await gone(plane, space, "first")
    await gone(plane, space, "second")


async def test_orphans_lose_their_owner_and_stay(plane: Plane, space: str) -> None:
    owner = await add(plane, space, "owner")
    await add(plane, space, "child", reference(owner))
    await plane.api.delete(CONFIG_MAPS, "owner", space, propagation="Orphan")
    await gone(plane, space, "owner")
    child = await plane.api.get(CONFIG_MAPS, "child", space)
    assert not child["metadata"].get("ownerReferences")


async def test_custom_kinds_own_as_well(plane: Plane, space: str) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await plane.api.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": space}}

    async def created() -> Manifest:
        return await plane.api.create(WIDGETS, body)

    widget = await eventually(created, "a widget")
    secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": space}}
    secret["metadata"]["ownerReferences"] = [reference(widget, blockOwnerDeletion=True)]
    await plane.api.create(SECRETS, secret)
    await plane.api.delete(WIDGETS, "w", space, propagation="Foreground")

    async def missing() -> bool:
        try:
            await plane.api.get(WIDGETS, "w", space)
        except NotFound:
            return True
        return False

    await eventually(missing, "the widget gone", seconds=60)
    await gone(plane, space, "s", SECRETS)
    await plane.api.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")
