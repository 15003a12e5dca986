"""One pod at a time: filter, score, choose, assume; then the bind goes its own way and the next pod is looked at.

The cycle itself waits for nothing but filter and prioritize extenders. Status, Events, preemption's deletions and binds
are tasks beside it. A restart loses only assumptions: pods that are unbound are found by the first list, and binds
that were under way either happened or are tried again.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import PODS
from lab.scheduler.binding import bind
from lab.scheduler.cache import Place
from lab.scheduler.cluster import Cluster
from lab.scheduler.extender import Extender, ExtenderError
from lab.scheduler.filters import Filter, Verdict, missing_claim
from lab.scheduler.model import Pod
from lab.scheduler.preemption import preempt
from lab.scheduler.queue import Waiting
from lab.scheduler.refusal import Refusal
from lab.scheduler.reports import Reports
from lab.scheduler.scores import Scores, best, score

_NO_NODES = "no nodes available to schedule pods"


class Scheduler:
    """Places the pods of one cluster's profiles."""

    def __init__(
        self,
        api: Api,
        cluster: Cluster,
        extenders: Collection[Extender],
        reports: Reports,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._cluster = cluster
        self._extenders = extenders
        self._reports = reports
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._ignored = {
            one.name for extender in extenders for one in extender.configuration.managed_resources if one.is_ignored
        }

    async def run(self) -> None:
        """Schedule until cancelled."""
        async with self._group:
            self._spawn(self._cluster.follow(self._api))
            await self._cluster.synced()
            logger.info("scheduler started", nodes=len(self._cluster.nodes), waiting=len(self._cluster.queue))
            while True:
                self._cluster.changed.clear()
                if waiting := self._cluster.queue.pop(self._clock()):
                    await self._try(waiting)
                    await asyncio.sleep(0)
                else:
                    await self._pause()

    async def _pause(self) -> None:
        next_at = self._cluster.queue.next_at()
        wait = None if next_at is None else max(0.01, next_at - self._clock())
        try:
            async with asyncio.timeout(wait):
                await self._cluster.changed.wait()
        except TimeoutError:
            return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._group.create_task(work)

    async def _try(self, waiting: Waiting) -> None:
        try:
            await self._schedule(waiting)
        except Exception as error:  # noqa: BLE001  # one odd pod must not stop all others; it is logged and retried
            logger.opt(exception=error).error("scheduling failed on a defect of ours", pod="/".join(waiting.pod.key))
            self._erred(waiting, f"internal error: {error!r}")

    async def _schedule(self, waiting: Waiting) -> None:
        pod = waiting.pod
        if not self._cluster.is_waiting(pod):
            self._cluster.queue.done(pod.uid)
            return
        filters = Filter(pod, self._cluster.cache.places.values(), self._namespaces(), self._ignored)
        try:
            verdict = await self._find(pod, filters)
            node = await self._choose(pod, verdict.fitting) if verdict.fitting else ""
        except ExtenderError as error:
            self._erred(waiting, str(error))
            return
        if not node:
            self._refused(waiting, verdict, filters)
        elif self._cluster.is_waiting(pod):  # an extender may have taken its time
            self._cluster.cache.assume(pod, node)
            self._spawn(self._bind(waiting, node))
        else:
            self._cluster.queue.done(pod.uid)

    def _namespaces(self) -> dict[str, dict[str, str]]:
        store = self._cluster.namespaces
        return {name: dict(store.get("", name) or {}) for _, name in store.keys()}  # noqa: SIM118  # a Store, no dict

    async def _find(self, pod: Pod, filters: Filter) -> Verdict:
        verdict = Verdict()
        places = self._cluster.cache.places
        claims = dict.fromkeys(self._cluster.claims.keys())
        if reason := missing_claim(pod, claims):
            verdict.overall, verdict.rejectors = reason, {"VolumeBinding"}
            return verdict
        for name, place in places.items():
            if refusal := filters.refuse(self._cluster.place_for(pod, place)):
                verdict.refusals[name] = refusal
            else:
                verdict.fitting.append(place)
        for extender in self._extenders:
            if verdict.fitting and extender.configuration.filter_verb and extender.is_interested(pod):
                await self._ask(extender, pod, verdict)
        verdict.rejectors = {refusal.rejector for refusal in verdict.refusals.values()}
        return verdict

    async def _ask(self, extender: Extender, pod: Pod, verdict: Verdict) -> None:
        try:
            answer = await extender.filter(pod, {place.node.name: place.node for place in verdict.fitting})
        except ExtenderError as error:
            if not extender.configuration.is_ignorable:
                raise
            logger.warning("extender skipped", url=extender.configuration.url_prefix, error=str(error))
            return
        for name, reason in {**answer.failed, **answer.unresolvable}.items():
            verdict.refusals[name] = Refusal("Extender", (reason,), is_final=name in answer.unresolvable)
        verdict.fitting = [place for place in verdict.fitting if place.node.name in set(answer.names)]

    async def _choose(self, pod: Pod, fitting: list[Place]) -> str:
        names = [place.node.name for place in fitting]
        nominated = pod.status.get("nominatedNodeName")
        if nominated in names:
            return str(nominated)
        if len(names) == 1:
            return names[0]
        scores = score(pod, fitting)
        for extra in await asyncio.gather(*(self._prioritize(one, pod, fitting) for one in self._extenders)):
            for name, value in extra.items():
                scores[name] = scores.get(name, 0) + value
        return best(pod, {name: scores[name] for name in names})

    async def _prioritize(self, extender: Extender, pod: Pod, fitting: list[Place]) -> Scores:
        if not extender.configuration.prioritize_verb or not extender.is_interested(pod):
            return {}
        try:
            return await extender.prioritize(pod, {place.node.name: place.node for place in fitting})
        except ExtenderError as error:  # a preference that cannot be had is no reason to wait
            logger.warning("extender gave no scores", url=extender.configuration.url_prefix, error=str(error))
            return {}

    def _refused(self, waiting: Waiting, verdict: Verdict, filters: Filter) -> None:
        pod, places = waiting.pod, self._cluster.cache.places
        message, nominated = _NO_NODES, None
        if places:
            outcome = preempt(pod, verdict, places, filters)
            verdict.afterword = outcome.message
            message = verdict.message(len(places))
            if outcome.victims:
                nominated = outcome.node
                self._cluster.nominate(pod, nominated)
                for victim in outcome.victims:
                    self._spawn(self._evict(victim, pod, nominated))
            elif outcome.is_hopeless:
                nominated = ""
                self._cluster.nominate(pod, "")
        self._cluster.queue.sleep(waiting, verdict.rejectors, self._clock())
        self._spawn(self._reports.refused(pod, "Unschedulable", message, nominated))

    async def _evict(self, victim: Pod, preemptor: Pod, node: str) -> None:
        name = preemptor.spec.get("schedulerName") or "default-scheduler"
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{name}: preempting to accommodate a higher priority pod",
        }
        await self._reports.status(victim, condition)
        try:
            await self._api.delete(PODS, victim.key[1], victim.key[0], uid=victim.uid)
        except NotFound:
            return
        except ApiError as error:
            logger.warning("preemption failed", victim="/".join(victim.key), error=str(error))
            return
        text = f"Preempted by pod {preemptor.uid} on node {node}"
        await self._reports.event(victim, "Normal", "Preempted", "Preempting", text)

    async def _bind(self, waiting: Waiting, node: str) -> None:
        pod = waiting.pod
        try:
            await bind(self._api, self._extenders, pod, node)
        except (ExtenderError, ApiError) as error:
            self._cluster.cache.forget(pod.uid)
            self._cluster.freed()
            self._erred(waiting, str(error))
            return
        self._cluster.cache.finish(pod.uid)
        self._cluster.queue.done(pod.uid)
        live = self._cluster.pods.get(*pod.key)
        if live is None or live.uid != pod.uid:
            self._cluster.cache.forget(pod.uid)
        await self._reports.bound(pod, node)

    def _erred(self, waiting: Waiting, message: str) -> None:
        pod = waiting.pod
        if not self._cluster.is_waiting(pod):  # deleted, or bound although the answer was lost
            self._cluster.queue.done(pod.uid)
            return
        logger.warning("scheduling met an error", pod="/".join(pod.key), error=message)
        self._cluster.queue.retry(waiting, self._clock())
        self._cluster.nominate(pod, "")
        self._cluster.changed.set()
        live = self._cluster.pods.get(*pod.key) or pod
        self._spawn(self._reports.refused(live, "SchedulerError", message, ""))
