"""list and watch, as client-go and our own stores use them."""

import pytest

from tests.conformance.conftest import HttpClient
from tests.lab.api_server.client import Refused

WATCH_LIST = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}


async def fill(client: HttpClient, home: str, count: int) -> None:
    """Make config maps c0, c1, ..."""
    for number in range(count):
        metadata = {"name": f"c{number}", "labels": {"n": str(number % 2)}}
        await client.create(f"{home}/configmaps", {"metadata": metadata})


async def test_lists(client: HttpClient, home: str) -> None:
    await fill(client, home, 4)
    listed = await client.get(f"{home}/configmaps", labelSelector="n in (1)")
    assert listed["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in listed["items"]] == ["c1", "c3"]
    assert "kind" not in listed["items"][0]
    assert int(listed["metadata"]["resourceVersion"]) >= int(listed["items"][-1]["metadata"]["resourceVersion"])
    named = await client.get(f"{home}/configmaps", fieldSelector="metadata.name!=c1,metadata.name!=c0")
    assert [item["metadata"]["name"] for item in named["items"]] == ["c2", "c3"]


async def test_pages(client: HttpClient, home: str) -> None:
    await fill(client, home, 3)
    first = await client.get(f"{home}/configmaps", limit="2")
    assert first["metadata"]["remainingItemCount"] == 1
    rest = await client.get(f"{home}/configmaps", **{"limit": "2", "continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c2"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in rest["metadata"]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"labelSelector": "a===b"}, 400, "unable to parse requirement: found '=', expected: identifier"),
        (
            {"fieldSelector": "a=b"},
            400,
            '"a" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ({"continue": "zz"}, 400, "invalid continue token: continue key is not valid"),
        ({"resourceVersion": "99999999"}, 504, "Timeout: Too large resource version: 99999999, current: "),
        ({"watch": "1", "sendInitialEvents": "true"}, 422, "sendInitialEvents requires setting resourceVersionMatch"),
    ],
)
async def test_wrong_options(client: HttpClient, home: str, query: dict[str, str], code: int, message: str) -> None:
    with pytest.raises(Refused) as refused:
        await client.get(f"{home}/configmaps", **query)
    assert refused.value.code == code
    assert message in refused.value.message


async def test_a_watch_without_a_revision_begins_with_what_is_there(client: HttpClient, home: str) -> None:
    await fill(client, home, 2)
    seen = await client.watched(f"{home}/configmaps")
    assert [(kind, one["metadata"]["name"]) for kind, one in seen] == [("ADDED", "c0"), ("ADDED", "c1")]
    assert seen[0][1]["kind"] == "ConfigMap"


async def test_a_watch_from_a_revision(client: HttpClient, home: str) -> None:
    await fill(client, home, 2)
    revision = (await client.get(f"{home}/configmaps"))["metadata"]["resourceVersion"]
    await client.patch(f"{home}/configmaps/c0", {"data": {"a": "b"}})
    await client.delete(f"{home}/configmaps/c1")
    seen = await client.watched(f"{home}/configmaps", resourceVersion=revision)
    assert [(kind, one["metadata"]["name"]) for kind, one in seen] == [("MODIFIED", "c0"), ("DELETED", "c1")]
    assert int(seen[1][1]["metadata"]["resourceVersion"]) > int(seen[0][1]["metadata"]["resourceVersion"])


async def test_a_watch_with_a_selector(client: HttpClient, home: str) -> None:
    await fill(client, home, 1)
    revision = (await client.get(f"{home}/configmaps"))["metadata"]["resourceVersion"]
    for value in ("5", "5", "6"):
        await client.patch(f"{home}/configmaps/c0", {"metadata": {"labels": {"n": value}}, "data": {"at": "x" + value}})
    await client.patch(f"{home}/configmaps/c0", {"metadata": {"labels": {"n": "5"}}})
    seen = await client.watched(f"{home}/configmaps", resourceVersion=revision, labelSelector="n=5")
    assert [kind for kind, _ in seen] == ["ADDED", "DELETED", "ADDED"]
    assert seen[1][1]["metadata"]["labels"]["n"] == "5"


async def test_a_watch_list(client: HttpClient, home: str) -> None:
    await fill(client, home, 2)
    seen = await client.watched(f"{home}/configmaps", **WATCH_LIST)
    assert [kind for kind, _ in seen][:3] == ["ADDED", "ADDED", "BOOKMARK"]
    metadata = seen[2][1]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(metadata["resourceVersion"]) >= int(seen[1][1]["metadata"]["resourceVersion"])


async def test_events_of_both_groups_are_the_same_objects(client: HttpClient, home: str) -> None:
    namespace = home.rsplit("/", 1)[1]
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
        "reason": "Because",
        "message": "text",
        "type": "Normal",
        "source": {"component": "me"},
    }
    await client.create(f"{home}/events", event)
    shown = await client.get(home.replace("/api/v1", "/apis/events.k8s.io/v1") + "/events/e")
    assert (shown["note"], shown["regarding"]["name"], shown["apiVersion"]) == ("text", "p", "events.k8s.io/v1")
    found = await client.get(f"{home}/events", fieldSelector="involvedObject.name=p,reason=Because")
    assert len(found["items"]) == 1
