"""The official synchronous client: typed objects, pages, watch, patches, errors."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """The client of that kubeconfig."""
    made = config.new_client_from_config(str(kubeconfig))
    yield made
    made.close()


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    metadata = client.V1ObjectMeta(name=name, labels={"app": "conformance"})
    return client.V1ConfigMap(api_version="v1", kind="ConfigMap", metadata=metadata, data=data)


async def test_create_read_replace_patch_delete(api: client.ApiClient, namespace: str) -> None:
    def story() -> None:
        core = client.CoreV1Api(api)
        made = core.create_namespaced_config_map(namespace, config_map("one", a="1"))
        assert made.metadata.creation_timestamp.tzinfo is not None
        made.data["b"] = "2"
        replaced = core.replace_namespaced_config_map("one", namespace, made)
        assert replaced.data == {"a": "1", "b": "2"}
        with pytest.raises(ApiException) as stale:
            core.replace_namespaced_config_map("one", namespace, made)
        assert (stale.value.status, "the object has been modified" in stale.value.body) == (409, True)
        patched = core.patch_namespaced_config_map("one", namespace, {"data": {"a": None, "c": "3"}})
        assert patched.data == {"b": "2", "c": "3"}
        core.delete_namespaced_config_map("one", namespace)
        with pytest.raises(ApiException) as missing:
            core.read_namespaced_config_map("one", namespace)
        assert missing.value.status == 404
        assert 'configmaps \\"one\\" not found' in missing.value.body

    await asyncio.to_thread(story)


async def test_pages(api: client.ApiClient, namespace: str) -> None:
    def story() -> None:
        core = client.CoreV1Api(api)
        for number in range(7):
            core.create_namespaced_config_map(namespace, config_map(f"c{number}"))
        seen: list[str] = []
        token = None
        pages = 0
        while True:
            page = core.list_namespaced_config_map(
                namespace, limit=3, _continue=token, label_selector="app=conformance"
            )
            seen += [item.metadata.name for item in page.items]
            pages += 1
            token = page.metadata._continue
            if not token:
                break
            assert page.metadata.remaining_item_count in (None, 7 - len(seen)), "left out where a selector is used"
        assert (pages, seen) == (3, [f"c{number}" for number in range(7)])

    await asyncio.to_thread(story)


async def test_watch_from_a_list_on(api: client.ApiClient, namespace: str) -> None:
    def story() -> list[tuple[str, str, str]]:
        core = client.CoreV1Api(api)
        core.create_namespaced_config_map(namespace, config_map("before"))
        listed = core.list_namespaced_config_map(namespace)
        core.create_namespaced_config_map(namespace, config_map("after", a="1"))
        core.patch_namespaced_config_map("after", namespace, {"data": {"a": "2"}})
        core.delete_namespaced_config_map("after", namespace)
        stream = watch.Watch().stream(
            core.list_namespaced_config_map,
            namespace,
            resource_version=listed.metadata.resource_version,
            timeout_seconds=2,
        )
        return [(e["type"], e["object"].metadata.name, (e["object"].data or {}).get("a", "")) for e in stream]

    assert await asyncio.to_thread(story) == [
        ("ADDED", "after", "1"),
        ("MODIFIED", "after", "2"),
        ("DELETED", "after", "2"),
    ]


async def test_a_watch_from_a_version_that_is_gone_says_so(api: client.ApiClient, namespace: str) -> None:
    """Version 1 is older than anything kept, or as old as what there is: never an event of before."""

    def story() -> list[str]:
        core = client.CoreV1Api(api)
        core.create_namespaced_config_map(namespace, config_map("one"))
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=1
        )
        found = []
        with contextlib.suppress(ApiException):
            found = [event["object"].metadata.name for event in stream]
        return found

    assert set(await asyncio.to_thread(story)) <= {"one"}


async def test_typed_pods_come_back_as_they_were_defaulted(api: client.ApiClient, namespace: str) -> None:
    def story() -> None:
        core = client.CoreV1Api(api)
        spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="busybox")])
        made = core.create_namespaced_pod(
            namespace, client.V1Pod(metadata=client.V1ObjectMeta(generate_name="p-"), spec=spec)
        )
        assert made.metadata.name.startswith("p-")
        assert made.status.phase == "Pending"
        assert made.spec.restart_policy == "Always"
        assert made.spec.termination_grace_period_seconds == 30
        assert made.spec.containers[0].image_pull_policy == "Always"
        core.patch_namespaced_pod_status(
            made.metadata.name, namespace, {"status": {"phase": "Running", "podIP": "10.0.0.1"}}
        )
        running = core.read_namespaced_pod(made.metadata.name, namespace)
        assert (running.status.phase, running.status.pod_ip) == ("Running", "10.0.0.1")

    await asyncio.to_thread(story)


async def test_invalid_objects_are_refused_with_their_fields(api: client.ApiClient, namespace: str) -> None:
    def story() -> str:
        core = client.CoreV1Api(api)
        spec = client.V1PodSpec(containers=[client.V1Container(name="Main_1", image="busybox")])
        with pytest.raises(ApiException) as invalid:
            core.create_namespaced_pod(namespace, client.V1Pod(metadata=client.V1ObjectMeta(name="bad"), spec=spec))
        assert invalid.value.status == 422
        return str(invalid.value.body)

    assert "spec.containers[0].name" in await asyncio.to_thread(story)


async def test_the_dynamic_client_discovers_kinds(api: client.ApiClient, namespace: str) -> None:
    def story() -> None:
        dynamic = DynamicClient(api)
        secrets = dynamic.resources.get(api_version="v1", kind="Secret")
        body = {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
        made = secrets.create(body=body, namespace=namespace)
        assert made.data.k == "dg=="
        leases = dynamic.resources.get(api_version="coordination.k8s.io/v1", kind="Lease")
        assert leases.namespaced
        assert leases.get(namespace=namespace).items == []

    await asyncio.to_thread(story)


async def test_create_from_dicts_as_utils_does(api: client.ApiClient, namespace: str) -> None:
    def story() -> None:
        service = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "robot", "namespace": namespace},
        }
        utils.create_from_dict(api, service)
        with pytest.raises(utils.FailToCreateError) as again:
            utils.create_from_dict(api, service)
        assert again.value.api_exceptions[0].status == 409

    await asyncio.to_thread(story)


async def test_versions_and_groups(api: client.ApiClient) -> None:
    def story() -> None:
        assert client.VersionApi(api).get_code().git_version.startswith("v1.37.")
        groups = {group.name for group in client.ApisApi(api).get_api_versions().groups}
        assert {"apps", "batch", "coordination.k8s.io", "rbac.authorization.k8s.io"} <= groups

    await asyncio.to_thread(story)
