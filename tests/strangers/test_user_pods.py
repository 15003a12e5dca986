"""alice submits pods: names that are paths, texts that unfold, marks that are not hers, nodes that are not hers."""

import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.errors import BadRequest, Forbidden, Invalid
from federation.kube.resources import NAMESPACES, NODES, PODS, SECRETS, SERVICES
from tests.protocol.federation import Federation, Manifest, condition, is_gone, phase, pod
from tests.strangers.alice import Alice, alice_of
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import ALIASES
from tests.strangers.siege import GOOD, Witness, assert_good_pods_run, new_namespace

PATH = "../../kube-system/secrets/x"
SECONDS_AT_ONCE = 8.0  # the webhook's own time-out is 10 s


@pytest.fixture
async def alice(federation: Federation) -> AsyncIterator[Alice]:
    async with alice_of(federation) as found:
        yield found


def volumes(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v"} | source]}


PATHS: dict[str, list[dict[str, Any]]] = {
    "secret-path": [volumes(secret={"secretName": PATH}), volumes(secret={"secretName": PATH, "optional": True})],
    "config-path": [volumes(configMap={"name": PATH}), volumes(configMap={"name": ".."})],
    "projected-path": [
        volumes(projected={"sources": [{"secret": {"name": PATH}}]}),
        volumes(projected={"sources": [{"configMap": {"name": PATH}}]}),
    ],
    "pull-path": [{"imagePullSecrets": [{"name": PATH}]}],
    "env-path": [
        {"initContainers": [{"name": "i", "image": "busybox", "envFrom": [{"secretRef": {"name": PATH}}]}]},
        {"container": {"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": PATH, "key": "k"}}}]}},
    ],
    "escaped-path": [
        volumes(secret={"secretName": "..%2f..%2fkube-system%2fsecrets%2fx"}),
        volumes(secret={"secretName": "a?x=y"}),
        volumes(secret={"secretName": "a#b"}),
        volumes(secret={"secretName": "a/../b"}),
    ],
}


@pytest.mark.parametrize("attempt", ids_of("test_user_pods::test_a_name_that_is_a_path_is_refused"))
async def test_a_name_that_is_a_path_is_refused(alice: Alice, attempt: str) -> None:
    for spec in PATHS[attempt]:
        with pytest.raises((Forbidden, Invalid, BadRequest)) as refused:
            await alice.api.create(PODS, alice.elected(**spec), alice.namespace)
        assert any(field in str(refused.value) for field in ("ecret", "onfigMap", "envFrom", "env[", "olumes"))


UNFOLDING = {
    "yaml-bomb": {names.PROXY_CONSTRAINTS: ALIASES},
    "deep-constraints": {names.PROXY_CONSTRAINTS: "affinity: " + "[" * 5000},
    "regexp": {names.NO_PREFIX_LABEL_REGEXP: "((((a{100}){100}){100}){100}){100}"},
    "wide-constraints": {names.PROXY_CONSTRAINTS: "tolerations: [" + "{key: a}," * 20_000 + "]"},
}


@pytest.mark.parametrize("attempt", ids_of("test_user_pods::test_constraints_that_unfold_are_refused"))
async def test_constraints_that_unfold_are_refused(alice: Alice, attempt: str) -> None:
    witness = Witness.of(alice.federation)
    path, body = PODS.path(alice.namespace), alice.elected(annotations=UNFOLDING[attempt])
    with pytest.raises((Forbidden, Invalid, BadRequest)) as refused:
        await alice.api.request("POST", path, body=body, timeout_seconds=SECONDS_AT_ONCE)
    assert len(str(refused.value)) < 4096
    await assert_good_pods_run(alice.federation)
    witness.assert_lives()


FORGED = {
    names.SPREAD: "kubernetes.io/hostname=zone,spread.isthmus.dev/0123456789abcdef=zone",
    names.ASKING: "all",
    names.UNGATED_AT: "2020-01-01T00:00:00Z",
    names.PARENT_NAME: "other",
    names.PARENT_NAMESPACE: "finance",
    names.IS_ALLOWED: "true",
    names.IS_RESERVED: "true",
    names.REMADE: "7 2020-01-01T00:00:00Z",
    names.OURS + "reservations": "n=u",
    names.OURS + "pod-uid": "u",
    names.OURS + "replaceable": "u",
}


