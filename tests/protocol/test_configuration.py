"""ConfigMaps and Secrets that bound proxies refer to stay up to date in the targets with copies, and only there."""

import base64
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS
from tests.protocol.federation import FOREVER, Federation, condition, is_gone, is_marked, phase

Manifest = dict[str, Any]


def config_map(value: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"k": value}}


def secret(value: str) -> Manifest:
    data = {"k": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "data": data}


def says(value: str) -> Any:
    shown = (value, base64.b64encode(value.encode()).decode())
    return lambda found: found and (found.get("data") or {}).get("k") in shown


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


async def needing(federation: Federation, script: str = FOREVER, **reference: Any) -> str:
    """A federated pod that cannot do without its settings."""
    sources = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "key", "optional": True} | reference}]
    return await federation.submit(script, only="arm-lab", container={"envFrom": sources})


def waits(*parts: str) -> Any:
    """Whether a proxy is bound, has not started, and says why."""

    def test(pod: Manifest | None) -> bool:
        if pod is None or not pod["spec"].get("nodeName") or phase(pod) != "Pending":
            return False
        message = condition(pod, names.RESERVED_CONDITION).get("message", "")
        return all(part in message for part in parts)

    return test


async def test_t6_the_target_s_own_object_is_read_by_nobody_unless_its_owner_shares_it(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await arm.create(CONFIG_MAPS, config_map("theirs"), federation.namespace)
    await federation.home.create(CONFIG_MAPS, config_map("ours"), federation.namespace)
    await federation.home.create(SECRETS, secret("ours"), federation.namespace)
    name = await needing(federation, '[ "$k" = ours ] || exit 3; exit 0')  # the Secret comes after, and wins
    waiting = await federation.until_pod(name, waits("arm-lab has ConfigMap settings of its own", names.SHARED))
    chaperon = await federation.chaperon_name(name)
    assert not is_marked(await arm.get(POD_CHAPERONS, chaperon, federation.namespace), names.IS_ALLOWED)
    events = (await federation.home.list(EVENTS, federation.namespace)).items
    message = condition(waiting, names.RESERVED_CONDITION)["message"]
    assert [event["message"] for event in events if event["involvedObject"]["name"] == name].count(message) == 1
    label = {"metadata": {"labels": {names.SHARED: "true"}}}
    await arm.patch(CONFIG_MAPS, "settings", label, federation.namespace)
    done = await federation.until_pod(name, lambda p: p and phase(p) in ("Succeeded", "Failed"), seconds=40)
    assert phase(done) == "Succeeded"
    assert says("theirs")(await arm.get(CONFIG_MAPS, "settings", federation.namespace)), "left alone"


async def test_t6_what_is_required_must_be_at_home_whatever_the_target_has(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await arm.create(SECRETS, secret("theirs"), federation.namespace)
    await federation.home.create(CONFIG_MAPS, config_map("ours"), federation.namespace)
    name = await needing(federation, optional=False)
    await federation.until_pod(name, waits("Secret key not found in the pod's namespace"))
    assert not is_marked(
        await arm.get(POD_CHAPERONS, await federation.chaperon_name(name), federation.namespace), names.IS_ALLOWED
    )
    await arm.delete(SECRETS, "key", federation.namespace)
    await federation.home.create(SECRETS, secret("ours"), federation.namespace)
    await federation.until_running(name)
    assert says("ours")(await arm.get(SECRETS, "key", federation.namespace))


async def test_t6_what_a_pod_can_do_without_is_not_supplied_by_the_target(federation: Federation) -> None:
    """Missing at home: where the target has one, the pod waits; where it has none, the name is taken."""
    arm = federation.lab.api("arm-lab")
    await federation.home.create(CONFIG_MAPS, config_map("ours"), federation.namespace)
    first = await needing(federation)
    await federation.until_running(first)
    taken = await arm.get(SECRETS, "key", federation.namespace)
    assert not taken.get("data")
    assert taken["metadata"]["ownerReferences"][0]["name"] == await federation.chaperon_name(first)
    await federation.home.delete(PODS, first, federation.namespace)
    await federation.until(arm, SECRETS, "key", is_gone, seconds=40)
    await arm.create(SECRETS, secret("theirs"), federation.namespace)
    second = await needing(federation)
    await federation.until_pod(second, waits("arm-lab has Secret key of its own"))


async def test_a_secret_of_another_type_takes_the_place_of_what_stood_for_it(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await start(federation)
    assert (await arm.get(SECRETS, "key", federation.namespace))["type"] == "Opaque"
    typed = secret("1") | {"type": "example.com/key"}
    await federation.home.create(SECRETS, typed, federation.namespace)
    copy = await federation.until(arm, SECRETS, "key", lambda s: s and s["type"] == "example.com/key")
    assert says("1")(copy)
    assert copy["metadata"]["ownerReferences"]


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
