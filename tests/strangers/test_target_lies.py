"""A target tells lies about pods, about itself and about what became of what it was given: home believes little."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from federation import names
from federation.kinds import TARGETS
from federation.kube.resources import NODES, PODS, SECRETS
from tests.protocol.federation import Federation, Manifest, condition, phase, pod
from tests.protocol.targets import is_doubted, until_target
from tests.strangers.attempts import ids_of
from tests.strangers.hostile import HostileTarget, running, summary
from tests.strangers.siege import (
    GOOD,
    Witness,
    add_hostile,
    assert_good_pods_run,
    drop_target,
    new_namespace,
    until_it_runs,
)
from tests.strangers.test_target_answers import until
from tests.strangers.wire import Request, Wire

LIAR = "liar"
PODS_THERE = 6  # five at once are what S4 calls too many
STATUS_BYTES_MAX = 24 * 1024
MESSAGE_LENGTH_MAX = 5 * 1024
CONDITIONS_MAX = 64
LABELS_MAX = 300
SECONDS_TO_REACT = 2.0  # how long something that must not happen is waited for, after a sign that all has been read


@pytest.fixture
async def liar(federation: Federation) -> AsyncIterator[HostileTarget]:
    """A Target of the test's namespace whose owner lies."""
    async with HostileTarget.running() as hostile:
        await add_hostile(federation, LIAR, hostile)
        yield hostile
        await drop_target(federation, LIAR)


# -- of a pod --------------------------------------------------------------------------------------------------------

MARK = 7
MOMENT = "2026-01-01T00:00:00Z"
BIG = "words " * 150_000
LIES: dict[str, dict[str, Any]] = {
    "pod-ip": {
        "podIP": "10.96.0.1",
        "podIPs": [{"ip": "10.96.0.1"}],
        "hostIP": "10.0.0.1",
        "hostIPs": [{"ip": "10.0.0.1"}],
    },
    "own-conditions": {
        "conditions": [
            {"type": kind, "status": "False", "reason": "Lie", "message": "a lie", "lastTransitionTime": MOMENT}
            for kind in ("PodScheduled", names.RESERVED_CONDITION)
        ]
    },
    "many-conditions": {
        "conditions": [
            {"type": f"example.com/{i}", "status": "True", "lastTransitionTime": MOMENT} for i in range(1000)
        ]
    },
    "foreign-containers": {
        "containerStatuses": [
            {"name": f"c{i}", "ready": True, "restartCount": 0, "image": "i", "imageID": "i", "state": {}}
            for i in range(500)
        ]
    },
    "big-status": {"message": BIG, "reason": "Big"},
    "odd-times": {"startTime": "0000-00-00T00:00:00Z", "observedGeneration": -7},
}


@pytest.mark.parametrize("attempt", ids_of("test_target_lies::test_what_a_target_says_of_a_pod"))
async def test_what_a_target_says_of_a_pod(federation: Federation, liar: HostileTarget, attempt: str) -> None:
    witness = Witness.of(federation)
    name = await federation.submit(only=LIAR)
    await until(lambda: any(names.IS_ALLOWED in c["metadata"]["annotations"] for c in liar.chaperons), "allowed")
    (chaperon,) = liar.chaperons
    if attempt == "bad-phase":
        chaperon["status"] = {**running(chaperon), "phase": "Pwned"}
        liar.change("podchaperons", federation.namespace, chaperon["metadata"]["name"])
        await assert_good_pods_run(federation)
    lie, truth = LIES.get(attempt, {}), running(chaperon)
    truth["containerStatuses"][0]["restartCount"] = MARK  # by which the proxy shows that it has heard all this
    told = {
        key: value + truth[key] if key in truth and isinstance(value, list) else value for key, value in lie.items()
    }
    chaperon["status"] = truth | told
    liar.change("podchaperons", federation.namespace, chaperon["metadata"]["name"])
    shown = await federation.until_pod(name, _has_heard)
    status = shown["status"]
    assert len(str(status)) < STATUS_BYTES_MAX
    assert not {"10.96.0.1", "10.0.0.1"} & _texts(status)
    assert {one["name"] for one in status["containerStatuses"]} == {"main"}
    assert len(status.get("message", "")) <= MESSAGE_LENGTH_MAX
    assert len(status["conditions"]) <= CONDITIONS_MAX
    assert condition(shown, "PodScheduled")["status"] == "True"
    assert condition(shown, names.RESERVED_CONDITION).get("message") != "a lie"
    assert "Lie" not in _texts(status)
    witness.assert_lives()


async def test_a_candidate_that_says_it_is_done(federation: Federation, liar: HostileTarget) -> None:
    """Never allowed, and Succeeded: a pod that did not run anywhere does not end."""

    def done(chaperon: Manifest) -> None:
        chaperon["status"] = {**running(chaperon), "phase": "Succeeded"}

    liar.obeys = done
    name = await federation.submit(only=LIAR)
    await until(lambda: liar.chaperons, "asked")
    await assert_good_pods_run(federation)
    await asyncio.sleep(SECONDS_TO_REACT)
    found = await federation.home.get(PODS, name, federation.namespace)
    assert (phase(found), found["spec"].get("nodeName")) == ("Pending", None)


