"""A kubelet that stops, is killed, or comes back: nothing is left running, and the API hears what happened."""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from federation.kube.resources import NODES, PODS
from lab.waiting import until_object
from tests.lab.kubelet.site import NODE, Cluster, Manifest, pod


@pytest.fixture
async def restarted(site: Cluster) -> AsyncIterator[Cluster]:
    """The cluster, whose kubelet the test may end; it runs again afterwards."""
    yield site
    assert site.kubelet.process is not None
    if site.kubelet.process.poll() is not None:
        site.kubelet.start()


def running(mark: str) -> list[str]:
    """The processes of this machine whose command line has the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:  # it has just gone
            continue
        if mark in line:
            found.append(f"{path.parent.name}: {line}")
    return found


async def none_left(mark: str) -> None:
    """Wait until no process has the mark; a second is what the kernel may take to end them."""
    for _ in range(100):
        if not running(mark):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(running(mark))


def leaving_children_behind(mark: str) -> list[str]:
    """A command whose processes do all they can to survive it."""
    loop = f"while :; do sleep 0.1; done # {mark}"
    return ["sh", "-c", f'trap "" TERM HUP; setsid sh -c "{loop}" & (nohup sh -c "{loop}" & ) ; {loop}']


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_process_outlives_the_kubelet(restarted: Cluster, place: str, how: signal.Signals) -> None:
    mark = secrets.token_hex(8)
    await restarted.run(pod("stubborn", *leaving_children_behind(mark)), place)
    await restarted.until_phase("stubborn", place, "Running")
    await asyncio.sleep(0.2)
    assert len(running(mark)) >= 3
    async with asyncio.timeout(10):  # the pod has 30 s of grace
        await restarted.kubelet.stop(how)
    await none_left(mark)


async def test_no_process_outlives_its_container(site: Cluster, place: str) -> None:
    mark = secrets.token_hex(8)
    command = leaving_children_behind(mark)
    command[2] = command[2].rsplit(";", 1)[0].rsplit("while", 1)[0] + "sleep 0.5"
    await site.run(pod("parent", *command), place)
    await site.until_phase("parent", place, "Succeeded")
    await none_left(mark)


async def test_after_a_restart_lost_containers_are_told_and_run_again(restarted: Cluster, place: str) -> None:
    await restarted.run(pod("once", "sleep", "600"), place)
    await restarted.run(pod("always", "sleep", "600", restartPolicy="Always"), place)
    await restarted.until_phase("once", place, "Running")
    await restarted.until_phase("always", place, "Running")
    await restarted.kubelet.stop(signal.SIGKILL)
    restarted.kubelet.start()
    once = await restarted.until_phase("once", place, "Failed")
    ended = once["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")

    def runs_again(found: Manifest | None) -> bool:
        entry = (found or {})["status"]["containerStatuses"][0]
        return entry["restartCount"] == 1 and "running" in entry["state"]

    again = await restarted.until("always", place, runs_again)
    assert again is not None
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137


async def test_a_pod_deleted_while_no_kubelet_was_there(restarted: Cluster, place: str) -> None:
    await restarted.run(pod("waiting", "sleep", "600"), place)
    running_ = await restarted.until_phase("waiting", place, "Running")
    await restarted.kubelet.stop(signal.SIGKILL)
    await restarted.api.delete(PODS, "waiting", place)
    restarted.kubelet.start()
    await restarted.until_gone("waiting", place)
    directory = restarted.root / NODE / "pods" / running_["metadata"]["uid"]
    async with asyncio.timeout(30):
        while directory.exists():  # noqa: ASYNC110 - a directory has no watch
            await asyncio.sleep(0.05)


async def test_a_deleted_node_comes_back(site: Cluster) -> None:
    before = await site.api.get(NODES, NODE)
    await site.api.delete(NODES, NODE)
    await until_object(
        site.api,
        NODES,
        lambda node: node["metadata"]["name"] == NODE and node["metadata"]["uid"] != before["metadata"]["uid"],
        what="the node again",
        seconds=30,
    )
