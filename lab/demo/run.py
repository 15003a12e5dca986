"""`isthmus lab demo`: starts a lab, pushes the example, shows the jobs on their way, has the result judged, cleans up.

Whatever happens, nothing stays: processes, ports, mounts and the directory go with the lab, also when it is broken off
at any moment. A directory with somebody else's lab is left alone.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import lab
from federation.kube.api import connect
from lab.construction import shipped
from lab.demo.gitlab_client import GitLabClient, GitLabFailed, Json, gitlab
from lab.demo.next_steps import next_steps
from lab.demo.preconditions import missing
from lab.demo.pushing import PushFailed, end, push_example
from lab.demo.registry_client import RegistryFailed, registry
from lab.demo.report import result
from lab.demo.screen import Screen
from lab.demo.watching import PipelineWatch, PodMirror
from lab.directory import LabDirectory, LabRecord, NoLab
from lab.down import down
from lab.plan import LabPlan
from lab.up import up
from lab.waiting import StartFailed

# A lab on a busy machine takes a tenth of this for its four jobs.
PIPELINE_SECONDS_MAX = 180.0
# Where `lab` is imported from, so that another interpreter finds it also where the project is not installed.
_ROOT = str(Path(lab.__file__).resolve().parent.parent)
EXAMPLE = "01-multi-arch-image"


@dataclass(frozen=True, slots=True)
class Demo:
    """What was asked for."""

    plan: LabPlan
    json_file: Path | None = None
    is_kept: bool = False

    @property
    def directory(self) -> LabDirectory:
        """The lab's directory."""
        return LabDirectory(self.plan.directory.absolute())

    @property
    def checkout(self) -> Path:
        """Where the pushed project lies."""
        return self.directory.root / "multi-arch-image"


async def run(demo: Demo, screen: Screen) -> bool:
    """Run it; returns whether every row was right. Raises LabBusy, NoLab where the directory is not ours to use."""
    started = time.monotonic()
    problem, is_right = "", False
    try:
        if wanting := await missing(demo.plan):
            problem = "\n".join(wanting)
        else:
            is_right = await _run_in_lab(demo, screen)
    except (StartFailed, GitLabFailed, RegistryFailed, PushFailed, TimeoutError) as error:
        problem = str(error) or type(error).__name__
    finally:
        screen.finish()
    if problem:
        screen.say(f"the demo failed: {problem}")
        _write(demo, problem)
    screen.say(f"{'all right' if is_right else 'NOT right'}, in {time.monotonic() - started:.0f} s")
    return is_right


async def _run_in_lab(demo: Demo, screen: Screen) -> bool:
    async with _lab(demo, screen) as record:
        forge, images = record.services["gitlab"], record.services["registry"]
        async with (
            gitlab(forge["url"], forge["token"]) as client,
            registry(images["url"], images["ca_file"], forge["url"], forge["token"]) as reader,
        ):
            mirror = PodMirror([cluster.name for cluster in record.clusters])
            async with _following(record, mirror):
                project = await _push(demo, screen, client, forge["token"])
                watch = PipelineWatch(client, reader, project["id"], mirror)
                gave_up = await watch.run(screen.show, PIPELINE_SECONDS_MAX)
                screen.finish()
                for job in watch.failed:
                    screen.say(f"the end of the log of {job}:\n{await watch.last_words(job)}")
        if gave_up:
            screen.say(f"given up: {gave_up}")
        screen.say("")
        is_right = await _verified(demo, str(project["path_with_namespace"]))
        if demo.is_kept:
            screen.say(next_steps(record, demo.directory.root, demo.checkout, _example(), watch.url))
        return is_right


@asynccontextmanager
async def _lab(demo: Demo, screen: Screen) -> AsyncIterator[LabRecord]:
    """A lab for the length of the block, or longer where it is kept; a broken-off one never stays."""
    before = _mark(demo.directory)
    is_kept = False
    try:
        record = await up(demo.plan, screen.say)
        yield record
        is_kept = demo.is_kept
    finally:
        if not is_kept and _mark(demo.directory) not in ("", before):
            screen.finish()
            screen.say("ending the lab ...")
            await down(demo.directory)


def _mark(directory: LabDirectory) -> str:
    """Which lab is in the directory: only what came after us is ours to end."""
    try:
        return directory.read().mark
    except NoLab:
        return ""


@asynccontextmanager
async def _following(record: LabRecord, mirror: PodMirror) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        apis = {c.name: await stack.enter_async_context(await connect(Path(c.kubeconfig))) for c in record.clusters}
        await stack.enter_async_context(mirror.following(apis))
        yield


async def _push(demo: Demo, screen: Screen, client: GitLabClient, token: str) -> Json:
    project = await push_example(client, token, _example(), demo.checkout)
    screen.say(f"\npushed examples/{EXAMPLE} to {project['web_url']}")
    screen.say("its four jobs have tags, and the tags choose the cluster:\n")
    return project


def _example() -> Path:
    return shipped("examples") / EXAMPLE


async def _verified(demo: Demo, project: str) -> bool:
    """Have it judged, and the table printed, by a process that knows nothing of ours."""
    command = [sys.executable, "-m", "lab.demo.verify", f"--dir={demo.directory.root}", f"--project={project}"]
    if demo.json_file:
        command.append(f"--json={demo.json_file.absolute()}")
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH", ""))))
    # In a session of its own: a terminal's Ctrl-C is for us, and we end it.
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True
    )
    try:
        code = await process.wait()
    except BaseException:
        await end(process)
        raise
    if code not in (0, 1):
        _write(demo, "the result could not be verified")
    return code == 0


def _write(demo: Demo, problem: str) -> None:
    if demo.json_file:
        content = result(demo.plan.engine.value, [], {}, [problem])
        demo.json_file.write_text(json.dumps(content, indent=2) + "\n")
