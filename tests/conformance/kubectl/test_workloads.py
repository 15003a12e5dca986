"""scale, set, rollout, wait, logs, exec, describe, events, with controllers and nodes."""

import re

from tests.conformance.kubectl.command import Kubectl, plain

STEADY = ("--timeout=90s",)


async def rolled_out(kubectl: Kubectl, name: str) -> str:
    """Wait for a rollout; return the last line."""
    return (await kubectl("rollout", "status", f"deploy/{name}", *STEADY)).splitlines()[-1]


async def test_the_life_of_a_deployment(in_lab: Kubectl) -> None:
    run = ("--", "sleep", "600")
    assert await in_lab("create", "deployment", "d", "--image=busybox", *run) == "deployment.apps/d created\n"
    assert await rolled_out(in_lab, "d") == 'deployment "d" successfully rolled out'
    assert await in_lab("set", "image", "deploy/d", "busybox=alpine") == "deployment.apps/d image updated\n"
    await rolled_out(in_lab, "d")
    history = "deployment.apps/d \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
    assert await in_lab("rollout", "history", "deploy/d") == history
    assert "Image:	alpine" in await in_lab("rollout", "history", "deploy/d", "--revision=2")
    assert await in_lab("rollout", "undo", "deploy/d") == "deployment.apps/d rolled back\n"
    await rolled_out(in_lab, "d")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await in_lab("get", "deploy", "d", "-o", image) == "busybox"
    assert await in_lab("rollout", "history", "deploy/d") == history.replace("2  ", "3  ").replace("1  ", "2  ")
    missing = await in_lab.fails("rollout", "undo", "deploy/d", "--to-revision=77")
    assert missing == "error: unable to find specified revision 77 in history\n"
    assert await in_lab("rollout", "restart", "deploy/d") == "deployment.apps/d restarted\n"
    await rolled_out(in_lab, "d")
    assert await in_lab("rollout", "pause", "deploy/d") == "deployment.apps/d paused\n"
    assert await in_lab("rollout", "resume", "deploy/d") == "deployment.apps/d resumed\n"
    described = plain(await in_lab("describe", "deploy", "d"))
    assert "Replicas: 1 desired | 1 updated | 1 total | 1 available | 0 unavailable\n" in described
    assert " Available True MinimumReplicasAvailable\n Progressing True NewReplicaSetAvailable\n" in described
    assert re.search(
        r" Normal ScalingReplicaSet AGE deployment-controller Scaled up replica set d-\w+ from 0 to 1\n", described
    )


async def test_scale_and_set(in_lab: Kubectl) -> None:
    await in_lab("create", "deployment", "d", "--image=busybox", "--replicas=0", "--", "sleep", "600")
    assert await in_lab("scale", "deploy", "d", "--replicas=2") == "deployment.apps/d scaled\n"
    kept = await in_lab.fails("scale", "deploy", "d", "--replicas=5", "--current-replicas=1")
    assert kept == "error: Expected replicas to be 1, was 2\n"
    ready = await in_lab("wait", "--for=jsonpath={.status.readyReplicas}=2", "deploy/d", *STEADY)
    assert ready == "deployment.apps/d condition met\n"
    await in_lab("scale", "deploy", "d", "--replicas=0")
    assert await in_lab("set", "env", "deploy/d", "A=b") == "deployment.apps/d env updated\n"
    assert await in_lab("set", "env", "deploy/d", "--list") == "# Deployment d, container busybox\nA=b\n"
    limited = await in_lab("set", "resources", "deploy/d", "--limits=cpu=1", "--requests=memory=1Mi")
    assert limited == "deployment.apps/d resource requirements updated\n"
    shown = await in_lab("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[0].resources}")
    assert shown == '{"limits":{"cpu":"1"},"requests":{"memory":"1Mi"}}'
    assert await in_lab("set", "serviceaccount", "deploy", "d", "default") == (
        "deployment.apps/d serviceaccount updated\n"
    )


