"""One pod on every node, on the real DaemonSet controller and on ours."""

from federation.kube.resources import DAEMON_SETS, NODES, PODS
from tests.lab.planes import Manifest, Plane, eventually


async def add_daemon(plane: Plane, space: str, **pod: object) -> Manifest:
    labels = {"app": "d"}
    spec = {"containers": [{"name": "main", "image": "one"}], "terminationGracePeriodSeconds": 0, **pod}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": space},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    return await plane.api.create(DAEMON_SETS, manifest)


async def until_on(plane: Plane, space: str, *nodes: str) -> list[Manifest]:
    """Wait until exactly these nodes have one pod each."""

    async def there() -> list[Manifest]:
        pods = (await plane.api.list(PODS, space)).items
        return pods if sorted(pod["spec"].get("nodeName", "") for pod in pods) == sorted(nodes) else []

    pods: list[Manifest] = await eventually(there, f"one pod on each of {nodes}", seconds=30)
    return pods


async def test_every_node_that_fits_has_one(plane: Plane, space: str) -> None:
    for name in ("n1", "n2"):
        await plane.add_node(name, labels={"disk": "ssd"})
    await plane.add_node("n3")
    await add_daemon(plane, space, nodeSelector={"disk": "ssd"})
    pods = await until_on(plane, space, "n1", "n2")
    assert pods[0]["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"
    await plane.api.patch(NODES, "n3", {"metadata": {"labels": {"disk": "ssd"}}})
    pods = await until_on(plane, space, "n1", "n2", "n3")
    for pod in pods:
        await plane.set_phase(space, pod["metadata"]["name"], "Running")

    async def ready() -> bool:
        status = (await plane.api.get(DAEMON_SETS, "d", space))["status"]
        names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
        return [status.get(name) for name in names] == [3] * 4

    assert await eventually(ready, "status of three")
    await plane.api.patch(NODES, "n1", {"metadata": {"labels": {"disk": None}}})
    await until_on(plane, space, "n2", "n3")


async def test_a_cordoned_node_gets_one_and_a_tainted_one_does_not(plane: Plane, space: str) -> None:
    for name in ("cordoned", "tainted"):
        await plane.add_node(name)
    await plane.api.patch(NODES, "cordoned", {"spec": {"unschedulable": True}})
    taint = {"key": "k", "effect": "NoSchedule"}
    await plane.api.patch(NODES, "tainted", {"spec": {"taints": [taint]}})
    await add_daemon(plane, space)
    await until_on(plane, space, "cordoned")


async def test_a_failed_pod_is_replaced(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await add_daemon(plane, space)
    (pod,) = await until_on(plane, space, "n1")
    name = pod["metadata"]["name"]
    await plane.set_phase(space, name, "Failed")

    async def replaced() -> bool:
        pods = (await plane.api.list(PODS, space)).items
        return len(pods) == 1 and bool(pods[0]["metadata"]["name"] != name)

    assert await eventually(replaced, "another pod", seconds=30)


async def test_a_new_template_is_rolled_out(plane: Plane, space: str) -> None:
    await plane.add_node("n1")
    await add_daemon(plane, space)
    (pod,) = await until_on(plane, space, "n1")
    await plane.set_phase(space, pod["metadata"]["name"], "Running")
    template = {"spec": {"containers": [{"name": "main", "image": "two"}]}}
    await plane.api.patch(DAEMON_SETS, "d", {"spec": {"template": template}}, space, kind="strategic")

    async def rolled() -> bool:
        images = [one["spec"]["containers"][0]["image"] for one in (await plane.api.list(PODS, space)).items]
        return images == ["two"]

    assert await eventually(rolled, "the new image", seconds=30)
