"""kr8s: a kubectl-like client; every object is a dict with the verbs of kubectl on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import kr8s
import pytest
from kr8s.asyncio.objects import ConfigMap, Pod

# It names the versions it was tried with; that it works with this one is what these tests are for.
pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version")


@pytest.fixture
async def api(kubeconfig: Path, namespace: str) -> AsyncIterator[kr8s.asyncio.Api]:
    """The client of that kubeconfig, in the test's namespace."""
    made = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=namespace)
    yield made
    if made._session is not None:  # it has no close of its own
        await made._session.aclose()


async def config_map(api: kr8s.asyncio.Api, name: str, **data: str) -> ConfigMap:
    """Make a config map."""
    body = {"metadata": {"name": name, "namespace": api.namespace, "labels": {"app": "conformance"}}, "data": data}
    made = await ConfigMap(body, api=api)
    await made.create()
    return made


async def test_an_object_with_the_verbs_of_kubectl(api: kr8s.asyncio.Api) -> None:
    one = await config_map(api, "one", a="1")
    assert await one.exists()
    await one.patch({"data": {"b": "2"}})
    assert one.raw["data"] == {"a": "1", "b": "2"}
    await one.label({"tier": "x"})
    await one.annotate({"note": "y"})
    await one.refresh()
    assert (one.labels["tier"], one.annotations["note"]) == ("x", "y")
    await one.delete()
    await one.wait("delete", timeout=10)
    assert not await one.exists()


async def test_lists_and_selectors(api: kr8s.asyncio.Api) -> None:
    for number in range(3):
        await config_map(api, f"c{number}")
    found = [item.name async for item in api.get("configmaps", label_selector={"app": "conformance"})]
    assert found == ["c0", "c1", "c2"]
    named = [item.name async for item in api.get("cm", "c1")]
    assert named == ["c1"]
    by_field = [item.name async for item in api.get("configmap", field_selector={"metadata.name": "c2"})]
    assert by_field == ["c2"]


async def test_watch(api: kr8s.asyncio.Api) -> None:
    one = await config_map(api, "one", a="1")
    seen = []
    async for event, item in api.watch("configmaps", label_selector="app=conformance"):
        seen.append((event, item.raw["data"]["a"]))
        if len(seen) == 1:
            await one.patch({"data": {"a": "2"}})
        if len(seen) == 2:
            await one.delete()
        if len(seen) == 3:
            break
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


async def test_a_refusal_has_the_servers_words(api: kr8s.asyncio.Api) -> None:
    body = {"metadata": {"name": "p", "namespace": api.namespace}, "spec": {"containers": [{"name": "Main_1"}]}}
    pod = await Pod(body, api=api)
    with pytest.raises(kr8s.ServerError, match=r"spec\.containers\[0\]\.name"):
        await pod.create()


async def test_kinds_are_discovered(api: kr8s.asyncio.Api) -> None:
    resources = await api.api_resources()
    by_kind = {resource["kind"]: resource for resource in resources}
    assert by_kind["Lease"]["namespaced"] is True
    assert "cm" in by_kind["ConfigMap"]["shortNames"]
    assert (await api.version())["major"] == "1"
    assert await api.whoami() == "a-client"