async def test_no_secret_for_a_target_that_lost(federation: Federation, liar: HostileTarget) -> None:
    treasure = f"treasure-{secrets.token_hex(8)}"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "treasure"}, "stringData": {"key": treasure}}
    await federation.home.create(SECRETS, body, federation.namespace)
    liar.obeys = lambda _: None  # neither yes nor no
    await federation.until(federation.home, NODES, federation.node(LIAR), _is_ready, namespace="")
    await until(lambda: liar.asked["WATCH podchaperons"], "it may be asked")
    volumes = [{"name": "v", "secret": {"secretName": "treasure"}}]
    constraints = f"affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{{matchExpressions: [{{key: {names.TARGET_NAME}, operator: In, values: [{GOOD}, {LIAR}]}}]}}]}}}}}}"  # noqa: E501
    annotations = {names.ELECT: "", names.ASK: "all", names.PROXY_CONSTRAINTS: constraints}
    name = await federation.create(pod("sleep 600", annotations=annotations, volumes=volumes))
    assert await federation.until_running(name) == GOOD
    assert liar.asked["POST podchaperons"], "it was asked"
    told = b"".join(body for _, body in liar.bodies)
    assert treasure.encode() not in told
    assert base64.b64encode(treasure.encode()) not in told


# -- of what it holds ------------------------------------------------------------------------------------------------


async def test_all_chaperons_gone_at_once(federation: Federation, liar: HostileTarget) -> None:
    pods = [await federation.submit(only=LIAR) for _ in range(PODS_THERE)]
    for name in pods:
        await until_it_runs(federation, name, LIAR)
    held = [key for key in liar.objects if key[0] == "podchaperons"]
    for key in held:
        liar.tell("podchaperons", "DELETED", liar.objects.pop(key))
    await until_target(federation, LIAR, is_doubted("ChaperonsVanished"))
    await assert_good_pods_run(federation)
    assert {phase(await federation.home.get(PODS, name, federation.namespace)) for name in pods} == {"Running"}


async def test_another_cluster_id(federation: Federation, liar: HostileTarget) -> None:
    name = await federation.submit(only=LIAR)
    await until_it_runs(federation, name, LIAR)
    liar.cluster_id = secrets.token_hex(16)
    await until_target(federation, LIAR, is_doubted("ClusterChanged"))
    assert not liar.asked["DELETE podchaperons"]
    assert phase(await federation.home.get(PODS, name, federation.namespace)) == "Running"


async def test_a_chaperon_of_another_namespace(federation: Federation, liar: HostileTarget) -> None:
    """Whose UID it names is no secret: Events show it. The Target serves one namespace, and so do its PodChaperons."""
    finance = Federation(federation.lab, await new_namespace(federation.lab))
    waiting = await finance.submit(only="nowhere")
    live = await finance.home.get(PODS, waiting, finance.namespace)
    for place in (finance.namespace, federation.namespace):
        chaperon = _allowed(federation, live, f"forged-{secrets.token_hex(2)}", place)
        liar.add("podchaperons", chaperon)
    await assert_good_pods_run(federation)
    await asyncio.sleep(SECONDS_TO_REACT)
    found = await finance.home.get(PODS, waiting, finance.namespace)
    assert (phase(found), found["spec"].get("nodeName")) == ("Pending", None)
    assert found["spec"]["schedulingGates"]


async def test_an_allowed_chaperon_that_nobody_asked_for(federation: Federation, liar: HostileTarget) -> None:
    """The pod may only go to arm-lab, which has no room just now; the liar says that it was allowed there long ago."""
    await federation.cordon(GOOD)
    try:
        name = await federation.submit(only=GOOD)
        live = await federation.home.get(PODS, name, federation.namespace)
        key = names.target_key(federation.namespace, LIAR)
        right_name = names.chaperon_name(name, live["metadata"]["uid"], key)
        liar.add("podchaperons", _allowed(federation, live, right_name, federation.namespace))
        await federation.until_pod(name, lambda p: condition(p or {}, names.RESERVED_CONDITION).get("message"))
        await asyncio.sleep(SECONDS_TO_REACT)
        found = await federation.home.get(PODS, name, federation.namespace)
        assert found["spec"].get("nodeName") != federation.node(LIAR)
        assert LIAR not in str(found["spec"].get("affinity") or {})
    finally:
        await federation.cordon(GOOD, False)


async def test_an_answer_that_is_another_object(federation: Federation, liar: HostileTarget) -> None:
    """It answers for a second pod with the first one's PodChaperon."""
    first = await federation.submit(only=LIAR)
    await until_it_runs(federation, first, LIAR)
    (known,) = liar.chaperons

    async def swapped(request: Request, wire: Wire) -> None:
        await wire.json(201, known)

    liar.instead("POST", "podchaperons", swapped)
    witness, times = Witness.of(federation), liar.asked["POST podchaperons"]
    await federation.submit(only=LIAR)
    await until(lambda: liar.asked["POST podchaperons"] > times, "asked for the second")
    await assert_good_pods_run(federation)
    assert not liar.asked["DELETE podchaperons"]
    assert phase(await federation.home.get(PODS, first, federation.namespace)) == "Running"
    witness.assert_lives()


