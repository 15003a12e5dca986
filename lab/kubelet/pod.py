"""One pod on this node, from its binding to its removal from the API.

Level-triggered: each step looks at the pod as it is wanted and at its containers as they are, decides (`restarts`),
acts, and publishes the status if it says something new. A step follows every change and every due time.

How a pod ends: by itself, at its deadline, by deletion, or because the object has gone (then nothing is reported). In
each case all containers are ended, sidecars last, and only then is the phase terminal, so that nobody takes the pod for
ended while a process of it runs. A deleted pod's object is removed by this kubelet, with its UID.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.resources import PODS
from lab.kubelet.containers import Containers, names_of
from lab.kubelet.gathering import Gathering
from lab.kubelet.pod_volumes import PodVolumes
from lab.kubelet.records import Kind, Manifest, Waiting, parse_time
from lab.kubelet.restarts import Plan, decide, is_over
from lab.kubelet.shared import Shared
from lab.kubelet.sources import Missing
from lab.kubelet.status import Ending, Progress, says, status

DEFAULT_GRACE_SECONDS = 30.0
# A pod removed by force is owed nothing; a second lets its processes hear SIGTERM.
GONE_GRACE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_VOLUME_RETRY_SECONDS = 2.0


class Pod:
    """The worker of one pod. `run` ends when the pod is gone from the API, or everything is cancelled."""

    def __init__(self, manifest: Manifest, shared: Shared) -> None:
        self.manifest = manifest
        self.uid: str = manifest["metadata"]["uid"]
        self.containers: Containers | None = None
        self._shared = shared
        self._gathering = Gathering(shared.api, shared.allocatable)
        self._volumes = PodVolumes(shared, self._gathering, self.uid)
        self._has_view = False
        self._known: Manifest = manifest.get("status", {})  # what the API server has, as far as we know
        self._started_at = parse_time(self._known.get("startTime")) or datetime.now(UTC)
        self._is_gone = False
        self._is_finished = False
        self._is_terminal = False
        self._ending: Ending | None = None
        self._changed = asyncio.Event()

    def update(self, manifest: Manifest) -> None:
        """Take in the pod as the API server has it now."""
        self.manifest = manifest
        self._wake()

    def forget(self) -> None:
        """The object has gone: end the pod without a report."""
        self._is_gone = True
        self._wake()

    async def run(self) -> None:
        """Live the pod's life."""
        async with asyncio.TaskGroup() as group:
            self.containers = Containers(self.manifest, self._shared, self._gathering, group)
            self._changed = self.containers.changed
            refresh = group.create_task(self._volumes.keep_current(self.manifest))
            try:
                while not self._is_finished:
                    self._changed.clear()
                    await self._wait(await self._step_safely())
            finally:
                self.containers.kill_all()
                refresh.cancel()
        await asyncio.to_thread(remove, self._shared.pod_directory(self.uid))

    @property
    def takes_room(self) -> bool:
        """Whether the pod still holds what it asked of the node."""
        return not self._is_terminal

    def grace_left(self, since: float) -> float:
        """Seconds until a container that was asked to end at `since` (loop time) is made to."""
        metadata, elapsed = self.manifest["metadata"], asyncio.get_running_loop().time() - since
        if self._is_gone:
            return GONE_GRACE_SECONDS - elapsed
        grace = metadata.get("deletionGracePeriodSeconds")
        if grace is None:
            grace = self.manifest["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
        return float(grace) - elapsed

    async def _step_safely(self) -> datetime | None:
        try:
            return await self._step()
        except ApiError as error:
            logger.warning("pod not brought further", pod=self.manifest["metadata"]["name"], error=str(error)[:300])
            return datetime.now(UTC) + timedelta(seconds=_RETRY_SECONDS)

    async def _step(self) -> datetime | None:
        assert self.containers is not None, "run makes them"
        now = datetime.now(UTC)
        if (ending := self._why_end(now)) is not None:
            await self._end(ending)
            return None
        if not self._has_view and (again := await self._prepare_volumes()) is not None:
            await self._publish()
            return again
        plan = decide(self.manifest, self.containers.records, now, self._shared.back_off)
        await self._follow(plan)
        await self._publish()
        return _earlier(plan.look_again_at, self._deadline())

    def _why_end(self, now: datetime) -> Ending | None:
        assert self.containers is not None, "run makes them"
        if self._ending is not None:
            return self._ending
        deadline = self._deadline()
        if self._is_gone or self.manifest["metadata"].get("deletionTimestamp"):
            return Ending()
        if self.manifest.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return _as_reported(self.manifest["status"])
        if is_over(self.manifest, self.containers.records):
            return Ending()
        if deadline is not None and now >= deadline:
            return Ending("DeadlineExceeded", "Pod was active on the node longer than the specified deadline", "Failed")
        return None

    def _deadline(self) -> datetime | None:
        seconds = self.manifest["spec"].get("activeDeadlineSeconds")
        return None if seconds is None else self._started_at + timedelta(seconds=seconds)

    async def _prepare_volumes(self) -> datetime | None:
        """Returns when to try again, or None if all volumes are there."""
        try:
            await self._volumes.prepare(self.manifest)
        except (Missing, OSError) as error:
            self._shared.recorder.emit(self.manifest, "Warning", "FailedMount", str(error))
            return datetime.now(UTC) + timedelta(seconds=_VOLUME_RETRY_SECONDS)
        self._has_view = True
        return None

    async def _follow(self, plan: Plan) -> None:
        assert self.containers is not None, "run makes them"
        for name, waiting in plan.waiting.items():
            record = self.containers.records[name]
            if not isinstance(record.state, Waiting) or record.state.reason != waiting.reason:
                self._shared.recorder.emit(self.manifest, "Warning", "BackOff", waiting.message, name)
            self.containers.wait(name, waiting)
        for name in plan.start:
            await self.containers.start(name)

    async def _end(self, ending: Ending) -> None:
        assert self.containers is not None, "run makes them"
        self._ending = ending
        since = asyncio.get_running_loop().time()
        records = self.containers.records
        main = [*names_of(records, Kind.INIT), *names_of(records, Kind.MAIN)]
        await _together([self._stopping(name, since) for name in main])
        for name in reversed(names_of(records, Kind.SIDECAR)):
            await self.containers.stop(name, lambda: self.grace_left(since))
        self._is_terminal = True
        if not self._is_gone:
            await self._publish()
        if not self._is_gone and not self.manifest["metadata"].get("deletionTimestamp"):
            return
        if not self._is_gone:
            await self._delete()
        self._is_finished = True

    def _stopping(self, name: str, since: float) -> Awaitable[None]:
        assert self.containers is not None, "run makes them"
        return self.containers.stop(name, lambda: self.grace_left(since))

    async def _publish(self) -> None:
        assert self.containers is not None, "run makes them"
        if self._is_gone:
            return
        progress = Progress(datetime.now(UTC), self._started_at, self._has_view, self._ending, self._is_terminal)
        pod = {**self.manifest, "status": _latest(self._known, self.manifest)}
        wanted = status(pod, self.containers.records, progress)
        if says(wanted) == says({key: self._known.get(key) for key in wanted}):
            return
        self._known = {**self._known, **wanted}
        try:
            await self._patch(wanted)
        except ApiError:
            self._known = {}  # not known any more: send again
            raise

    async def _patch(self, wanted: Manifest) -> None:
        metadata = self.manifest["metadata"]
        body = {"metadata": {"uid": self.uid}, "status": wanted}
        name, namespace = metadata["name"], metadata["namespace"]
        try:
            await self._shared.api.patch(PODS, name, body, namespace, subresource="status", kind="strategic")
        except NotFound:
            self._is_gone = True

    async def _delete(self) -> None:
        metadata = self.manifest["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        # Not there any more, or another pod has its name (409 for the UID): either way there is nothing to remove.
        with contextlib.suppress(NotFound, Conflict):
            await self._shared.api.delete(PODS, name, namespace, uid=self.uid, grace_period_seconds=0)

    async def _wait(self, until: datetime | None) -> None:
        if self._is_finished:
            return
        seconds = None if until is None else max((until - datetime.now(UTC)).total_seconds(), 0)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._changed.set()


def _as_reported(known: Manifest) -> Ending:
    """A pod whose phase is terminal already stays as it is reported, whoever reported it."""
    return Ending(known.get("reason") or "", known.get("message") or "", known["phase"])


def _latest(known: Manifest, manifest: Manifest) -> Manifest:
    """The status with the newest conditions: ours as we last sent them, others' as the watch has them."""
    seen = {entry["type"]: entry for entry in manifest.get("status", {}).get("conditions") or ()}
    sent = {entry["type"]: entry for entry in known.get("conditions") or ()}
    return {**known, "conditions": list((seen | sent).values())}


async def _together(waits: list[Awaitable[None]]) -> None:
    await asyncio.gather(*waits)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((time for time in (one, other) if time is not None), default=None)


def remove(directory: Path) -> None:
    """Remove a directory and everything in it, also what a container made unreadable for its owner."""

    def make_writable(function: Callable[[str], object], path: str, _: object) -> None:
        Path(path).parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
        try:
            function(path)
        except OSError as error:
            logger.debug("left behind", path=path, error=str(error))

    if directory.exists():
        shutil.rmtree(directory, onerror=make_writable)
