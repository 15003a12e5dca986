"""Lists, pages and watches of the embedded API server."""

import pytest

from lab.api_server.core.settings import Settings
from tests.lab.api_server.client import CONFIG_MAPS, Client, Refused, events, told


async def fill(client: Client, count: int) -> None:
    """Make config maps c0, c1, ..."""
    for number in range(count):
        await client.create(CONFIG_MAPS, {"metadata": {"name": f"c{number}", "labels": {"n": str(number % 2)}}})


async def test_a_list_shows_the_newest_revision_and_selects_by_label_and_name() -> None:
    client = Client()
    await fill(client, 4)
    listed = await client.get(CONFIG_MAPS, labelSelector="n=1")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["c1", "c3"]
    assert listed["metadata"]["resourceVersion"] == str(client.server.store.revision)
    assert "kind" not in listed["items"][0]
    assert len((await client.get(CONFIG_MAPS, fieldSelector="metadata.name=c2"))["items"]) == 1
    with pytest.raises(Refused, match='"x" is not a known field selector'):
        await client.get(CONFIG_MAPS, fieldSelector="x=y")


async def test_pages_of_one_list_show_one_moment() -> None:
    client = Client()
    await fill(client, 5)
    first = await client.get(CONFIG_MAPS, limit="2")
    await client.delete(f"{CONFIG_MAPS}/c4")
    token = first["metadata"]["continue"]
    second = await client.get(CONFIG_MAPS, **{"limit": "2", "continue": token})
    last = await client.get(CONFIG_MAPS, **{"limit": "2", "continue": second["metadata"]["continue"]})
    names = [item["metadata"]["name"] for page in (first, second, last) for item in page["items"]]
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, last)} == {
        first["metadata"]["resourceVersion"]
    }
    assert "continue" not in last["metadata"]


async def test_an_expired_continue_token_is_410() -> None:
    client = Client()
    await fill(client, 3)
    token = (await client.get(CONFIG_MAPS, limit="1"))["metadata"]["continue"]
    client.server.compact()
    with pytest.raises(Refused) as refused:
        await client.get(CONFIG_MAPS, **{"continue": token})
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


async def test_a_watch_from_a_revision_tells_what_came_after_it() -> None:
    client = Client()
    await fill(client, 2)
    revision = (await client.get(CONFIG_MAPS))["metadata"]["resourceVersion"]
    await client.patch(f"{CONFIG_MAPS}/c0", {"data": {"a": "b"}})
    watch = await client.watch(CONFIG_MAPS, resourceVersion=revision)
    await client.delete(f"{CONFIG_MAPS}/c1")
    assert told(watch) == [("MODIFIED", "c0"), ("DELETED", "c1")]


async def test_a_watch_shows_objects_entering_and_leaving_its_selection() -> None:
    client = Client()
    await fill(client, 1)
    watch = await client.watch(CONFIG_MAPS, labelSelector="n=5")
    await client.patch(f"{CONFIG_MAPS}/c0", {"metadata": {"labels": {"n": "5"}}})
    await client.patch(f"{CONFIG_MAPS}/c0", {"data": {"a": "b"}})
    await client.patch(f"{CONFIG_MAPS}/c0", {"metadata": {"labels": {"n": "6"}}})
    seen = events(watch)
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[2][1]["metadata"]["labels"]["n"] == "5"
    assert seen[2][1]["metadata"]["resourceVersion"] == str(client.server.store.revision)


async def test_a_watch_list_ends_with_the_bookmark_that_client_go_waits_for() -> None:
    client = Client()
    await fill(client, 2)
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    seen = events(await client.watch(CONFIG_MAPS, **options))
    assert [kind for kind, _ in seen] == ["ADDED", "ADDED", "BOOKMARK"]
    assert seen[2][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_from_before_the_log_is_told_410_inside_the_stream() -> None:
    client = Client(settings=Settings(log_length=2))
    await fill(client, 5)
    [(kind, status)] = events(await client.watch(CONFIG_MAPS, resourceVersion="3"))
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watch_ends_at_its_timeout_and_sends_nothing_but_what_happened() -> None:
    client = Client()
    watch = await client.watch(CONFIG_MAPS, timeoutSeconds="1", resourceVersion=str(client.server.store.revision))
    assert [line async for line in watch.lines()] == []


async def test_a_revision_of_the_future_is_refused() -> None:
    with pytest.raises(Refused, match="Too large resource version: 100000") as refused:
        await Client().get(CONFIG_MAPS, resourceVersion="100000")
    assert refused.value.code == 504


async def test_metadata_only_and_tables_on_request() -> None:
    client = Client()
    await fill(client, 1)
    accept = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    listed = await client.send("GET", CONFIG_MAPS, headers=accept)
    assert listed["kind"] == "PartialObjectMetadataList"
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    table = await client.send("GET", CONFIG_MAPS, headers=accept)
    assert table["columnDefinitions"][0]["name"] == "Name"
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
