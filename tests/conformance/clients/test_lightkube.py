"""lightkube: httpx underneath, its own dataclasses, server-side apply as its everyday write."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType


@pytest.fixture
async def lightkube(kubeconfig: Path, namespace: str) -> AsyncIterator[AsyncClient]:
    """The client of that kubeconfig, in the test's namespace."""
    made = AsyncClient(config=KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="lightkube")
    yield made
    await made.close()


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels={"app": "conformance"}), data=data)


async def test_create_get_replace_patch_delete(lightkube: AsyncClient) -> None:
    await lightkube.create(config_map("one", a="1"))
    found = await lightkube.get(ConfigMap, "one")
    assert found.data == {"a": "1"}
    found.data = {"a": "2"}
    assert (await lightkube.replace(found)).data == {"a": "2"}
    with pytest.raises(ApiError) as stale:
        await lightkube.replace(found)
    assert (stale.value.status.code, stale.value.status.reason) == (409, "Conflict")
    patched = await lightkube.patch(ConfigMap, "one", {"data": {"b": "3"}}, patch_type=PatchType.MERGE)
    assert patched.data == {"a": "2", "b": "3"}
    await lightkube.delete(ConfigMap, "one")
    with pytest.raises(ApiError) as missing:
        await lightkube.get(ConfigMap, "one")
    assert missing.value.status.message == 'configmaps "one" not found'


async def test_apply_owns_what_it_says_and_nothing_else(lightkube: AsyncClient) -> None:
    def applied(**data: str) -> ConfigMap:
        return ConfigMap(metadata=ObjectMeta(name="one"), data=data)

    await lightkube.apply(applied(a="1", b="2"))
    await lightkube.patch(ConfigMap, "one", {"data": {"mine": "3"}}, patch_type=PatchType.MERGE, field_manager="other")
    assert (await lightkube.apply(applied(a="1"))).data == {"a": "1", "mine": "3"}, "b was ours, mine is another's"
    with pytest.raises(ApiError) as conflict:
        await lightkube.apply(applied(mine="4"))
    assert conflict.value.status.code == 409
    assert 'conflict with "other"' in str(conflict.value.status.message)
    assert (await lightkube.apply(applied(mine="4"), force=True)).data == {"mine": "4"}


async def test_lists_page_by_page(lightkube: AsyncClient) -> None:
    for number in range(5):
        await lightkube.create(config_map(f"c{number}"))
    names = [
        item.metadata.name async for item in lightkube.list(ConfigMap, chunk_size=2, labels={"app": "conformance"})
    ]
    assert names == [f"c{number}" for number in range(5)]


async def test_watch(lightkube: AsyncClient) -> None:
    await lightkube.create(config_map("one", a="1"))
    seen = []
    async for event, item in lightkube.watch(ConfigMap, labels={"app": "conformance"}, server_timeout=3):
        seen.append((event, item.data["a"]))
        if len(seen) == 1:
            await lightkube.patch(ConfigMap, "one", {"data": {"a": "2"}}, patch_type=PatchType.MERGE)
        if len(seen) == 2:
            await lightkube.delete(ConfigMap, "one")
        if len(seen) == 3:
            break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


async def test_pods_and_their_status(lightkube: AsyncClient) -> None:
    spec = PodSpec(containers=[Container(name="main", image="busybox")])
    pod = await lightkube.create(Pod(metadata=ObjectMeta(name="p"), spec=spec))
    assert pod.status.phase == "Pending"
    await lightkube.patch(Pod.Status, "p", {"status": {"phase": "Succeeded"}}, patch_type=PatchType.MERGE)
    assert (await lightkube.get(Pod, "p")).status.phase == "Succeeded"


async def test_generic_resources_and_cluster_scope(lightkube: AsyncClient, namespace: str) -> None:
    lease = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")
    made = await lightkube.create(lease(metadata={"name": "l"}, spec={"holderIdentity": "me"}))
    assert made.spec["holderIdentity"] == "me"
    assert (await lightkube.get(Namespace, namespace)).status.phase == "Active"
