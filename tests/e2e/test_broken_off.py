"""The demo broken off or broken: it says so by its exit code, and nothing of it stays."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from federation.kube.api import connect
from federation.kube.resources import PODS
from lab.construction import WORK_NAMESPACE
from lab.directory import LabDirectory, LabRecord
from lab.plan import EngineName
from lab.processes import Process
from tests.e2e.demo import ROOT, SECONDS_MAX, left_behind, read, started

pytestmark = pytest.mark.timeout(2 * SECONDS_MAX)

EMBEDDED = EngineName.EMBEDDED


@pytest.mark.parametrize(
    ("moment", "signals"),
    [
        ("starting on engine", (signal.SIGINT,)),
        ("control plane ready", (signal.SIGTERM,)),
        ("build-arm64: running", (signal.SIGINT, signal.SIGINT)),
    ],
)
async def test_a_demo_that_is_told_to_stop_leaves_nothing(
    tmp_path: Path, moment: str, signals: tuple[signal.Signals, ...]
) -> None:
    async with started(tmp_path / "lab", EMBEDDED) as demo:
        await demo.until(moment)
        record = demo.record
        for number in signals:
            demo.process.send_signal(number)
        code = await demo.end()

    assert code == 130, demo.text
    assert "broken off" in demo.text
    assert left_behind(tmp_path / "lab", record) == []


async def test_a_delegate_that_is_killed_while_its_job_runs_makes_the_demo_fail(tmp_path: Path) -> None:
    async with started(tmp_path / "lab", EMBEDDED, f"--json={tmp_path / 'demo.json'}") as demo:
        await demo.until("pushed examples/")
        record = demo.record
        # Jobs now hang at their first word with the registry: this one surely does not end before it is killed.
        registry = process("registry", LabDirectory(tmp_path / "lab"), record)
        os.kill(registry.pid, signal.SIGSTOP)
        await demo.until("build-arm64: running")
        await kill_delegate(tmp_path / "lab", "arm-lab")
        os.kill(registry.pid, signal.SIGCONT)
        code = await demo.end()

    assert code == 1, demo.text
    result = read(tmp_path / "demo.json")
    assert result["ok"] is False
    # A runner that is told to stop finishes its job: GitLab may say success, but the pod that ran it is nowhere.
    assert any(problem.startswith("build-arm64: ") for problem in result["problems"]), result["problems"]
    assert left_behind(tmp_path / "lab", record) == []


async def test_a_lab_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "thesis.tex").write_text("years of work")

    async with started(lab, EMBEDDED) as demo:
        code = await demo.end()

    assert code == 1
    assert "choose another --dir" in demo.text
    assert [path.name for path in lab.iterdir()] == ["thesis.tex"]


def test_what_is_missing_is_named_before_anything_starts(tmp_path: Path) -> None:
    """A PATH with bash and without git, and no binaries of the kube engine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "bash").symlink_to(shutil.which("bash") or "/bin/bash")
    environment = os.environ | {"PATH": str(programs), "ISTHMUS_KUBE_BIN": str(tmp_path / "none")}
    environment["ISTHMUS_LAB_BUILDAH"] = "real"

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "isthmus",
            "lab",
            "demo",
            "--engine=kube",
            "--clusters=home:linux/amd64",
            f"--dir={tmp_path / 'lab'}",
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "git is not on PATH" in done.stdout
    assert "there is no buildah on PATH" in done.stdout
    assert "run: make kube" in done.stdout
    assert "no cluster has a linux/arm64, windows/amd64 node" in done.stdout
    assert not (tmp_path / "lab").exists()


def process(role: str, directory: LabDirectory, record: LabRecord) -> Process:
    """The lab's process of a role."""
    return next(found for found in directory.processes(record.mark).all() if found.role == role)


async def kill_delegate(lab: Path, cluster: str) -> None:
    """Delete a cluster's one delegate pod with its process, at once."""
    async with await connect(LabDirectory(lab).kubeconfig(cluster)) as api:
        (pod,) = (await api.list(PODS, WORK_NAMESPACE)).items
        await api.delete(PODS, pod["metadata"]["name"], WORK_NAMESPACE, grace_period_seconds=0)
