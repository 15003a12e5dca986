"""ConfigMaps and Secrets that bound proxies refer to stay up to date in the targets with copies, and only there."""

import base64
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import CONFIG_MAPS, NODES, PODS, SECRETS
from tests.protocol.federation import FOREVER, Federation, is_gone

Manifest = dict[str, Any]


def config_map(value: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"k": value}}


def secret(value: str) -> Manifest:
    data = {"k": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "data": data}


def says(value: str) -> Any:
    return lambda found: found and found["data"]["k"] in (value, base64.b64encode(value.encode()).decode())


async def start(federation: Federation, only: str = "arm-lab") -> str:
    """A running federated pod that refers to both; what does not exist may come later."""
    sources = [
        {"configMapRef": {"name": "settings", "optional": True}},
        {"secretRef": {"name": "key", "optional": True}},
    ]
    name = await federation.submit(FOREVER, only=only, container={"envFrom": sources})
    await federation.until_running(name)
    return name


async def test_changes_of_the_originals_reach_the_copies(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await federation.home.create(CONFIG_MAPS, config_map("1"), federation.namespace)
    await federation.home.create(SECRETS, secret("1"), federation.namespace)
    await start(federation)
    for resource, name in ((CONFIG_MAPS, "settings"), (SECRETS, "key")):
        await federation.until(arm, resource, name, says("1"))
    await federation.home.patch(CONFIG_MAPS, "settings", {"data": {"k": "2"}}, federation.namespace)
    await federation.home.patch(SECRETS, "key", {"data": secret("2")["data"]}, federation.namespace)
    for resource, name in ((CONFIG_MAPS, "settings"), (SECRETS, "key")):
        await federation.until(arm, resource, name, says("2"))
        assert not await federation.exists(resource, "windows-lab", name), "a losing cluster never sees one"
        home = await federation.home.get(resource, name, federation.namespace)
        assert names.PARENT_UID not in (home["metadata"].get("labels") or {}), "the original is only read"


async def test_one_that_comes_later_is_owned_by_all_that_need_it(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    first, second = await start(federation), await start(federation)
    await federation.home.create(CONFIG_MAPS, config_map("1"), federation.namespace)
    copy = await federation.until(arm, CONFIG_MAPS, "settings", says("1"))
    owners = {owner["name"] for owner in copy["metadata"]["ownerReferences"]}
    assert owners == {await federation.chaperon_name(first), await federation.chaperon_name(second)}
    gone = await federation.chaperon_name(first)
    await federation.home.delete(PODS, first, federation.namespace)
    await federation.until(arm, POD_CHAPERONS, gone, is_gone)
    await federation.home.patch(CONFIG_MAPS, "settings", {"data": {"k": "2"}}, federation.namespace)
    await federation.until(arm, CONFIG_MAPS, "settings", says("2"))
    await federation.home.delete(PODS, second, federation.namespace)
    await federation.until(arm, CONFIG_MAPS, "settings", is_gone, seconds=40)


async def test_a_target_that_was_away_catches_up(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await federation.home.create(CONFIG_MAPS, config_map("1"), federation.namespace)
    await start(federation)
    await federation.until(arm, CONFIG_MAPS, "settings", says("1"))
    with federation.frozen("api-server", "arm-lab"):
        await federation.home.patch(CONFIG_MAPS, "settings", {"data": {"k": "2"}}, federation.namespace)
        node = federation.node("arm-lab")
        await federation.until(federation.home, NODES, node, _is_not_ready, namespace="", seconds=90)
    await federation.until(arm, CONFIG_MAPS, "settings", says("2"), seconds=60)


def _is_not_ready(node: Manifest | None) -> bool:
    return node is not None and any(
        one["type"] == "Ready" and one["status"] != "True" for one in node["status"]["conditions"]
    )


async def test_what_the_target_has_itself_is_left_alone(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await arm.create(CONFIG_MAPS, config_map("theirs"), federation.namespace)
    await federation.home.create(CONFIG_MAPS, config_map("1"), federation.namespace)
    await federation.home.create(SECRETS, secret("1"), federation.namespace)
    await start(federation)
    await federation.home.patch(CONFIG_MAPS, "settings", {"data": {"k": "2"}}, federation.namespace)
    await federation.home.patch(SECRETS, "key", {"data": secret("2")["data"]}, federation.namespace)
    await federation.until(arm, SECRETS, "key", says("2"))
    assert says("theirs")(await arm.get(CONFIG_MAPS, "settings", federation.namespace))


async def test_an_agent_that_was_killed_brings_copies_up_to_date(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await federation.home.create(CONFIG_MAPS, config_map("1"), federation.namespace)
    await start(federation)
    await federation.until(arm, CONFIG_MAPS, "settings", says("1"))
    restart = federation.kill("agent", "home")
    try:
        await federation.home.patch(CONFIG_MAPS, "settings", {"data": {"k": "2"}}, federation.namespace)
    finally:
        restart()
    await federation.until(arm, CONFIG_MAPS, "settings", says("2"), seconds=40)
