"""Keeps, in a target, one pod for every chaperon, and its status on the chaperon."""

import contextlib
from typing import assert_never

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.decisions import mirroring
from federation.decisions.candidate import pod_of
from federation.events import record
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound, StatusError
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod
from federation.model.times import format_time

Key = tuple[str, str]

_REFUSED_AGAIN_SECONDS = 30.0  # quota, a missing ServiceAccount: somebody has to act first


class Chaperons:
    """Reconciles PodChaperons by (namespace, name)."""

    def __init__(self, *, api: Api, chaperons: Store[Chaperon], pods: Store[TargetPod], clock: Clock) -> None:
        self._api = api
        self._chaperons = chaperons
        self._pods = pods
        self._clock = clock
        self._last: dict[Key, TargetPod] = {}  # how pods that are gone were last seen, while their chaperons are there
        pods.subscribe(self._on_pod)

    def _on_pod(self, key: Key, old: TargetPod | None, new: TargetPod | None) -> None:
        if new is not None:
            self._last.pop(key, None)
        elif old is not None and self._chaperons.get(*key) is not None:
            self._last[key] = old

    async def reconcile(self, key: Key) -> float | None:
        """Make the pod, or show its status."""
        chaperon = self._chaperons.get(*key)
        if chaperon is None:
            self._last.pop(key, None)
            return None  # the garbage collector takes the pod
        plan = mirroring.decide(chaperon, self._pods.get(*key), self._last.get(key), self._clock())
        for action in plan.actions:
            wait = await self._perform(action, chaperon)
            if wait is not None:
                return wait
        return plan.look_again_seconds

    async def _perform(self, action: mirroring.Action, chaperon: Chaperon) -> float | None:
        match action:
            case mirroring.MakePod(remade):
                if remade:
                    patch = mirroring.remade_patch(chaperon, remade)
                    await self._api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
                return await self._make(chaperon)
            case mirroring.RemovePod(pod, reason):
                logger.info("the kubelet rejected a delegate", pod=pod.name, namespace=pod.namespace, reason=reason)
                await self._remove(pod)
            case mirroring.MarkMissing(since):
                metadata = {"uid": chaperon.uid, "annotations": {names.POD_MISSING_SINCE: since}}
                await self._api.patch(POD_CHAPERONS, chaperon.name, {"metadata": metadata}, chaperon.namespace)
            case mirroring.ShowStatus(patch):
                await self._show(chaperon, patch)
            case mirroring.Refuse(message):
                await self._record(chaperon, "PodNotControlled", message)
            case _:
                assert_never(action)
        return None

    async def _make(self, chaperon: Chaperon) -> float | None:
        # Kept only until the first pod is there; one that is made again is rare enough to be read for.
        manifest = chaperon.manifest or await self._api.get(POD_CHAPERONS, chaperon.name, chaperon.namespace)
        try:
            self._pods.learn(await self._api.create(PODS, pod_of(manifest)))
        except AlreadyExists:
            return 1.0  # an old pod of ours not yet gone, or another's: the watch of pods tells
        except (Forbidden, Invalid, NotFound) as error:
            await self._refuse(chaperon, error)
            return _REFUSED_AGAIN_SECONDS
        return None

    async def _refuse(self, chaperon: Chaperon, error: StatusError) -> None:
        """The target will not have this pod (quota, policy): say so where the source looks for an answer."""
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Refused",
            "message": error.message,
            "lastTransitionTime": format_time(self._clock()),
        }
        if chaperon.refusal != error.message:
            await self._show(chaperon, {"conditions": [condition]})
            await self._record(chaperon, "PodRefused", error.message)

    async def _show(self, chaperon: Chaperon, patch: Manifest) -> None:
        body = {"metadata": {"uid": chaperon.uid}, "status": patch}
        with contextlib.suppress(NotFound):
            self._chaperons.learn(
                await self._api.patch(POD_CHAPERONS, chaperon.name, body, chaperon.namespace, subresource="status")
            )

    async def _remove(self, pod: TargetPod) -> None:
        with contextlib.suppress(NotFound):
            await self._api.delete(PODS, pod.name, pod.namespace, uid=pod.uid, grace_period_seconds=0)

    async def _record(self, chaperon: Chaperon, reason: str, message: str) -> None:
        await record(self._api, self._clock, POD_CHAPERONS, chaperon, reason, message)
