"""PodChaperons that harm whoever reads them: the target's agent and extender, and its owner's pods, are unmoved."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import NODES, PODS
from tests.protocol.federation import Federation, is_gone, is_marked, phase, pod
from tests.strangers.attempts import ids_of
from tests.strangers.siege import GOOD, Witness
from tests.strangers.thief import OWNERS, let_in

POISON: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # annotations and fields of the pod's spec
    "superscript": ({names.REMADE: "² 2026-01-01T00:00:00Z"}, {}),
    "many-digits": ({names.REMADE: "9" * 5000}, {}),
    "far-times": (
        {names.POD_MISSING_SINCE: "0001-01-01T00:00:00+14:00", names.REMADE: "3 9999-12-31T23:59:59-14:00"},
        {},
    ),
    "huge-spec": ({}, {"nodeSelector": {f"example.com/k{i}": "v" * 60 for i in range(8000)}}),
    "impossible-pod": ({}, {"hostname": "NOT A NAME!"}),
    "spec-types": (
        {},
        {"restartPolicy": ["Never"], "priority": "²", "nodeSelector": 5, "tolerations": "all", "volumes": {"a": 1}},
    ),
}


@pytest.mark.parametrize("attempt", ids_of("test_source_poison::test_a_poisoned_chaperon_harms_itself_alone"))
async def test_a_poisoned_chaperon_harms_itself_alone(federation: Federation, attempt: str) -> None:
    """By the administrator's hand: a policy might keep it away, and its agent must not depend on that."""
    agent, extender = Witness.of(federation, GOOD), Witness.of(federation, GOOD, "extender")
    annotations, spec = POISON[attempt]
    await federation.ask(GOOD, "poisoned", annotations=annotations, **spec)
    for allowed in (False, True):
        name = f"good-{secrets.token_hex(3)}"
        await federation.ask(GOOD, name, "exit 0")
        await federation.chaperon(GOOD, name, lambda c: is_marked(c, names.IS_RESERVED))
        if allowed:
            await federation.allow(GOOD, name)
            await federation.chaperon(GOOD, name, lambda c: c and phase(c) == "Succeeded")
    agent.assert_lives(GOOD)
    extender.assert_lives(GOOD, "extender")
    await federation.lab.api(GOOD).delete(POD_CHAPERONS, "poisoned", federation.namespace)


async def test_a_chaperon_with_the_name_of_the_owners_pod(federation: Federation) -> None:
    async with let_in(federation) as thief:
        before = await federation.until_pod(OWNERS, lambda p: p and phase(p) == "Running", GOOD)
        await thief.ask(OWNERS)
        await _until_the_agent_has_gone_on(federation)
        chaperon = await thief.api.get(POD_CHAPERONS, OWNERS, thief.namespace)
        assert "phase" not in (chaperon.get("status") or {})
        await thief.api.patch(
            POD_CHAPERONS, OWNERS, {"metadata": {"annotations": {names.IS_ALLOWED: "true"}}}, thief.namespace
        )
        await thief.api.delete(POD_CHAPERONS, OWNERS, thief.namespace, propagation="Foreground")
        await federation.chaperon(GOOD, OWNERS, is_gone)
        await _until_the_agent_has_gone_on(federation)
        after = await thief.owner.get(PODS, OWNERS, thief.namespace)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert "ownerReferences" not in after["metadata"]
        assert "deletionTimestamp" not in after["metadata"]


async def test_a_chaperon_that_cannot_go_ends_its_pod(federation: Federation) -> None:
    """A source may keep its PodChaperon from going; what it stands for must end when the owner deletes it."""
    chaperon = await federation.ask(GOOD, "stays")
    patch = {"metadata": {"finalizers": ["thiefs.example/never"]}}
    await federation.lab.api(GOOD).patch(POD_CHAPERONS, "stays", patch, federation.namespace)
    await federation.chaperon(GOOD, "stays", lambda c: is_marked(c, names.IS_RESERVED))
    await federation.allow(GOOD, "stays")
    await federation.until_pod("stays", lambda p: p and phase(p) == "Running", GOOD)
    await federation.lab.api(GOOD).delete(POD_CHAPERONS, "stays", federation.namespace)
    await federation.until_pod("stays", is_gone, GOOD)
    left = await federation.lab.api(GOOD).get(POD_CHAPERONS, "stays", federation.namespace)
    assert left["metadata"]["uid"] == chaperon["metadata"]["uid"]
    await federation.lab.api(GOOD).patch(
        POD_CHAPERONS, "stays", {"metadata": {"finalizers": None}}, federation.namespace
    )


async def test_holds_do_not_keep_the_owner_out(federation: Federation) -> None:
    """All CPU of arm-lab is held by candidates that nobody will ever allow; the owner's own scheduler does not mind."""
    owner, node = federation.lab.api(GOOD), federation.real_nodes[GOOD][0]
    cpu = (await owner.get(NODES, node))["status"]["allocatable"]["cpu"]
    most = f"{int(_millicores(cpu) * 0.9)}m"
    await federation.ask(GOOD, "holds", container={"resources": {"requests": {"cpu": most}}})
    await federation.chaperon(GOOD, "holds", lambda c: is_marked(c, names.IS_RESERVED))
    theirs = pod("exit 0", name="theirs", container={"resources": {"requests": {"cpu": most}}})
    await owner.create(PODS, theirs, federation.namespace)
    await federation.until_pod("theirs", lambda p: p and phase(p) == "Succeeded", GOOD)
    await owner.delete(POD_CHAPERONS, "holds", federation.namespace, propagation="Foreground")


async def test_the_extender_knows_its_scheduler(federation: Federation) -> None:
    """Every pod with the host's network can reach it; only the scheduler beside it knows its secret."""
    chaperon = await federation.ask(GOOD, "waits")
    waiting = await federation.until_pod("waits", lambda p: p, GOOD)
    pid = federation.process("extender", GOOD).pid
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")  # noqa: ASYNC240  # of a process, not of a disk
    port = next(v.partition("=")[2] for v in environment if v.startswith("ISTHMUS_EXTENDER_PORT="))
    node = federation.real_nodes[GOOD][0]
    args = {
        "PodName": "waits",
        "PodNamespace": federation.namespace,
        "PodUID": waiting["metadata"]["uid"],
        "Node": node,
    }
    async with aiohttp.ClientSession(trust_env=False) as session:
        for path in ("/bind", "//bind", "/x/bind", "/bind/"):
            async with session.post(f"http://127.0.0.1:{port}{path}", json=args) as answer:
                assert answer.status in {401, 403, 404}, (path, await answer.text())
    await federation.lab.api(GOOD).delete(POD_CHAPERONS, chaperon["metadata"]["name"], federation.namespace)


async def _until_the_agent_has_gone_on(federation: Federation) -> None:
    """Wait until the agent has made the pod of a PodChaperon that came later, and then a little."""
    name = f"later-{secrets.token_hex(3)}"
    await federation.ask(GOOD, name, "exit 0")
    await federation.chaperon(GOOD, name, lambda c: is_marked(c, names.IS_RESERVED))
    await federation.lab.api(GOOD).delete(POD_CHAPERONS, name, federation.namespace, propagation="Foreground")
    await asyncio.sleep(0.5)


def _millicores(text: str) -> int:
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000
