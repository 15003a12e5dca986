"""The rules M1 and M3-M6: there is always a way on."""

import asyncio
from contextlib import suppress
from typing import Any

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.errors import AlreadyExists
from federation.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NODES, PODS
from tests.protocol.federation import FOREVER, Federation, condition, is_gone, is_marked, phase, pod


async def test_M1_a_reservation_lost_after_the_ungate_is_made_up_for_elsewhere(federation: Federation) -> None:
    """Only arm-lab reserves, the source's scheduler stalls, arm-lab's candidate is lost: windows-lab gets the pod."""
    try:
        for cluster in ("home", "windows-lab"):
            await federation.cordon(cluster)
        with federation.frozen("scheduler", "home"):
            name = await federation.submit()
            ungated = await federation.until_pod(name, lambda p: is_marked(p, names.UNGATED_AT))
            assert "schedulingGates" not in ungated["spec"]
            await federation.cordon("arm-lab")
            candidate = await federation.chaperon_name(name)
            await federation.lab.api("arm-lab").delete(PODS, candidate, federation.namespace)
            await federation.cordon("windows-lab", is_cordoned=False)
            bound = await federation.until_pod(name, lambda p: p and p["spec"].get("nodeName"), seconds=40)
            assert bound["spec"]["nodeName"] == federation.node("windows-lab")
        assert await federation.until_running(name) == "windows-lab"
    finally:
        for cluster in federation.clusters:
            await federation.cordon(cluster, is_cordoned=False)


async def test_M3_a_killed_scheduler_releases_its_holds_and_its_successor_holds_anew(federation: Federation) -> None:
    await federation.ask("arm-lab", "held")
    await federation.chaperon("arm-lab", "held", lambda c: is_marked(c, names.IS_RESERVED))
    start_again = federation.kill("candidate-scheduler", "arm-lab")
    await federation.chaperon("arm-lab", "held", lambda c: c and not is_marked(c, names.IS_RESERVED))
    start_again()
    await federation.chaperon("arm-lab", "held", lambda c: is_marked(c, names.IS_RESERVED), seconds=40)
    await federation.allow("arm-lab", "held")
    await federation.until_pod("held", lambda p: p and phase(p) == "Running", "arm-lab")


async def test_M3_a_candidate_deleted_under_its_hold_is_not_reserved_any_more(federation: Federation) -> None:
    """As a preemption does: by API deletion, nobody tells the extender."""
    arm = federation.lab.api("arm-lab")
    await federation.ask("arm-lab", "preempted")
    await federation.chaperon("arm-lab", "preempted", lambda c: is_marked(c, names.IS_RESERVED))
    await federation.cordon("arm-lab")
    try:
        await arm.delete(PODS, "preempted", federation.namespace)
        await federation.chaperon("arm-lab", "preempted", lambda c: c and not is_marked(c, names.IS_RESERVED))
    finally:
        await federation.cordon("arm-lab", is_cordoned=False)


async def test_M3_an_extender_that_starts_takes_off_old_marks(federation: Federation) -> None:
    await federation.ask("arm-lab", "marked", nodeSelector={"no-such": "node"})
    patch = {"metadata": {"annotations": {names.IS_RESERVED: "true"}}}
    await federation.lab.api("arm-lab").patch(POD_CHAPERONS, "marked", patch, federation.namespace)
    await federation.chaperon("arm-lab", "marked", lambda c: c and not is_marked(c, names.IS_RESERVED))


async def test_M4_a_hold_ends_while_others_wait(federation: Federation) -> None:
    """Two candidates for one node's worth of room; the first is never allowed: after 10 s the second has its turn."""
    arm = federation.lab.api("arm-lab")
    node = await arm.get(NODES, federation.real_nodes["arm-lab"][0])
    whole = {"resources": {"requests": {"cpu": node["status"]["allocatable"]["cpu"]}}}
    await federation.ask("arm-lab", "first", container=whole)
    await federation.chaperon("arm-lab", "first", lambda c: is_marked(c, names.IS_RESERVED))
    held = await arm.get(PODS, "first", federation.namespace)
    await federation.ask("arm-lab", "second", container=whole)
    await federation.until_pod(
        "second", lambda p: p and condition(p, "PodScheduled").get("reason") == "Unschedulable", "arm-lab"
    )
    await federation.until_pod(
        "first", lambda p: p is None or p["metadata"]["uid"] != held["metadata"]["uid"], "arm-lab", seconds=20
    )
    await federation.chaperon("arm-lab", "second", lambda c: is_marked(c, names.IS_RESERVED), seconds=40)


async def test_M4_a_withdrawn_candidate_is_deleted_and_not_tried_again(federation: Federation) -> None:
    arm = federation.lab.api("arm-lab")
    await federation.ask("arm-lab", "withdrawn")
    await federation.chaperon("arm-lab", "withdrawn", lambda c: is_marked(c, names.IS_RESERVED))
    await arm.delete(POD_CHAPERONS, "withdrawn", federation.namespace, propagation="Foreground")
    await federation.until_pod("withdrawn", is_gone, "arm-lab")
    await federation.chaperon("arm-lab", "withdrawn", is_gone, seconds=60)