@pytest.mark.parametrize("attempt", ids_of("test_user_pods::test_what_admission_sets_a_user_does_not"))
async def test_what_admission_sets_a_user_does_not(alice: Alice, attempt: str) -> None:
    body = alice.elected()
    metadata = body["metadata"]
    match attempt:
        case "spread" | "marks":
            metadata["annotations"] |= FORGED
        case "finalizers":
            metadata["finalizers"] = [names.PREFIX + "finance-c1", names.TARGET_FINALIZER, names.PREFIX + "x"]
    made = await alice.api.create(PODS, body, alice.namespace)
    found = made["metadata"]["annotations"]
    assert {key for key, value in FORGED.items() if found.get(key) == value} <= {names.ASKING}
    own = {names.finalizer(alice.namespace, cluster) for cluster in alice.federation.clusters}
    assert {name for name in made["metadata"].get("finalizers") or [] if name.startswith(names.PREFIX)} <= own
    assert names.TARGET_FINALIZER not in (made["metadata"].get("finalizers") or [])
    assert "hostNetwork" not in orjson.loads(found[names.SOURCE_POD_MANIFEST])["spec"]
    await alice.federation.until_running(made["metadata"]["name"])
    for node in (await alice.federation.home.list(NODES)).items:
        assert "zone" not in node["metadata"]["labels"]
    await alice.api.delete(PODS, made["metadata"]["name"], alice.namespace)
    await alice.federation.until_pod(made["metadata"]["name"], is_gone)


async def test_labels_of_others(alice: Alice) -> None:
    """Labels under our prefix move nowhere: they must not make her delegate somebody else's."""
    federation = alice.federation
    body = alice.elected(annotations={names.NO_PREFIX_LABEL_REGEXP: ".*"})
    body["metadata"]["annotations"][names.PROXY_CONSTRAINTS] = f"nodeSelector: {{{names.TARGET_NAME}: {GOOD}}}"
    theirs = {names.PARENT_UID: "theirs", names.PARENT_CLUSTER_NAME: "theirs", names.TARGET: "theirs"}
    body["metadata"]["labels"] = theirs | {"parent-uid": "theirs", "x/parent-cluster-name": "theirs"}
    made = await alice.api.create(PODS, body, alice.namespace)
    name = made["metadata"]["name"]
    await federation.until_running(name)
    chaperon = await federation.lab.api(GOOD).get(
        POD_CHAPERONS, await federation.chaperon_name(name), federation.namespace
    )
    delegate = await federation.lab.api(GOOD).get(PODS, chaperon["metadata"]["name"], federation.namespace)
    for found in (chaperon, delegate):
        labels = found["metadata"]["labels"]
        assert labels[names.PARENT_UID] == made["metadata"]["uid"]
        assert labels[names.PARENT_CLUSTER_NAME] == federation.lab.source


@pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)
async def test_pod_security_sees_the_pod_as_submitted(federation: Federation) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    await federation.home.patch(NAMESPACES, federation.namespace, label)
    async with alice_of(federation) as alice:
        ports = {"ports": [{"containerPort": 80, "hostPort": 80}]}
        for spec in ({"hostNetwork": True}, {"container": ports}):
            with pytest.raises(Forbidden, match="PodSecurity"):
                await alice.api.create(PODS, alice.elected(**spec), alice.namespace)
        assert await alice.api.create(PODS, alice.elected(), alice.namespace)


@pytest.mark.parametrize("attempt", ids_of("test_user_pods::test_a_node_of_another_namespace"))
async def test_a_node_of_another_namespace(federation: Federation, attempt: str) -> None:
    """Nothing comes of it in the target behind that node, whatever happens to the pod."""
    hers = Federation(federation.lab, await new_namespace(federation.lab))
    everything = [{"operator": "Exists"}]
    async with alice_of(hers) as alice:
        body = alice.elected(nodeName=federation.node(GOOD), tolerations=everything)
        if attempt == "tolerates-all":
            body = pod("sleep 600", nodeName=federation.node(GOOD), tolerations=everything)
        made = await alice.api.create(PODS, body, alice.namespace)
        await assert_good_pods_run(federation)
        there = federation.lab.api(GOOD)
        assert (await there.list(POD_CHAPERONS, alice.namespace)).items == []
        assert phase(await alice.api.get(PODS, made["metadata"]["name"], alice.namespace)) != "Running"


