"""Follows a pipeline from its first job to the last image: pods by watches, GitLab by asking, for it has no watch."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from federation.kube.api import Api
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.construction import WORK_NAMESPACE
from lab.demo import traces
from lab.demo.gitlab_client import GitLabClient
from lab.demo.journey import FINAL, Journey, journeys
from lab.demo.registry_client import RegistryClient, split
from lab.demo.traces import Pushed

Json = dict[str, Any]
Show = Callable[[Sequence[Journey]], None]

# GitLab is asked this often: twice as often as anybody could read what changed.
POLL_SECONDS = 0.5
# A pod and its job end within a second of each other; news of either may be late.
LOST_SECONDS = 8.0
# How long pods may take to be shown as finished once their jobs are.
LAST_NEWS_SECONDS = 15.0


class PodMirror:
    """The pods of the work namespace in every cluster; `changed` is set when one of them has."""

    def __init__(self, clusters: Sequence[str]) -> None:
        self.changed = asyncio.Event()
        self._stores: dict[str, Store[Json]] = {name: Store(lambda manifest: manifest) for name in clusters}
        for store in self._stores.values():
            store.subscribe(lambda *_: self.changed.set())

    @property
    def pods(self) -> dict[str, list[Json]]:
        """All pods by cluster."""
        return {name: list(store.values()) for name, store in self._stores.items()}

    @asynccontextmanager
    async def following(self, apis: Mapping[str, Api]) -> AsyncIterator[None]:
        """Keep it current for the length of the block."""
        tasks = [
            asyncio.create_task(follow(apis[name], PODS, store, namespace=WORK_NAMESPACE))
            for name, store in self._stores.items()
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Patience:
    """Says when waiting has no point any more; times are monotonic seconds."""

    def __init__(self, started_at: float, seconds_max: float) -> None:
        self._started_at, self._seconds_max = started_at, seconds_max
        self._lost_since = self._over_since = 0.0

    def ends(self, shown: Sequence[Journey], now: float) -> str:
        """Return why to give up, or nothing."""
        lost = [journey for journey in shown if journey.is_lost]
        is_over = bool(shown) and all(journey.status in FINAL for journey in shown)
        self._lost_since = (self._lost_since or now) if lost else 0.0
        self._over_since = (self._over_since or now) if is_over else 0.0
        if self._lost_since and now - self._lost_since > LOST_SECONDS:
            pod = lost[0].runner_pod
            return f"GitLab waits for {lost[0].job}, but its runner pod {f'{pod} has ended' if pod else 'is gone'}"
        if self._over_since and now - self._over_since > LAST_NEWS_SECONDS:
            return "the jobs are over, but their pods are not shown as finished"
        if now - self._started_at > self._seconds_max:
            return f"the pipeline was not over after {self._seconds_max:.0f} s"
        return ""


class PipelineWatch:
    """What is known of a project's newest pipeline."""

    def __init__(self, client: GitLabClient, reader: RegistryClient, project: int, mirror: PodMirror) -> None:
        self._client, self._reader, self._project, self._mirror = client, reader, project, mirror
        self._jobs: list[Json] = []
        self._pushed: dict[str, Pushed] = {}
        self.url = ""

    async def run(self, show: Show, seconds_max: float) -> str:
        """Show each change until all is over; returns why it was given up, or nothing."""
        patience = Patience(time.monotonic(), seconds_max)
        asked_at = 0.0
        while True:
            now = time.monotonic()
            if now - asked_at >= POLL_SECONDS:
                asked_at = now
                await self._ask()
            shown = journeys(self._jobs, self._mirror.pods, self._pushed)
            show(shown)
            if shown and all(journey.is_over for journey in shown):
                return ""
            if reason := patience.ends(shown, now):
                return reason
            await self._news()

    async def _news(self) -> None:
        self._mirror.changed.clear()
        try:
            await asyncio.wait_for(self._mirror.changed.wait(), POLL_SECONDS)
        except TimeoutError:
            return

    async def _ask(self) -> None:
        pipeline = await self._client.newest_pipeline(self._project)
        if pipeline is None:
            return
        self.url = pipeline["web_url"]
        self._jobs = await self._client.jobs(self._project, pipeline["id"])
        for job in self._jobs:
            if job["name"] not in self._pushed and job["status"] in ("running", "success"):
                await self._ask_registry(job)

    async def _ask_registry(self, job: Json) -> None:
        for said in traces.pushed(await self._client.trace(self._project, job["id"])):
            if digest := await self._reader.digest(*split(said.image)):
                self._pushed[job["name"]] = Pushed(said.image, digest)

    @property
    def failed(self) -> list[str]:
        """The jobs that GitLab says have failed."""
        return [job["name"] for job in self._jobs if job["status"] == "failed"]

    async def last_words(self, job: str, lines: int = 15) -> str:
        """The end of a job's log."""
        number = next(found["id"] for found in self._jobs if found["name"] == job)
        trace = traces.plain(await self._client.trace(self._project, number))
        return "\n".join(trace.splitlines()[-lines:])
