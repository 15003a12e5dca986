"""A lab that is broken off anywhere is taken down whole; what is no lab is not touched."""

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.directory import LabBusy, LabDirectory, NoLab
from lab.down import down
from lab.engines.engine import missing_parts
from lab.plan import EngineName, LabPlan, parse_clusters
from lab.status import status
from lab.up import up


@pytest.fixture
def plan(engine: EngineName, tmp_path: Path) -> LabPlan:
    return LabPlan(tmp_path / "lab", engine, parse_clusters("y:linux/amd64"))  # `y` is a boolean to YAML 1.1


async def lab_command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus", "lab", *arguments, stdout=asyncio.subprocess.DEVNULL
    )


async def until_something_runs(directory: LabDirectory) -> None:
    async with asyncio.timeout(30):
        while not directory.record_path.exists() or not status(directory)["processes"]:  # noqa: ASYNC110  # other process
            await asyncio.sleep(0.05)


async def test_up_status_down(plan: LabPlan) -> None:
    directory = LabDirectory(plan.directory)
    record = await up(plan)
    assert status(directory)["ready"]
    with pytest.raises(LabBusy, match="a lab already runs"):
        await up(plan)
    await down(directory)
    assert not plan.directory.exists()
    assert directory.processes(record.mark).unrecorded() == []
    with pytest.raises(NoLab):
        await down(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_up_ends_what_it_started_and_makes_way_for_the_next(
    plan: LabPlan, number: signal.Signals
) -> None:
    directory = LabDirectory(plan.directory)
    command = await lab_command("up", "--bare", "--dir", str(plan.directory), "--engine", plan.engine.value)
    await until_something_runs(directory)
    command.send_signal(number)
    assert await command.wait() == 130
    facts = status(directory)
    assert not facts["ready"]
    assert not any(process["alive"] for process in facts["processes"])
    await up(plan)
    await down(directory)


async def test_a_killed_up_is_taken_down_whole(plan: LabPlan) -> None:
    directory = LabDirectory(plan.directory)
    command = await lab_command("up", "--bare", "--dir", str(plan.directory), "--engine", plan.engine.value)
    await until_something_runs(directory)
    command.kill()
    await command.wait()
    mark = directory.read().mark
    pids = [process["pid"] for process in status(directory)["processes"]]
    await down(directory)
    assert not plan.directory.exists()
    assert directory.processes(mark).unrecorded() == []
    assert not any(mark in _environment(pid) for pid in pids)


async def test_what_is_no_lab_is_left_alone(tmp_path: Path, plan: LabPlan) -> None:
    plan.directory.mkdir()
    (plan.directory / "thesis.txt").write_text("the only copy")
    with pytest.raises(NoLab, match="not empty and no lab"):
        await up(plan)
    with pytest.raises(NoLab, match="nothing was touched"):
        await down(LabDirectory(plan.directory))
    assert (plan.directory / "thesis.txt").read_text() == "the only copy"


async def test_two_commands_do_not_work_on_one_lab(plan: LabPlan) -> None:
    directory = LabDirectory(plan.directory)
    plan.directory.mkdir()
    with directory.locked(), pytest.raises(LabBusy, match="another isthmus lab command"):
        await down(directory)


def test_a_missing_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_KUBE_BIN", str(tmp_path))
    assert missing_parts(EngineName.KUBE) == (
        f"etcd, kube-apiserver, kube-scheduler, kube-controller-manager, kubectl not in {tmp_path} (run: make kube)"
    )


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


async def test_two_labs_run_side_by_side_and_end_one_by_one(plan: LabPlan) -> None:
    other = replace(plan, directory=plan.directory.with_name("other"))
    await asyncio.gather(up(plan), up(other))
    await down(LabDirectory(other.directory))
    assert not other.directory.exists()
    assert status(LabDirectory(plan.directory))["ready"]
    await down(LabDirectory(plan.directory))
