"""examples/03-runners-that-stay in a federation: the bridge as a process with its profiles file, scaled by hand."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from federation.kube.resources import DEPLOYMENTS, PODS
from lab.running import RunningLab
from lab.waiting import until_object
from tests.bridge.gitlab_site import TOKEN, Site, gitlab_site
from tests.lab.registry.running import ROOT

EXAMPLE = ROOT / "examples" / "03-runners-that-stay"
NAME = "gitlab-runner-federated"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A GitLab with one project."""
    async with gitlab_site(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def bridge(lab: RunningLab, namespace: str, site: Site, directory: Path) -> AsyncIterator[None]:
    """`isthmus bridge run` as the README sets it."""
    (directory / "token").write_text(TOKEN)
    environment = os.environ | {
        "ISTHMUS_BRIDGE_NAME": "kept",
        "ISTHMUS_BRIDGE_GITLAB_URL": site.url,
        "ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE": str(directory / "token"),
        "ISTHMUS_BRIDGE_KUBECONFIG": str(lab.kubeconfig()),
        "ISTHMUS_BRIDGE_NAMESPACE": namespace,
        "ISTHMUS_BRIDGE_PROFILES_FILE": str(EXAMPLE / "profiles.yaml"),
        "ISTHMUS_BRIDGE_POLL_INTERVAL_SECONDS": "1",
        "ISTHMUS_BRIDGE_PROJECTS": "root/app",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "isthmus", "bridge", "run", env=environment)
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


async def ready(lab: RunningLab, namespace: str, count: int) -> None:
    """Wait until so many replicas are ready."""
    await until_object(
        lab.api(),
        DEPLOYMENTS,
        lambda found: bool((found.get("status") or {}).get("readyReplicas", 0) == count),
        namespace=namespace,
        what=f"{count} ready replicas",
        seconds=60,
    )


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is true; at most a minute."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  # the lab's GitLab is in this process
            await asyncio.sleep(0.05)


async def test_two_replicas_run_two_jobs_at_once_and_stay(
    federation_lab: RunningLab, federated_namespace: str, site: Site, tmp_path: Path
) -> None:
    api, target, namespace = federation_lab.api(), federation_lab.api("arm-lab"), federated_namespace
    try:
        async with bridge(federation_lab, namespace, site, tmp_path):
            await ready(federation_lab, namespace, 1)
            scale = {"spec": {"replicas": 2}}
            await api.patch(DEPLOYMENTS, NAME, scale, namespace, subresource="scale")
            await ready(federation_lab, namespace, 2)
            jobs = site.push_text((EXAMPLE / ".gitlab-ci.yml").read_text())
            await until(lambda: [job.status for job in jobs] == ["running", "running"])
            await until(lambda: [job.status for job in jobs] == ["success", "success"])
            assert (await api.get(DEPLOYMENTS, NAME, namespace))["spec"]["replicas"] == 2
            hosts = {pod["metadata"]["name"] for pod in (await target.list(PODS, namespace)).items}
            said = "\n".join(bytes(job.trace).decode() for job in jobs)
            assert len(hosts) == 2
            assert all(f" on {host[:63]}" in said for host in hosts), said
    finally:
        await api.delete(DEPLOYMENTS, NAME, namespace, propagation="Background")
