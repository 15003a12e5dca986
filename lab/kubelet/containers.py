"""The containers of one pod: starts them, notes how they end, stops them. What to start when is `restarts`' to say.

`records` is what is known of each; `changed` is set whenever that has changed.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab.kubelet import probing, processes
from lab.kubelet.gathering import Gathering
from lab.kubelet.logs import Log
from lab.kubelet.orders import NoImage
from lab.kubelet.records import Kind, Manifest, Record, Running, Terminated, Waiting, container, first_records
from lab.kubelet.restarts import next_back_off
from lab.kubelet.runs import Run
from lab.kubelet.shared import Shared
from lab.kubelet.sources import Missing, needs_of_environment

# What was missing may be there soon: looked for this often, as upstream's kubelet does within its sync period.
RETRY = timedelta(seconds=2)
# An image that the catalogue does not have comes only with another configuration.
IMAGE_RETRY = timedelta(minutes=5)
TERMINATION_MESSAGE_BYTES_MAX = 4096
_LOG_MESSAGE_BYTES_MAX = 2048


class Containers:
    """All containers of one pod on this node."""

    def __init__(self, pod: Manifest, shared: Shared, gathering: Gathering, group: asyncio.TaskGroup) -> None:
        self._pod = pod
        self._shared, self._gathering, self._group = shared, gathering, group
        self._uid: str = pod["metadata"]["uid"]
        self._probes: dict[str, asyncio.Task[None]] = {}
        self.records: dict[str, Record] = first_records(pod, datetime.now(UTC))
        self.runs: dict[str, Run] = {}
        self.changed = asyncio.Event()

    def wait(self, name: str, waiting: Waiting, retry_at: datetime | None = None) -> None:
        """Note that a container is not started now, and why."""
        record = self.records[name]
        last = record.state if isinstance(record.state, Terminated) else record.last
        self._note(replace(record, state=waiting, last=last, retry_at=retry_at, is_ready=False, is_started=False))

    async def start(self, name: str) -> None:
        """Start a container, or note why it cannot be started. Raises ApiError."""
        manifest = container(self._pod, name)
        assert manifest is not None, "only containers of the pod are started"
        try:
            await self._start(name, manifest)
        except NoImage as error:
            self._no_image(name, manifest, error)
        except (Missing, ValueError, OSError) as error:
            self._say("Warning", "Failed", f"Error: {error}", name)
            self.wait(name, Waiting("CreateContainerConfigError", str(error)), datetime.now(UTC) + RETRY)
        except processes.StartFailed as error:
            self._not_started(name, str(error))

    async def stop(self, name: str, grace: Callable[[], float], why: str = "") -> None:
        """End a container, gently for as long as `grace()` says. Returns when it has ended."""
        run = self.runs.get(name)
        if run is None:
            return
        self._stop_probing(name)
        self._say("Normal", "Killing", why or f"Stopping container {name}", name)
        manifest = container(self._pod, name) or {}
        if hook := (manifest.get("lifecycle") or {}).get("preStop"):
            await self._before_stop(run, manifest, hook, grace)
        await run.stop(grace)

    def kill_all(self) -> None:
        """End everything now."""
        for run in self.runs.values():
            run.process.signal(signal.SIGKILL)

    def log(self, name: str, *, previous: bool) -> Log | None:
        """The log of the newest run of a container, or of the one before; None if there is none."""
        record = self.records[name]
        run = self.runs.get(name)
        if run is not None and not previous:
            return run.log
        number = record.restarts - (1 if previous else 0)
        return Log.kept(self._shared.log_path(self._uid, name, number)) if number >= 0 else None

    async def _start(self, name: str, manifest: Manifest) -> None:
        workshop, record = self._shared.workshop, self.records[name]
        image = workshop.image(manifest["image"])
        sources = await self._gathering.gather(self._pod, needs_of_environment(manifest))
        place = self._shared.place(self._uid, name)
        order = workshop.order(self._pod, manifest, image, sources, place)
        self._say("Normal", "Pulled", f'Container image "{manifest["image"]}" already present on machine', name)
        process = await processes.start(order, has_stdin=bool(manifest.get("stdin")))
        now = datetime.now(UTC)
        ended = record.ended
        restarts = record.restarts + (1 if ended is not None else 0)
        identity = f"process://{secrets.token_hex(32)}"
        log = Log(self._shared.log_path(self._uid, name, restarts))
        self._drop_old_log(name, restarts)
        run = Run(name, identity, order, process, log, now)
        self.runs[name] = run
        self._note(
            replace(
                record,
                state=Running(now),
                last=ended,
                restarts=restarts,
                container_id=identity,
                retry_at=None,
                is_started=(is_started := not probing.delays_start(manifest)),
                is_ready=is_started and not manifest.get("readinessProbe"),
                back_off_seconds=next_back_off(record, ended, self._shared.back_off) if ended else 0.0,
            )
        )
        self._group.create_task(run.watch(lambda run, code: self._ended(run, code, place.termination_log)))
        self._say("Normal", "Created", f"Container created: {name}", name)
        self._say("Normal", "Started", f"Container started: {name}", name)
        self._probes[name] = self._group.create_task(self._look_after(run, manifest))

    async def _look_after(self, run: Run, manifest: Manifest) -> None:
        """From the postStart hook to the last probe: keeps `is_started` and `is_ready` true to what they find."""
        if hook := (manifest.get("lifecycle") or {}).get("postStart"):
            problem = await probing.hook(run, manifest, hook)
            if problem:
                self._say("Warning", "FailedPostStartHook", f"PostStartHook failed: {problem}", run.name)
                self._restart_unhealthy(run, f"FailedPostStartHook: {problem}")
                return
        async for verdict in probing.verdicts(run, manifest):
            if verdict.problem:
                message = f"{verdict.probe} probe failed: {verdict.problem}"
                self._say("Warning", "Unhealthy", message, run.name)
            if verdict.is_fatal:
                self._restart_unhealthy(
                    run, f"Container {run.name} failed {verdict.probe.lower()} probe, will be restarted"
                )
                return
            record = self.records[run.name]
            if self.runs.get(run.name) is run:
                self._note(replace(record, is_started=verdict.is_started, is_ready=verdict.is_ready))

    def _restart_unhealthy(self, run: Run, why: str) -> None:
        grace = float(self._pod["spec"].get("terminationGracePeriodSeconds") or 30)
        since = asyncio.get_running_loop().time()
        self._probes.pop(run.name, None)
        self._group.create_task(self.stop(run.name, lambda: since + grace - asyncio.get_running_loop().time(), why))

    def _ended(self, run: Run, code: int, termination_log: Path) -> None:
        self._stop_probing(run.name)
        self.runs.pop(run.name, None)
        manifest = container(self._pod, run.name) or {}
        message = _termination_message(termination_log, run.log, manifest, code)
        reason = "Completed" if code == 0 else "Error"
        state = Terminated(code, reason, datetime.now(UTC), run.started_at, message, run.identity)
        self._note(replace(self.records[run.name], state=state, is_ready=False, is_started=False))

    def _no_image(self, name: str, manifest: Manifest, error: NoImage) -> None:
        state, reason, message = self.records[name].state, error.reason, str(error)
        is_again = isinstance(state, Waiting) and state.reason in ("ErrImagePull", "ImagePullBackOff")
        retry = IMAGE_RETRY
        if reason == "ErrImagePull" and is_again:
            reason = "ImagePullBackOff"
            self._say("Normal", "BackOff", f'Back-off pulling image "{manifest["image"]}"', name)
            message = f'Back-off pulling image "{manifest["image"]}": {message}'
        elif reason == "ErrImagePull":
            self._say("Warning", "Failed", f'Failed to pull image "{manifest["image"]}": {message}', name)
            retry = RETRY
        else:
            self._say("Warning", "InspectFailed", message, name)
        self.wait(name, Waiting(reason, message), datetime.now(UTC) + retry)

    def _not_started(self, name: str, problem: str) -> None:
        self._say("Warning", "Failed", f"Error: {problem}", name)
        record, now = self.records[name], datetime.now(UTC)
        ended = record.ended
        back_off = next_back_off(record, ended, self._shared.back_off) if ended else 0.0
        restarts = record.restarts + (1 if ended is not None else 0)
        identity = f"process://{secrets.token_hex(32)}"
        state = Terminated(128, "StartError", now, now, problem, identity)
        self._note(
            replace(
                record, state=state, last=ended, restarts=restarts, back_off_seconds=back_off, container_id=identity
            )
        )

    async def _before_stop(self, run: Run, manifest: Manifest, hook: Manifest, grace: Callable[[], float]) -> None:
        try:
            async with asyncio.timeout(max(grace(), 0)):
                if problem := await probing.hook(run, manifest, hook):
                    self._say("Warning", "FailedPreStopHook", f"PreStopHook failed: {problem}", run.name)
        except TimeoutError:
            self._say("Warning", "FailedPreStopHook", "PreStopHook did not end within the grace period", run.name)

    def _drop_old_log(self, name: str, restarts: int) -> None:
        self._shared.log_path(self._uid, name, restarts - 2).unlink(missing_ok=True)

    def _stop_probing(self, name: str) -> None:
        if task := self._probes.pop(name, None):
            task.cancel()

    def _say(self, type_: str, reason: str, message: str, name: str) -> None:
        self._shared.recorder.emit(self._pod, type_, reason, message, name)

    def _note(self, record: Record) -> None:
        if record != self.records[record.name]:
            self.records[record.name] = record
            self.changed.set()


def names_of(records: dict[str, Record], kind: Kind) -> list[str]:
    """The containers of that kind, in order."""
    return [name for name, record in records.items() if record.kind is kind]


def _termination_message(path: Path, log: Log, manifest: Manifest, code: int) -> str:
    try:
        message = path.read_bytes()[:TERMINATION_MESSAGE_BYTES_MAX].decode(errors="replace")
    except OSError:
        message = ""
    if not message and code != 0 and manifest.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        return log.end(_LOG_MESSAGE_BYTES_MAX)
    return message
