"""delete: finalizers, selectors, waiting, and (with controllers) background, foreground and orphan."""

from tests.conformance.kubectl.command import Kubectl


async def test_finalizers_hold_an_object(kubectl: Kubectl) -> None:
    await kubectl("create", "cm", "c")
    await kubectl("patch", "cm", "c", "-p", '{"metadata":{"finalizers":["a.b/c"]}}')
    deleted = f'configmap "c" deleted from {kubectl.namespace} namespace\n'
    assert await kubectl("delete", "cm", "c", "--wait=false") == deleted
    path = "jsonpath={.metadata.finalizers} {.metadata.deletionGracePeriodSeconds}"
    assert await kubectl("get", "cm", "c", "-o", path) == '["a.b/c"] 0'
    waited = await kubectl.fails("delete", "cm", "c", "--timeout=1s")
    assert waited == f"{deleted}error: timed out waiting for the condition on configmaps/c\n"
    added = await kubectl.fails("patch", "cm", "c", "-p", '{"metadata":{"finalizers":["d.e/f"]}}')
    assert added == (
        'The ConfigMap "c" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is '
        'being deleted, found new finalizers []string{"d.e/f"}\n'
    )
    await kubectl("patch", "cm", "c", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert await kubectl("wait", "--for=delete", "cm/c", "--timeout=5s") == ""
    await kubectl.fails("get", "cm", "c")


async def test_what_is_chosen(kubectl: Kubectl) -> None:
    assert await kubectl.fails("delete", "cm", "c") == 'Error from server (NotFound): configmaps "c" not found\n'
    assert await kubectl("delete", "cm", "c", "--ignore-not-found") == ""
    assert await kubectl.fails("delete", "cm") == ("error: resource(s) were provided, but no name was specified\n")
    for name in ("a", "b", "c"):
        await kubectl("create", "cm", name)
    await kubectl("label", "cm", "a", "b", "x=y")
    where = f"deleted from {kubectl.namespace} namespace\n"
    assert await kubectl("delete", "cm", "-l", "x=y") == f'configmap "a" {where}configmap "b" {where}'
    assert await kubectl("delete", "cm", "--all") == f'configmap "c" {where}'
    assert await kubectl("delete", "cm", "--all") == "No resources found\n"


async def test_a_pod_on_no_node_goes_at_once(kubectl: Kubectl) -> None:
    await kubectl("run", "p", "--image=b")
    deleted = await kubectl("delete", "pod", "p", "--grace-period=60")
    assert deleted == f'pod "p" deleted from {kubectl.namespace} namespace\n'
    forced = await kubectl("delete", "pod", "p", "--force", "--ignore-not-found")
    assert forced.startswith("Warning: Immediate deletion does not wait for confirmation")


async def test_orphan_foreground_and_background(in_lab: Kubectl) -> None:
    for name, policy in (("one", "orphan"), ("two", "foreground"), ("three", "background")):
        await in_lab("create", "deployment", name, "--image=busybox", "--replicas=0")
        await in_lab("wait", "--for=jsonpath={.status.observedGeneration}=1", f"deploy/{name}", "--timeout=30s")
        await in_lab("delete", "deployment", name, f"--cascade={policy}", "--timeout=60s")
    await in_lab("wait", "--for=delete", "rs", "-l", "app=three", "--timeout=30s")
    left = await in_lab("get", "rs", "-o", "jsonpath={.items[*].metadata.labels.app}")
    assert left == "one"
    assert await in_lab("get", "rs", "-o", "jsonpath={.items[*].metadata.ownerReferences}") == ""