async def test_deletions_that_delete_nothing(federation: Federation, liar: HostileTarget) -> None:
    name = await federation.submit(only=LIAR)
    await until_it_runs(federation, name, LIAR)

    async def nothing(request: Request, wire: Wire) -> None:
        await wire.json(200, liar.chaperons[0])

    liar.instead("DELETE", "podchaperons", nothing)
    await federation.home.delete(PODS, name, federation.namespace)
    await federation.home.delete(TARGETS, LIAR, federation.namespace)
    await until_target(federation, LIAR, lambda t: "1 PodChaperons" in condition(t, "Ready").get("message", ""))
    await until(lambda: liar.asked["DELETE podchaperons"], "it was told to delete")
    await assert_good_pods_run(federation)
    await asyncio.sleep(SECONDS_TO_REACT)
    assert liar.asked["DELETE podchaperons"] < 40


def _allowed(federation: Federation, proxy: Manifest, name: str, namespace: str) -> Manifest:
    """A PodChaperon, forged by a target: of somebody's pod, and allowed."""
    metadata = proxy["metadata"]
    labels = {
        names.PARENT_UID: metadata["uid"],
        names.PARENT_CLUSTER_NAME: federation.lab.source,
        names.TARGET: names.target_key(federation.namespace, LIAR),
    }
    annotations = {
        names.PARENT_NAME: metadata["name"],
        names.PARENT_NAMESPACE: metadata["namespace"],
        names.IS_ALLOWED: "true",
    }
    found = {"name": name, "namespace": namespace, "uid": secrets.token_hex(8), "generation": 1}
    found |= {"labels": labels, "annotations": annotations, "creationTimestamp": MOMENT}
    kind = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND}
    return kind | {"metadata": found, "spec": {"containers": [{"name": "main", "image": "i"}]}}


# -- of itself -------------------------------------------------------------------------------------------------------

ODD_LABELS = {f"example.com/l{i}": "v" for i in range(5000)} | {"not a label!": "x", "a/b/c": "x", "example.com/v": "é"}
ARCH = {"kubernetes.io/arch": "sparc"}  # by which the node shows that it has heard the summary
SUMMARIES: dict[str, Manifest] = {
    "role-labels": summary(
        ARCH
        | {
            "node-role.kubernetes.io/control-plane": "",
            "node-restriction.kubernetes.io/payment": "true",
            "kubernetes.io/hostname": "home-linux-amd64",
            "node.kubernetes.io/exclude-from-external-load-balancers": "false",
            names.TARGET_NAME: GOOD,
        }
    ),
    "capacity": summary(ARCH, cpu="1P", memory="9Ei", pods="-5"),
    "odd-labels": summary(ARCH | ODD_LABELS),
    "odd-quantities": summary(ARCH, cpu="1E999999999", memory="9" * 5000, pods={"a": 1}, gpu="²"),
}


@pytest.mark.parametrize("attempt", ids_of("test_target_lies::test_what_a_target_says_of_itself"))
async def test_what_a_target_says_of_itself(federation: Federation, attempt: str) -> None:
    witness = Witness.of(federation)
    async with HostileTarget.running() as hostile:
        hostile.summary = SUMMARIES[attempt]
        await add_hostile(federation, LIAR, hostile)
        # A summary with labels that are none is refused whole; of the others the node has what was let through.
        heard = _is_ready if attempt == "odd-labels" else _has_arch
        node = await federation.until(federation.home, NODES, federation.node(LIAR), heard, namespace="")
        labels, room = node["metadata"]["labels"], node["status"].get("allocatable") or {}
        assert not [key for key in labels if key.startswith(("node-role.", "node-restriction."))]
        assert labels["kubernetes.io/hostname"] == federation.node(LIAR)
        assert labels[names.TARGET_NAME] == LIAR
        assert labels["node.kubernetes.io/exclude-from-external-load-balancers"] == "true"
        assert len(labels) <= LABELS_MAX
        assert not {"1P", "1000T", "9Ei", "-5"} & set(room.values()), room
        await drop_target(federation, LIAR)
    witness.assert_lives()


def _has_heard(proxy: Manifest | None) -> bool:
    containers = (proxy or {}).get("status", {}).get("containerStatuses") or []
    return any(one["restartCount"] == MARK for one in containers)


def _is_ready(node: Manifest | None) -> bool:
    return bool(node and condition(node, "Ready").get("status") == "True")


def _has_arch(node: Manifest | None) -> bool:
    return bool(node and node["metadata"].get("labels", {}).get("kubernetes.io/arch") == "sparc")


def _texts(value: object) -> set[str]:
    """All texts in a manifest."""
    if isinstance(value, dict):
        return set().union(*(_texts(one) for one in value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*(_texts(one) for one in value)) if value else set()
    return {str(value)}
