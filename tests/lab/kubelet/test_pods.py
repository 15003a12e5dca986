"""Pods on process kubelets, through an API server: they run, end, restart and are deleted as on a real node."""

import asyncio

from federation.kube.resources import EVENTS, NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from lab.waiting import until_object
from tests.lab.kubelet.site import FOREIGN_NODE, NODE, Cluster, Manifest, phase_of, pod


def status_of(manifest: Manifest, name: str = "main") -> Manifest:
    """A container's status."""
    status = manifest["status"]
    entries = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    found: Manifest = next(entry for entry in entries if entry["name"] == name)
    return found


def condition(manifest: Manifest, type_: str) -> Manifest:
    """A condition of the pod."""
    found: Manifest = next(entry for entry in manifest["status"]["conditions"] if entry["type"] == type_)
    return found


async def test_nodes_say_what_they_are(site: Cluster) -> None:
    here, there = await site.api.get(NODES, NODE), await site.api.get(NODES, FOREIGN_NODE)
    assert "isthmus.dev/simulated" not in here["metadata"]["labels"]
    assert there["metadata"]["labels"]["isthmus.dev/simulated"] == "true"
    assert there["metadata"]["labels"]["kubernetes.io/arch"] == "riscv64"
    assert there["status"]["nodeInfo"]["architecture"] == "riscv64"
    assert "riscv64" in there["metadata"]["annotations"]["isthmus.dev/simulates"]
    assert here["status"]["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]


async def test_a_pod_runs_and_its_output_is_its_log(site: Cluster, place: str) -> None:
    await site.run(pod("good", "sh", "-c", "echo one; echo two >&2; id -u"), place)
    done = await site.until_phase("good", place, "Succeeded")
    assert sorted((await site.logs("good", place)).split()) == ["0", "one", "two"]
    ended = status_of(done)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert status_of(done)["containerID"].startswith("process://")
    assert done["status"]["hostIP"] == done["status"]["podIP"] == "127.0.0.1"
    assert condition(done, "Ready")["reason"] == "PodCompleted"


async def test_a_failing_pod_fails_with_its_exit_code(site: Cluster, place: str) -> None:
    await site.run(pod("bad", "sh", "-c", "exit 7"), place)
    done = await site.until_phase("bad", place, "Failed")
    assert status_of(done)["state"]["terminated"]["exitCode"] == 7
    assert condition(done, "Ready")["reason"] == "PodFailed"


async def test_a_running_pod_is_ready_and_deleted_gracefully(site: Cluster, place: str) -> None:
    script = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    await site.run(pod("serving", "sh", "-c", script, terminationGracePeriodSeconds=20), place)
    running = await site.until_phase("serving", place, "Running")
    assert condition(running, "Ready")["status"] == "True"
    assert status_of(running)["started"] is True
    last: list[Manifest] = []
    site.pods.subscribe(lambda key, old, new: last.append(new) if new and key == (place, "serving") else None)
    await site.api.delete(PODS, "serving", place)
    await site.until_gone("serving", place, seconds=10)
    # A terminal phase came before the object went, as from any kubelet that is alive.
    assert phase_of(last[-1]) == "Succeeded"
    assert status_of(last[-1])["state"]["terminated"]["exitCode"] == 0


async def test_a_pod_that_does_not_listen_is_killed_after_its_grace_period(site: Cluster, place: str) -> None:
    await site.run(pod("deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"), place)
    await site.until_phase("deaf", place, "Running")
    last: list[Manifest] = []
    site.pods.subscribe(lambda key, old, new: last.append(new) if new and key == (place, "deaf") else None)
    await site.api.delete(PODS, "deaf", place)
    await site.until_gone("deaf", place, seconds=10)
    assert phase_of(last[-1]) == "Failed"
    assert status_of(last[-1])["state"]["terminated"]["exitCode"] == 137


async def test_a_failing_container_backs_off(site: Cluster, place: str) -> None:
    await site.run(pod("looping", "sh", "-c", "echo here; exit 1", restartPolicy="Always"), place)
    waiting = await site.until(
        "looping",
        place,
        lambda pod: bool(
            pod and status_of(pod)["restartCount"] >= 2 and "waiting" in status_of(pod)["state"]
            if pod and pod["status"].get("containerStatuses")
            else False
        ),
    )
    assert waiting is not None
    state = status_of(waiting)
    assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "restarting failed container=main pod=looping_" in state["state"]["waiting"]["message"]
    assert state["lastState"]["terminated"]["exitCode"] == 1
    assert phase_of(waiting) == "Running"
    assert await site.logs("looping", place, previous="true") == "here\n"
    await site.api.delete(PODS, "looping", place)
    await site.until_gone("looping", place)


async def test_an_unknown_image_cannot_be_pulled_and_says_why(site: Cluster, place: str) -> None:
    await site.run(pod("unknown", image="example.com/team/tool:1"), place)

    def is_waiting(found: Manifest | None) -> bool:
        entries = (found or {}).get("status", {}).get("containerStatuses") or [{}]
        return bool(entries[0].get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff")

    found = await site.until("unknown", place, is_waiting)
    assert found is not None
    message = status_of(found)["state"]["waiting"]["message"]
    assert "the lab pulls no images" in message
    assert "`images`" in message
    assert phase_of(found) == "Pending"


async def test_a_command_that_is_not_there_is_a_start_error(site: Cluster, place: str) -> None:
    await site.run(pod("typo", "no-such-program"), place)
    done = await site.until_phase("typo", place, "Failed")
    ended = status_of(done)["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


async def test_a_pod_that_does_not_fit_is_refused(site: Cluster, place: str) -> None:
    large = pod("large", "true", container={"resources": {"requests": {"cpu": "3"}}})
    await site.run(large, place)
    refused = await site.until_phase("large", place, "Failed")
    assert refused["status"]["reason"] == "OutOfcpu"
    assert "containerStatuses" not in refused["status"]


async def test_a_pod_for_other_nodes_is_refused(site: Cluster, place: str) -> None:
    await site.run(pod("lost", "true", nodeSelector={"kubernetes.io/arch": "riscv64"}), place)
    refused = await site.until_phase("lost", place, "Failed")
    assert refused["status"]["reason"] == "NodeAffinity"


async def test_a_pod_has_a_deadline(site: Cluster, place: str) -> None:
    await site.run(pod("slow", "sleep", "60", activeDeadlineSeconds=1), place)
    done = await site.until_phase("slow", place, "Failed")
    assert done["status"]["reason"] == "DeadlineExceeded"


async def test_init_containers_run_first_and_sidecars_last(site: Cluster, place: str) -> None:
    shared = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    side = "trap 'exit 0' TERM; echo side >> /data/order; while :; do sleep 0.1; done"
    manifest = pod(
        "ordered",
        "sh",
        "-c",
        "sleep 0.5; echo main >> /data/order; cat /data/order",
        container=shared,
        volumes=[{"name": "data", "emptyDir": {}}],
        initContainers=[
            {"name": "first", "image": "busybox", "command": ["sh", "-c", "echo first > /data/order"], **shared},
            {"name": "side", "image": "busybox", "command": ["sh", "-c", side], "restartPolicy": "Always", **shared},
        ],
    )
    await site.run(manifest, place)
    done = await site.until_phase("ordered", place, "Succeeded")
    assert (await site.logs("ordered", place, container="main")).split() == ["first", "side", "main"]
    assert status_of(done, "side")["state"]["terminated"]["exitCode"] == 0
    assert status_of(done, "first")["state"]["terminated"]["reason"] == "Completed"


async def test_a_pod_removed_by_force_is_ended(site: Cluster, place: str) -> None:
    await site.run(pod("forced", "sleep", "600", terminationGracePeriodSeconds=600), place)
    running = await site.until_phase("forced", place, "Running")
    await site.api.delete(PODS, "forced", place, grace_period_seconds=0)
    await site.until_gone("forced", place)
    directory = site.root / NODE / "pods" / running["metadata"]["uid"]
    async with asyncio.timeout(10):
        while directory.exists():  # noqa: ASYNC110 - a directory has no watch
            await asyncio.sleep(0.05)


async def test_events_tell_a_pods_story(site: Cluster, place: str) -> None:
    await site.run(pod("told", "true"), place)
    await site.until_phase("told", place, "Succeeded")
    reasons = ("Pulled", "Created", "Started")
    await until_object(
        site.api,
        EVENTS,
        lambda event: event["reason"] in reasons,
        namespace=place,
        count=len(reasons),
        what="the pod's events",
        seconds=10,
    )


async def test_a_pod_waits_for_its_service_account(site: Cluster, place: str) -> None:
    """Its absence is no reason to take the pod for gone."""
    await site.api.create(SERVICE_ACCOUNTS, {"metadata": {"name": "late"}}, place)
    held = pod("held", "true", serviceAccountName="late", volumes=[{"name": "none", "secret": {"secretName": "none"}}])
    await site.run(held, place)
    await site.api.delete(SERVICE_ACCOUNTS, "late", place)
    await asyncio.sleep(2.5)
    found = site.pods.get(place, "held")
    assert found is not None
    assert phase_of(found) == "Pending"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "none"}}
    await site.api.create(SECRETS, secret, place)
    await site.api.create(SERVICE_ACCOUNTS, {"metadata": {"name": "late"}}, place)
    await site.until_phase("held", place, "Succeeded")