async def test_wait(in_lab: Kubectl) -> None:
    assert await in_lab("wait", "--for=create", "cm/kube-root-ca.crt", "--timeout=30s") == (
        "configmap/kube-root-ca.crt condition met\n"
    )
    missing = await in_lab.fails("wait", "--for=condition=Ready", "pod/nosuch", "--timeout=1s")
    assert missing == 'Error from server (NotFound): pods "nosuch" not found\n'
    await in_lab("create", "job", "j", "--image=busybox", "--", "true")
    assert await in_lab("wait", "--for=condition=Complete", "job/j", *STEADY) == "job.batch/j condition met\n"
    late = await in_lab.fails("wait", "--for=condition=Nope", "job/j", "--timeout=1s")
    assert late == "error: timed out waiting for the condition on jobs/j\n"
    assert plain(await in_lab("get", "job", "j")) == ("NAME STATUS COMPLETIONS DURATION AGE\nj Complete 1/1 AGE AGE\n")


async def test_a_pod_with_logs_exec_and_events(in_lab: Kubectl) -> None:
    script = ("--", "sh", "-c", "echo one; echo two; sleep 600")
    assert await in_lab("run", "p", "--image=busybox", "--restart=Never", *script) == "pod/p created\n"
    assert await in_lab("wait", "--for=condition=Ready", "pod/p", *STEADY) == "pod/p condition met\n"
    assert await in_lab("logs", "p") == "one\ntwo\n"
    assert await in_lab("logs", "p", "--tail=1") == "two\n"
    assert await in_lab.fails("logs", "p", "-c", "x") == "error: container x is not valid for pod p out of: p\n"
    missing = 'error: error from server (NotFound): pods "nosuch" not found in namespace'
    assert await in_lab.fails("logs", "nosuch") == f'{missing} "{in_lab.namespace}"\n'
    assert await in_lab("exec", "p", "--", "echo", "hi") == "hi\n"
    assert await in_lab.fails("exec", "p", "--", "sh", "-c", "exit 3", code=3) == (
        "command terminated with exit code 3\n"
    )
    events = plain(await in_lab("events", "--for", "pod/p"))
    assert events.startswith("LAST SEEN TYPE REASON OBJECT MESSAGE\n")
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert f" Normal {reason} Pod/p " in events
    assert await in_lab("events", "--types=Warning") == f"No events found in {in_lab.namespace} namespace.\n"
    columns = "custom-columns=R:.reason"
    listed = await in_lab("get", "events", "--field-selector=involvedObject.name=p,reason=Scheduled", "-o", columns)
    assert listed == "R\nScheduled\n"
    described = plain(await in_lab("describe", "pod", "p"))
    for line in ("Status: Running", "QoS Class: BestEffort", " Ready: True", " Restart Count: 0", " Type Status"):
        assert f"\n{line}\n" in described
    assert await in_lab("delete", "pod", "p", "--grace-period=0", "--force") == (
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
        "The resource may continue to run on the cluster indefinitely.\n"
        f'pod "p" force deleted from {in_lab.namespace} namespace\n'
    )


async def test_cordon_and_taint(in_lab: Kubectl) -> None:
    node = await in_lab("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    assert await in_lab("cordon", node) == f"node/{node} cordoned\n"
    assert await in_lab("cordon", node) == f"node/{node} already cordoned\n"
    assert " Ready,SchedulingDisabled " in await in_lab.table("get", "node", node)
    assert await in_lab("uncordon", node) == f"node/{node} uncordoned\n"
    assert await in_lab("taint", "node", node, "a=b:PreferNoSchedule") == f"node/{node} tainted\n"
    kept = await in_lab.fails("taint", "node", node, "a=b:PreferNoSchedule")
    assert kept == f"error: node {node} already has a taint(s) with same effect(s) and --overwrite is false\n"
    assert await in_lab("taint", "node", node, "a:PreferNoSchedule-") == f"node/{node} untainted\n"
    assert await in_lab.fails("taint", "node", node, "a:PreferNoSchedule-") == (
        'error: taint "a:PreferNoSchedule" not found\n'
    )
    described = plain(await in_lab("describe", "node", node))
    for line in ("Taints: <none>", "Unschedulable: false"):
        assert f"\n{line}\n" in described
