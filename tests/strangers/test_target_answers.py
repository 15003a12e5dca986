"""A target answers what no API server answers: its own Target says so, and nobody else notices."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from federation import names
from federation.kinds import TARGETS
from lab.running import RunningLab
from tests.protocol.federation import Federation, Manifest
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import BAD_LISTS, BAD_WATCHES, FORGED, SECRET_PAGE, redirect, refusal
from tests.strangers.hostile import HostileTarget
from tests.strangers.siege import Witness, add_target, assert_good_pods_run, drop_target, new_namespace, until_ready
from tests.strangers.wire import Request, Wire, serving

MESSAGE_LENGTH_MAX = 6 * 1024  # 4 KiB of the target's words, and ours around them
GOOD_SECONDS = 60  # two dozen strangers at once, on any machine; what they may cost is judged in test_bounds
ODD_ANNOTATIONS: tuple[dict[str, object], ...] = (
    {names.REMADE: "² 2026-01-01T00:00:00Z"},
    {names.REMADE: "9" * 5000},
    {names.POD_MISSING_SINCE: "0001-01-01T00:00:00+14:00"},
    {names.PARENT_NAMESPACE: 5, names.PARENT_NAME: []},
    {names.IS_RESERVED: {}, names.IS_ALLOWED: None},
)
REQUESTS_A_SECOND_MAX = 6.0  # of one kind; a watch that breaks is tried again about once a second


@dataclass(frozen=True)
class Siege:
    """All bad targets at once, behind Targets of one namespace."""

    federation: Federation
    targets: dict[str, HostileTarget]
    witness: Witness
    begun: float
    visits: list[str]  # of an address within home


@pytest.fixture(scope="module")
async def siege(federation_lab: RunningLab) -> AsyncIterator[Siege]:
    """Made once: that the targets are bad all at the same time is part of it."""
    federation = Federation(federation_lab, await new_namespace(federation_lab))
    await federation.join()
    witness, visits = Witness.of(federation), list[str]()
    async with AsyncExitStack() as stack:

        async def visited(request: Request, wire: Wire) -> None:
            visits.append(f"{request.method} {request.path}")
            await wire.json(200, {})

        inner, _ = await stack.enter_async_context(serving(visited, is_tls=False))
        targets: dict[str, HostileTarget] = {}
        for name, arm in (BAD_LISTS | BAD_WATCHES).items():
            targets[name] = await stack.enter_async_context(HostileTarget.running())
            arm(targets[name])
        for name, method in (("redirect-list", "GET"), ("redirect-keeps-method", "POST")):
            targets[name] = await stack.enter_async_context(HostileTarget.running())
            targets[name].instead(method, "podchaperons", redirect(308 if method == "POST" else 302, f"{inner}/inner"))
        for name in ("parent-path", "odd-annotations", "already-exists", "long-id"):
            targets[name] = await stack.enter_async_context(HostileTarget.running())
        targets["already-exists"].instead("POST", "podchaperons", refusal(409, "there is one", "AlreadyExists"))
        targets["long-id"].cluster_id = "9" * 1_000_000
        for name, target in targets.items():
            await add_target(federation, name, target.kubeconfig())
        yield Siege(federation, targets, witness, time.monotonic(), visits)
        for name in targets:
            await drop_target(federation, name)


@pytest.mark.parametrize("attempt", ids_of("test_target_answers::test_a_bad_answer_harms_its_sender_alone"))
async def test_a_bad_answer_harms_its_sender_alone(siege: Siege, attempt: str) -> None:
    federation, target = siege.federation, siege.targets[attempt]
    tried = "WATCH podchaperons" if attempt in BAD_WATCHES else "GET podchaperons"
    await until(lambda: target.asked[tried], "the agent has come to where the answer is bad")
    match attempt:
        case "parent-path":
            target.add("podchaperons", stray_chaperon(federation, attempt, "../../../nodes/home-linux-amd64"))
        case "odd-annotations":
            for number, odd in enumerate(ODD_ANNOTATIONS):
                chaperon = stray_chaperon(federation, attempt, f"pod-{number}")
                chaperon["metadata"] |= {"name": f"stray-{number}", "uid": f"s{number}"}
                chaperon["metadata"]["annotations"] |= odd
                target.add("podchaperons", chaperon)
        case "long-id":
            await assert_good_pods_run(federation)
            shown = await federation.home.get(TARGETS, attempt, federation.namespace)
            assert len(str(shown["status"])) < 2 * MESSAGE_LENGTH_MAX
        case "redirect-keeps-method" | "already-exists":
            await until_ready(federation, attempt, "True")
            await federation.submit(only=attempt)
            await until(lambda: target.asked["POST podchaperons"], "it was asked for a PodChaperon")
        case "foreign-chaperons" | "big-number" | "watch-storm" | "gone-storm" | "event-shapes" | "endless-line":
            pass  # whether that can be used or not is the agent's choice; what it costs is not
        case "deflate-watch":
            pass
        case _:
            refused = await until_ready(federation, attempt, "False")
            assert len(refused["message"]) <= MESSAGE_LENGTH_MAX
            assert SECRET_PAGE not in refused["message"]
            assert refused["message"].isprintable()
    await assert_good_pods_run(federation, GOOD_SECONDS)
    assert siege.visits == []
    siege.witness.assert_lives()
    said = siege.witness.said()
    assert SECRET_PAGE not in said
    assert not [line for line in said.splitlines() if line.startswith((FORGED, "\x1b"))]
    lasted = time.monotonic() - siege.begun
    for what, times in target.asked.items():
        assert times <= 20 + lasted * REQUESTS_A_SECOND_MAX, f"{what}: {times} times in {lasted:.0f} s"


def stray_chaperon(federation: Federation, target: str, parent: str) -> Manifest:
    """A PodChaperon that looks like one of ours, of a pod with this name."""
    labels = {
        names.PARENT_UID: "00000000-0000-0000-0000-000000000000",
        names.PARENT_CLUSTER_NAME: federation.lab.source,
        names.TARGET: names.target_key(federation.namespace, target),
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.CHAPERON_KIND,
        "metadata": {
            "name": "stray",
            "namespace": federation.namespace,
            "uid": "s",
            "labels": labels,
            "annotations": {names.PARENT_NAME: parent, names.PARENT_NAMESPACE: federation.namespace},
        },
        "spec": {"containers": [{"name": "main"}]},
    }


async def until(holds: object, what: str, seconds: float = 20) -> None:
    """Wait until something that no API tells is true."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        await asyncio.sleep(0.05)
