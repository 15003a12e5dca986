"""Creates, updates, patches and deletions of the embedded API server."""

import pytest

from tests.lab.api_server.client import CONFIG_MAPS, PODS, Client, Refused, pod, with_account


async def test_a_write_with_an_old_revision_loses() -> None:
    client = Client()
    made = await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    await client.patch(f"{CONFIG_MAPS}/a", {"data": {"k": "v"}})
    with pytest.raises(Refused) as refused:
        await client.replace(f"{CONFIG_MAPS}/a", made)
    assert refused.value.status["details"] == {"name": "a", "kind": "configmaps"}
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    with pytest.raises(Refused, match="object has been modified"):
        await client.patch(f"{CONFIG_MAPS}/a", {"metadata": {"resourceVersion": "1"}})


async def test_a_write_that_changes_nothing_makes_no_revision() -> None:
    client = Client()
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    before = client.server.store.revision
    await client.patch(f"{CONFIG_MAPS}/a", {"data": {"k": "v"}})
    assert client.server.store.revision == before


async def test_generated_names_are_new_each_time() -> None:
    client = Client()
    made = [await client.create(CONFIG_MAPS, {"metadata": {"generateName": "a-"}}) for _ in range(5)]
    names = {one["metadata"]["name"] for one in made}
    assert len(names) == 5
    assert all(name.startswith("a-") and len(name) == 7 for name in names)


async def test_a_dry_run_stores_nothing() -> None:
    client = Client()
    made = await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, dryRun="All")
    assert made["metadata"]["uid"]
    with pytest.raises(Refused, match='configmaps "a" not found'):
        await client.get(f"{CONFIG_MAPS}/a")


async def test_a_finalizer_holds_an_object_until_it_is_removed() -> None:
    client = Client()
    await client.create(CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["ex.io/hold"]}})
    marked = await client.delete(f"{CONFIG_MAPS}/a")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    with pytest.raises(Refused, match="no new finalizers can be added"):
        await client.patch(f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": ["ex.io/hold", "ex.io/more"]}})
    await client.patch(f"{CONFIG_MAPS}/a", [{"op": "remove", "path": "/metadata/finalizers/0"}], "json")
    with pytest.raises(Refused, match="not found"):
        await client.get(f"{CONFIG_MAPS}/a")


async def test_propagation_policies_become_finalizers() -> None:
    client = Client()
    for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
        await client.create(CONFIG_MAPS, {"metadata": {"name": policy.lower()}})
        marked = await client.delete(f"{CONFIG_MAPS}/{policy.lower()}", {"propagationPolicy": policy})
        assert marked["metadata"]["finalizers"] == [finalizer]


async def test_deletion_preconditions_are_checked() -> None:
    client = Client()
    made = await client.create(CONFIG_MAPS, {"metadata": {"name": "a"}})
    with pytest.raises(Refused, match="does not match the UID in record"):
        await client.delete(f"{CONFIG_MAPS}/a", {"preconditions": {"uid": "other"}})
    with pytest.raises(Refused, match="does not match the ResourceVersion in record"):
        await client.delete(f"{CONFIG_MAPS}/a", {"preconditions": {"resourceVersion": "1"}})
    good = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
    assert (await client.delete(f"{CONFIG_MAPS}/a", {"preconditions": good}))["status"] == "Success"


async def test_a_bound_pod_waits_for_its_kubelet_and_an_unbound_one_does_not() -> None:
    client = await with_account(Client())
    await client.create(PODS, pod("unbound"))
    await client.create(PODS, pod("bound", nodeName="n"))
    await client.delete(f"{PODS}/unbound")
    marked = await client.delete(f"{PODS}/bound")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    again = await client.delete(f"{PODS}/bound", {"gracePeriodSeconds": 5})
    assert again["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"
    await client.delete(f"{PODS}/bound", {"gracePeriodSeconds": 0})
    assert (await client.get(PODS))["items"] == []


async def test_a_namespace_stays_terminating_until_it_is_finalized() -> None:
    client = Client()
    await client.create("/api/v1/namespaces", {"metadata": {"name": "n"}})
    namespace = await client.delete("/api/v1/namespaces/n")
    assert namespace["status"]["phase"] == "Terminating"
    with pytest.raises(Refused, match="because it is being terminated") as refused:
        await client.create("/api/v1/namespaces/n/configmaps", {"metadata": {"name": "a"}})
    assert refused.value.code == 403
    namespace["spec"]["finalizers"] = []
    await client.replace("/api/v1/namespaces/n/finalize", namespace)
    with pytest.raises(Refused, match='namespaces "n" not found'):
        await client.get("/api/v1/namespaces/n")


async def test_deletecollection_deletes_what_the_selector_matches() -> None:
    client = Client()
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        await client.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": {"colour": colour}}})
    await client.delete(CONFIG_MAPS, labelSelector="colour=red")
    assert [one["metadata"]["name"] for one in (await client.get(CONFIG_MAPS))["items"]] == ["c"]


async def test_strategic_merge_knows_containers_by_name() -> None:
    client = await with_account(Client())
    await client.create(PODS, pod())
    changed = await client.patch(f"{PODS}/p", {"spec": {"containers": [{"name": "c", "image": "x:2"}]}}, "strategic")
    assert changed["spec"]["containers"][0]["image"] == "x:2"
    assert changed["spec"]["containers"][0]["terminationMessagePolicy"] == "File"
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await client.patch(f"{PODS}/p/status", patch, "strategic")
    patch = {"status": {"conditions": [{"type": "Other", "status": "False"}]}}
    changed = await client.patch(f"{PODS}/p/status", patch, "strategic")
    assert {one["type"] for one in changed["status"]["conditions"]} == {"Ready", "Other"}


async def test_apply_creates_and_then_removes_what_is_left_out() -> None:
    client = Client()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    await client.patch(f"{CONFIG_MAPS}/a", body, "apply", fieldManager="me")
    changed = await client.patch(f"{CONFIG_MAPS}/a", {"data": {"l": "w"}}, "apply", fieldManager="me")
    assert changed["data"] == {"l": "w"}
