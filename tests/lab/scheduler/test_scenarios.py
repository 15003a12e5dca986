"""The same stories on the real kube-scheduler and on ours."""

from federation.kube.resources import NODES, PODS
from tests.lab.planes import Manifest, Plane, eventually


async def test_a_pod_is_bound_and_an_event_says_so(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await plane.add_pod(space, "p")
    assert await plane.node_of(space, "p") == "n1"

    async def scheduled() -> bool:
        return ("Scheduled", f"Successfully assigned {space}/p to n1") in await plane.events(space, "p")

    assert await eventually(scheduled, "the Scheduled event")


async def test_without_nodes_the_condition_says_so(plane: Plane, space: str) -> None:
    await plane.add_pod(space, "p")
    assert await plane.refusal(space, "p") == "no nodes available to schedule pods"
    await plane.add_node("late")
    assert await plane.node_of(space, "p") == "late"


async def test_refusals_are_counted_in_upstreams_words(plane: Plane, space: str) -> None:
    await plane.add_node("small", memory="1Gi")
    await plane.add_node("full", cpu="1", pods="1")
    await plane.add_node("tainted")
    await plane.add_node("cordoned")
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    await plane.api.patch(NODES, "tainted", {"spec": {"taints": [taint]}})
    await plane.api.patch(NODES, "cordoned", {"spec": {"unschedulable": True}})
    await plane.add_pod(space, "filler", nodeSelector={"kubernetes.io/hostname": "full"}, cpu="1")
    assert await plane.node_of(space, "filler") == "full"

    await plane.add_pod(space, "p", cpu="500m", memory="2Gi")
    assert await plane.refusal(space, "p") == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/4 nodes are available: "
        "1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
    )
    await plane.api.patch(NODES, "tainted", {"spec": {"taints": None}})
    assert await plane.node_of(space, "p") == "tainted"


