"""Client, watch and store against an API server, on either engine."""

import asyncio
import asyncio.sslproto
from typing import Any

import orjson
import pytest
import yaml

from federation.kube.api import Api, connect
from federation.kube.errors import AlreadyExists, BadKubeconfig, Conflict, Forbidden, NotFound, Unreachable
from federation.kube.limits import Limits
from federation.kube.resources import CONFIG_MAPS, PODS
from federation.kube.store import Store
from federation.kube.transport import SocketTransport, use_small_tls_buffers
from federation.kube.watch import follow
from lab.running import RunningLab


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_errors_are_of_one_tree(bare_lab: RunningLab, namespace: str) -> None:
    api = bare_lab.api()
    made = await api.create(CONFIG_MAPS, config_map("a"), namespace)
    with pytest.raises(AlreadyExists):
        await api.create(CONFIG_MAPS, config_map("a"), namespace)
    with pytest.raises(NotFound) as missing:
        await api.get(CONFIG_MAPS, "b", namespace)
    assert missing.value.is_about("b")
    assert not missing.value.is_about("a")
    stale = {**made, "metadata": made["metadata"] | {"resourceVersion": "1"}}
    with pytest.raises(Conflict):
        await api.replace(CONFIG_MAPS, stale)
    with pytest.raises(NotFound) as kind:
        await api.request("GET", "/apis/no.such.group/v1/things/b")
    assert not kind.value.is_about("b"), "a missing kind is not a missing object"


async def test_unknown_fields_survive_a_round_trip(bare_lab: RunningLab, namespace: str) -> None:
    annotations = {"example.com/x": "1"}
    made = await bare_lab.api().create(
        CONFIG_MAPS, config_map("kept") | {"metadata": {"name": "kept", "annotations": annotations}}, namespace
    )
    made["data"] = {"k": "v"}
    again = await bare_lab.api().replace(CONFIG_MAPS, made)
    assert again["metadata"]["annotations"] == annotations
    assert again["data"] == {"k": "v"}


async def test_lists_are_paged_and_whole(bare_lab: RunningLab, namespace: str) -> None:
    small = Api(bare_lab.api().transport, Limits(page_size=3))
    for number in range(8):
        await small.create(CONFIG_MAPS, config_map(f"page-{number}"), namespace)
    listing = await small.list(CONFIG_MAPS, namespace)
    names = [item["metadata"]["name"] for item in listing.items if item["metadata"]["name"].startswith("page-")]
    assert sorted(names) == [f"page-{number}" for number in range(8)]
    assert all(item["kind"] == "ConfigMap" for item in listing.items)


async def test_a_store_follows_what_happens(bare_lab: RunningLab, namespace: str) -> None:
    api = bare_lab.api()
    store: Store[str] = Store(lambda manifest: (manifest.get("data") or {}).get("k"), {"value": lambda value: [value]})
    await api.create(CONFIG_MAPS, config_map("one", k="1"), namespace)
    changes: list[tuple[str, str | None, str | None]] = []
    store.subscribe(lambda key, old, new: changes.append((key[1], old, new)))
    task = asyncio.create_task(follow(api, CONFIG_MAPS, store, namespace=namespace))
    try:
        async with asyncio.timeout(20):
            await store.synced.wait()
            assert store.get(namespace, "one") == "1"
            await api.patch(CONFIG_MAPS, "one", {"data": {"k": "2"}}, namespace)
            await api.create(CONFIG_MAPS, config_map("two", k="2"), namespace)
            while len(store.by("value", "2")) != 2:  # noqa: ASYNC110  # an event per condition would say less
                await asyncio.sleep(0.01)
            await api.delete(CONFIG_MAPS, "one", namespace)
            while store.get(namespace, "one") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert changes == [("one", None, "1"), ("one", "1", "2"), ("two", None, "2"), ("one", "2", None)]
    assert store.by("value", "1") == []
    assert store.is_fresh


async def test_a_tls_connection_has_a_small_buffer(bare_lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = asyncio.sslproto.SSLProtocol.max_size
    monkeypatch.setattr(asyncio.sslproto.SSLProtocol, "max_size", usual)  # put back at the end
    use_small_tls_buffers()
    sent = bare_lab.api().transport
    assert isinstance(sent, SocketTransport)
    host, _, port = sent.host.removeprefix("https://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=sent.tls)
    try:
        buffer = writer.transport._ssl_protocol._ssl_buffer  # type: ignore[attr-defined]
        assert len(buffer) * 4 == usual, "Python keeps it elsewhere now: use_small_tls_buffers does nothing any more"
    finally:
        writer.close()
        await writer.wait_closed()


async def test_an_address_where_nobody_listens_is_unreachable(bare_lab: RunningLab) -> None:
    nobody = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    async with await connect(nobody) as api:
        with pytest.raises(Unreachable):
            await api.get(PODS, "p", "default")


@pytest.mark.parametrize(
    ("user", "cluster", "field"),
    [
        ({"exec": {"command": "sh"}}, {}, "exec"),
        ({"client-key": "/etc/shadow"}, {}, "client-key"),
        ({"tokenFile": "/etc/shadow"}, {}, "tokenFile"),
        ({}, {"certificate-authority": "/etc/x"}, "certificate-authority"),
    ],
)
async def test_a_kubeconfig_from_a_secret_cannot_run_or_read_anything_here(
    user: dict[str, Any], cluster: dict[str, Any], field: str
) -> None:
    config = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"} | cluster}],
        "users": [{"name": "x", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    with pytest.raises(BadKubeconfig, match=field):
        await connect(config)


async def test_a_kubeconfig_that_is_none_says_so() -> None:
    with pytest.raises(BadKubeconfig):
        await connect({"nothing": "here"})


async def test_rights_are_told_from_absence(bare_lab: RunningLab, namespace: str) -> None:
    """A service account's token without rights: 403, not 404."""
    token = await bare_lab.api().request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )

    config = yaml.safe_load(bare_lab.kubeconfig().read_text())
    config["users"][0]["user"] = {"token": orjson.loads(token.body)["status"]["token"]}
    async with await connect(config) as api:
        with pytest.raises(Forbidden):
            await api.get(CONFIG_MAPS, "kube-root-ca.crt", namespace)


async def test_where_metadata_is_enough_nothing_else_is_sent(bare_lab: RunningLab, namespace: str) -> None:
    """In the list and in the watch: no Secret's content comes to somebody who only wants to know that it changed."""
    api = bare_lab.api()
    await api.create(CONFIG_MAPS, config_map("before", k="v"), namespace)
    store: Store[dict[str, Any]] = Store(lambda manifest: manifest)
    following = asyncio.create_task(follow(api, CONFIG_MAPS, store, namespace=namespace, is_metadata_only=True))
    try:
        async with asyncio.timeout(20):
            await store.synced.wait()
            await api.create(CONFIG_MAPS, config_map("after", k="v"), namespace)
            while store.get(namespace, "after") is None:  # noqa: ASYNC110  # a few turns until the event is here
                await asyncio.sleep(0.02)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    for name in ("before", "after"):
        found = store.get(namespace, name)
        assert found is not None
        assert "data" not in found
        assert found["metadata"]["uid"]