@pytest.mark.parametrize("attempt", ids_of("test_user_pods::test_a_secret_of_the_targets_owner"))
async def test_a_secret_of_the_targets_owner(alice: Alice, attempt: str) -> None:
    federation, there, treasure = alice.federation, alice.federation.lab.api(GOOD), f"owners-{secrets.token_hex(8)}"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owners"}, "stringData": {"key": treasure}}
    await there.create(SECRETS, body, federation.namespace)
    source = {"secretName": "owners", "optional": attempt == "optional-secret"}
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    spec = volumes(secret=source) | {"container": mount}
    only = {names.PROXY_CONSTRAINTS: f"nodeSelector: {{{names.TARGET_NAME}: {GOOD}}}"}
    made = await alice.api.create(PODS, alice.elected("cat /v/key; sleep 600", only, **spec), alice.namespace)
    name = made["metadata"]["name"]
    await assert_good_pods_run(federation)
    waiting = await federation.until_pod(
        name,
        lambda p: p and (phase(p) == "Running" or "owners" in str(condition(p, names.RESERVED_CONDITION))),
        seconds=20,
    )
    if phase(waiting) == "Running":
        assert attempt == "optional-secret"
        said = await federation.home.request("GET", PODS.path(federation.namespace, name, "log"))
        assert treasure not in said.body.decode()
    else:
        chaperon = await there.get(POD_CHAPERONS, await federation.chaperon_name(name), federation.namespace)
        assert names.IS_ALLOWED not in chaperon["metadata"]["annotations"]


FOREIGN = {
    "k8s.v1.cni.cncf.io/networks": "owners",
    "sidecar.istio.io/inject": "true",
    "container.apparmor.security.beta.kubernetes.io/main": "unconfined",
}
BALANCER = {
    "service.beta.kubernetes.io/aws-load-balancer-internal": "false",
    "external-dns.alpha.kubernetes.io/hostname": "owner.example",
}


async def _delegate(alice: Alice, annotations: dict[str, str], labels: dict[str, str]) -> tuple[Manifest, Manifest]:
    """A pod of hers that runs in arm-lab, and its PodChaperon."""
    federation, there = alice.federation, alice.federation.lab.api(GOOD)
    only = {names.PROXY_CONSTRAINTS: f"nodeSelector: {{{names.TARGET_NAME}: {GOOD}}}"}
    body = alice.elected(annotations=only | annotations)
    body["metadata"]["labels"] = labels
    name = (await alice.api.create(PODS, body, alice.namespace))["metadata"]["name"]
    await federation.until_running(name)
    where = await federation.chaperon_name(name)
    return await there.get(PODS, where, alice.namespace), await there.get(POD_CHAPERONS, where, alice.namespace)


async def test_annotations_of_pods_do_not_travel(alice: Alice) -> None:
    delegate, chaperon = await _delegate(alice, FOREIGN, {})
    for found in (delegate, chaperon):
        assert not FOREIGN.keys() & found["metadata"]["annotations"].keys()


async def test_annotations_of_services_do_not_travel(alice: Alice) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hers", "annotations": BALANCER}}
    await alice.api.create(
        SERVICES, service | {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}, alice.namespace
    )
    await _delegate(alice, {}, {"a": "b"})
    copy = await alice.federation.until(alice.federation.lab.api(GOOD), SERVICES, "hers", lambda s: s)
    assert not BALANCER.keys() & copy["metadata"].get("annotations", {}).keys()


async def test_nobody_is_told_who_submitted(alice: Alice) -> None:
    """A target learns what to run, and nothing of home's users: no account, no group, no manifest."""
    for found in await _delegate(alice, {}, {}):
        text = orjson.dumps(found).decode()
        assert f"system:serviceaccount:{alice.namespace}" not in text
        assert names.SOURCE_POD_MANIFEST not in text
        assert base64.b64encode(b"system:serviceaccount").decode() not in text
