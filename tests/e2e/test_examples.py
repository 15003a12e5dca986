"""examples/02-annotated-pod on each engine, by stock kubectl and the words of its README."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import NODES, PODS
from lab.construction import WORK_NAMESPACE
from lab.engines.engine import kube_directory
from lab.running import RunningLab
from tests.e2e.demo import ROOT

EXAMPLE = ROOT / "examples" / "02-annotated-pod" / "job.yaml"
KUBECTL = shutil.which("kubectl") or str(kube_directory() / "kubectl")
JOB_LABEL = "batch.kubernetes.io/job-name=where-am-i"

pytestmark = pytest.mark.skipif(not Path(KUBECTL).is_file(), reason="kubectl is not here (make kube builds it)")


async def kubectl(lab: RunningLab, *arguments: str) -> str:
    """Run kubectl in the source cluster; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        KUBECTL,
        f"--kubeconfig={lab.kubeconfig()}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_the_annotated_job_runs_in_a_cluster_and_its_log_comes_from_there(federation_lab: RunningLab) -> None:
    await kubectl(federation_lab, "label", "namespace", "default", "multicluster-scheduler=enabled")
    await kubectl(federation_lab, "apply", "-f", str(EXAMPLE))
    await kubectl(federation_lab, "wait", "--for=condition=complete", "job/where-am-i", "--timeout=60s")

    (proxy,) = json.loads(await kubectl(federation_lab, "get", "pods", f"--selector={JOB_LABEL}", "-o=json"))["items"]
    virtual_node = proxy["spec"]["nodeName"]
    node = await federation_lab.api().get(NODES, virtual_node)
    cluster = node["metadata"]["labels"][names.TARGET_NAME]
    (delegate,) = (
        await federation_lab.api(cluster).list(
            PODS, WORK_NAMESPACE, label_selector=f"{names.PARENT_UID}={proxy['metadata']['uid']}"
        )
    ).items
    log = await kubectl(federation_lab, "logs", "job/where-am-i")
    assert f"node: {delegate['spec']['nodeName']}\n" in log
    assert f"pod:  {delegate['metadata']['name']} in default\n" in log
    assert virtual_node in await kubectl(federation_lab, "get", "pods", "-o=wide")

    await kubectl(federation_lab, "delete", "job", "where-am-i", "--timeout=30s")
    await kubectl(federation_lab, "wait", "--for=delete", "pod", f"--selector={JOB_LABEL}", "--timeout=30s")
    for api in federation_lab.apis.values():
        for kind in (PODS, POD_CHAPERONS):
            found = (await api.list(kind, WORK_NAMESPACE)).items
            assert not [each for each in found if each["metadata"]["name"].startswith("where-am-i")]