async def test_M4_holding_costs_no_requests(federation: Federation) -> None:
    """Twenty candidates are held for five seconds; the target's API server is asked for nothing on their behalf."""
    arm = federation.lab.api("arm-lab")
    small = {"resources": {"requests": {"cpu": "1m"}}}
    for number in range(20):
        await federation.ask("arm-lab", f"held-{number}", container=small)
    for number in range(20):
        await federation.chaperon("arm-lab", f"held-{number}", lambda c: is_marked(c, names.IS_RESERVED), seconds=30)
    await asyncio.sleep(2)
    before = await _requests(arm)
    await asyncio.sleep(5)
    after = await _requests(arm)
    assert {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)} == {}


async def _requests(api: Any) -> dict[str, float]:
    """Requests so far that concern pods or chaperons, by verb and resource."""
    text = (await api.request("GET", "/metrics")).body.decode()
    counts: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("apiserver_request_total{") and ('resource="pods"' in line or "podchaperons" in line):
            labels, _, value = line.rpartition(" ")
            if 'verb="WATCH"' not in labels:
                counts[labels] = float(value)
    return counts


async def let_use_nodes(federation: Federation, cluster: str) -> None:
    """As the owner of a target who trusts the source with its nodes (rule T3)."""
    admin, metadata = federation.lab.api(cluster), {"name": "may-use-nodes"}
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["use"]}]
    named = {"apiVersion": CLUSTER_ROLES.api_version, "metadata": metadata}
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **metadata}
    account = {"kind": "ServiceAccount", "name": f"source-{federation.lab.source}", "namespace": "isthmus"}
    with suppress(AlreadyExists):
        await admin.create(CLUSTER_ROLES, named | {"kind": "ClusterRole", "rules": rules})
        binding = {"kind": "ClusterRoleBinding", "roleRef": role_ref, "subjects": [account]}
        await admin.create(CLUSTER_ROLE_BINDINGS, named | binding)


async def test_M5_two_proxies_with_one_host_port_share_a_virtual_node(federation: Federation) -> None:
    await let_use_nodes(federation, "windows-lab")
    port = {"ports": [{"containerPort": 8080, "hostPort": 18080}]}
    names_ = [await federation.submit(only="windows-lab", container=port) for _ in range(2)]
    clusters = [await federation.until_running(name, seconds=30) for name in names_]
    assert clusters == ["windows-lab", "windows-lab"]
    pods = [
        await federation.lab.api("windows-lab").get(
            PODS, await federation.chaperon_name(name, "windows-lab"), federation.namespace
        )
        for name in names_
    ]
    assert [p["spec"]["containers"][0]["ports"][0]["hostPort"] for p in pods] == [18080, 18080]
    assert len({p["spec"]["nodeName"] for p in pods}) == 2, "the target's own scheduler keeps them apart"


async def test_M5_a_claim_that_only_the_target_has_does_not_hold_up_the_proxy(federation: Federation) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "only-there"}}]
    name = await federation.submit(only="arm-lab", volumes=volumes)
    candidate = await federation.chaperon_name(name)
    chaperon = await federation.chaperon("arm-lab", candidate, lambda c: c and c.get("status", {}).get("conditions"))
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "only-there"}} in chaperon["spec"]["volumes"]
    assert condition(chaperon, "PodScheduled")["status"] == "False", "the target's scheduler misses the claim"
    proxy = await federation.home.get(PODS, name, federation.namespace)
    assert {"name": "data", "emptyDir": {}} in proxy["spec"]["volumes"]


async def test_M6_candidates_wait_for_other_gates_and_carry_later_additions(federation: Federation) -> None:
    manifest = pod(FOREVER, name="gated", annotations={names.ELECT: ""})
    manifest["spec"]["schedulingGates"] = [{"name": "example.com/quota"}]
    await federation.create(manifest)
    candidate = await federation.chaperon_name("gated")
    await asyncio.sleep(2)
    for cluster, name in (await federation.chaperon_names("gated")).items():
        assert not await federation.exists(POD_CHAPERONS, cluster, name)
    patch = {
        "spec": {
            "schedulingGates": [{"name": names.CANDIDATES_GATE}],
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "containers": [{"name": "main", "image": "alpine"}],
        }
    }
    # A quota controller lets the pod go, with a flavour as it found it, and somebody edits the image.
    live = await federation.home.get(PODS, "gated", federation.namespace)
    patch["spec"]["containers"] = [live["spec"]["containers"][0] | {"image": "alpine"}]
    await federation.home.patch(PODS, "gated", patch, federation.namespace)
    chaperon = await federation.chaperon("arm-lab", candidate, lambda c: c is not None)
    assert chaperon["spec"]["containers"][0]["image"] == "alpine"
    assert chaperon["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