async def test_a_selector_that_matches_nothing(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await plane.add_priority("polite", 100, preemptionPolicy="Never")
    await plane.add_pod(space, "p", nodeSelector={"colour": "blue"}, priorityClassName="polite")
    assert await plane.refusal(space, "p") == (
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
        "preemption: not eligible due to preemptionPolicy=Never."
    )


async def test_match_fields_that_name_no_node(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["absent"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    await plane.add_pod(space, "p", affinity={"nodeAffinity": required})
    assert await plane.refusal(space, "p") == (
        "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


async def test_a_claim_that_does_not_exist(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "absent"}}
    await plane.add_pod(space, "p", volumes=[volume])
    assert await plane.refusal(space, "p") == (
        '0/1 nodes are available: persistentvolumeclaim "absent" not found. not found'
    )


async def test_a_gated_pod_is_left_alone_until_the_gate_goes(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await plane.add_node("n2")
    await plane.add_pod(space, "p", schedulingGates=[{"name": "example.com/wait"}])
    await plane.add_pod(space, "other")
    await plane.node_of(space, "other")
    pod = await plane.api.get(PODS, "p", space)
    assert "nodeName" not in pod["spec"]
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    await plane.api.patch(PODS, "p", {"spec": {"schedulingGates": None, "affinity": affinity}}, space)
    assert await plane.node_of(space, "p") == "n2"


async def test_room_that_comes_free_goes_to_the_more_important(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    await plane.add_pod(space, "first", cpu="1")
    await plane.node_of(space, "first")
    await plane.add_pod(space, "p", cpu="1")
    assert await plane.refusal(space, "p") == (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    await plane.set_phase(space, "first", "Succeeded")
    assert await plane.node_of(space, "p") == "n1"


async def test_host_ports_of_two_pods_exclude_each_other(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    port = {"containerPort": 80, "hostPort": 80}
    container = {"name": "main", "image": "busybox", "ports": [port]}
    await plane.add_pod(space, "first", containers=[container])
    await plane.node_of(space, "first")
    await plane.add_pod(space, "p", containers=[container])
    assert await plane.refusal(space, "p") == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


async def test_a_more_important_pod_takes_the_place_of_a_lesser_one(plane: Plane, space: str) -> None:
    await plane.add_node("n1", cpu="1")
    await plane.add_priority("high", 1000)
    await plane.add_pod(space, "lesser", cpu="1", terminationGracePeriodSeconds=30)
    await plane.node_of(space, "lesser")
    await plane.set_phase(space, "lesser", "Running")
    await plane.add_pod(space, "p", cpu="1", priorityClassName="high")

    async def disrupted() -> Manifest | None:
        pod = await plane.api.get(PODS, "lesser", space)
        found = [one for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget"]
        return pod | {"found": found[0]} if found and pod["metadata"].get("deletionTimestamp") else None

    lesser = await eventually(disrupted, "the lesser pod preempted")
    assert lesser["found"]["reason"] == "PreemptionByScheduler"
    assert lesser["found"]["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
    assert await plane.refusal(space, "p") == (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: found a potential placement for pod on node n1, preempting 1 victims"
    )
    assert (await plane.api.get(PODS, "p", space))["status"]["nominatedNodeName"] == "n1"
    await plane.api.delete(PODS, "lesser", space, grace_period_seconds=0)
    assert await plane.node_of(space, "p") == "n1"


async def test_spread_over_hosts(plane: Plane, space: str) -> None:
    for name in ("n1", "n2"):
        await plane.add_node(name)
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}},
    }
    for number in range(6):
        await plane.add_pod(space, f"p{number}", labels={"app": "a"}, topologySpreadConstraints=[constraint])
    nodes = [await plane.node_of(space, f"p{number}") for number in range(6)]
    assert nodes.count("n1") == nodes.count("n2") == 3

    only = {"nodeSelector": {"kubernetes.io/hostname": "n1"}}
    policy = constraint | {"nodeAffinityPolicy": "Ignore"}
    await plane.add_pod(space, "free", labels={"app": "a"}, topologySpreadConstraints=[constraint], **only)
    assert await plane.node_of(space, "free") == "n1"
    await plane.add_pod(space, "held", labels={"app": "a"}, topologySpreadConstraints=[policy], **only)
    assert await plane.refusal(space, "held") == (
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) didn't match pod topology spread constraints. preemption: 0/2 nodes are available: "
        "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    )


async def test_pods_that_keep_away_from_each_other(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}
    away = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await plane.add_pod(space, "first", labels={"app": "a"}, affinity=away)
    await plane.node_of(space, "first")
    await plane.add_pod(space, "second", labels={"app": "a"}, affinity=away)
    await plane.add_pod(space, "third", labels={"app": "a"})
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await plane.add_pod(space, "lonely", labels={"app": "b"}, affinity=near)
    tail = "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    head = "0/1 nodes are available: 1 node(s) didn't "
    assert await plane.refusal(space, "second") == f"{head}match pod anti-affinity rules. {tail}"
    assert await plane.refusal(space, "third") == f"{head}satisfy existing pods anti-affinity rules. {tail}"
    assert await plane.node_of(space, "lonely") == "n1"
    await plane.add_node("n2")
    assert await plane.node_of(space, "second") == "n2"
    await plane.api.delete(PODS, "first", space)
    nodes = {await plane.node_of(space, "second"), await plane.node_of(space, "third")}
    assert len(nodes) == 2


async def test_preferences_decide_between_equal_nodes(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await plane.add_node("n2", labels={"disk": "ssd"})
    await plane.add_node("n3")
    taint = {"key": "k", "effect": "PreferNoSchedule"}
    await plane.api.patch(NODES, "n3", {"spec": {"taints": [taint]}})
    wish = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    preferred = [{"weight": 10, "preference": wish}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    await plane.add_pod(space, "wishing", affinity=affinity)
    assert await plane.node_of(space, "wishing") == "n2"
    for number in range(4):
        await plane.add_pod(space, f"p{number}", cpu="100m", memory="100Mi")
    nodes = [await plane.node_of(space, f"p{number}") for number in range(4)]
    assert set(nodes) == {"n1", "n2"}
