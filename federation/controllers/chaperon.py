"""Keeps, in a target, one pod for every chaperon, and its status on the chaperon.

What is remembered here of pods that are gone only serves to put on record what is certain (rule S7): a process that
forgets it says of more pods that they may have run, never of fewer.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.decisions import mirroring
from federation.decisions.candidate import pod_of
from federation.events import record
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound, StatusError, is_passing
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from federation.model.times import format_time

Key = tuple[str, str]

_REFUSED_AGAIN_SECONDS = 30.0  # quota, a missing ServiceAccount: somebody has to act first
_SERVER_ERRORS = 500  # and above: whether what was asked for was done, nobody knows
_UNSEEN_AGAIN_SECONDS = 5.0  # a pod is there that our watch does not show (yet; or it has lost its label)


class Chaperons:
    """Reconciles PodChaperons by (namespace, name). `is_allowed`: which annotations of sources are let in (rule T5)."""

    def __init__(
        self,
        *,
        api: Api,
        chaperons: Store[Chaperon],
        pods: Store[TargetPod],
        clock: Clock,
        is_allowed: Callable[[str], bool],
    ) -> None:
        self._api = api
        self._is_allowed = is_allowed
        self._chaperons = chaperons
        self._pods = pods
        self._clock = clock
        self._last: dict[Key, TargetPod] = {}  # how pods that are gone were last seen, while their chaperons are there
        pods.subscribe(self._on_pod)
        pods.subscribe_to_ends(self._on_end)
        chaperons.subscribe(self._on_chaperon)

    def _on_pod(self, key: Key, old: TargetPod | None, new: TargetPod | None) -> None:
        if new is not None:
            self._last.pop(key, None)
        elif old is not None and self._chaperons.get(*key) is not None:
            self._last[key] = old

    def _on_end(self, key: Key, last: TargetPod) -> None:
        if self._chaperons.get(*key) is not None:
            self._last[key] = replace(last, is_final=True)

    def _on_chaperon(self, key: Key, old: Chaperon | None, new: Chaperon | None) -> None:
        if new is None:
            self._last.pop(key, None)

    async def reconcile(self, key: Key) -> float | None:
        """Make the pod, or show its status."""
        chaperon = self._chaperons.get(*key)
        if chaperon is None:
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
                return await self._make(chaperon, remade)
            case mirroring.Replaceable(uid, is_once_gone):
                if is_once_gone and await self._finds_pod(chaperon):
                    return _UNSEEN_AGAIN_SECONDS
                await self._put_on_record(chaperon, mirroring.record_patch(chaperon, {names.REPLACEABLE: uid}))
            case mirroring.RemovePod(pod, reason):
                logger.info("the kubelet rejected a delegate", pod=pod.name, namespace=pod.namespace, reason=reason)
                await self._remove(pod)
            case mirroring.EndPod(pod):
                with contextlib.suppress(NotFound):
                    await self._api.delete(PODS, pod.name, pod.namespace, uid=pod.uid)
            case mirroring.MarkMissing(since):
                if since is not None and await self._finds_pod(chaperon):
                    return _UNSEEN_AGAIN_SECONDS
                metadata = {"uid": chaperon.uid, "annotations": {names.POD_MISSING_SINCE: since}}
                await self._api.patch(POD_CHAPERONS, chaperon.name, {"metadata": metadata}, chaperon.namespace)
            case mirroring.ShowStatus(patch, is_fenced):
                await self._show(chaperon, patch, is_fenced=is_fenced)
            case mirroring.Refuse(message):
                await self._record(chaperon, "PodNotControlled", message)
            case _:
                assert_never(action)
        return None

    async def _put_on_record(self, chaperon: Chaperon, patch: Manifest) -> Manifest:
        """Write to exactly this version of the chaperon; whoever decided on an older one gets a Conflict."""
        written = await self._api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
        self._chaperons.learn(written)
        return written

    async def _make(self, chaperon: Chaperon, remade: str) -> float | None:
        # Kept only until the first pod is there; one that is made again is rare enough to be read for.
        manifest = chaperon.manifest
        if remade and chaperon.pod_uid and await self._finds_pod(chaperon):
            return _UNSEEN_AGAIN_SECONDS  # it is held, perhaps
        if remade:
            manifest = await self._put_on_record(chaperon, mirroring.remade_patch(chaperon, remade))
            chaperon = parse_chaperon(manifest)
        manifest = manifest or await self._api.get(POD_CHAPERONS, chaperon.name, chaperon.namespace)
        self._last.pop((chaperon.namespace, chaperon.name), None)  # from here on it speaks of a pod before the last
        try:
            self._pods.learn(await self._api.create(PODS, pod_of(manifest, self._is_allowed)))
        except AlreadyExists:  # an old pod of ours not yet gone, or another's: the watch of pods tells
            if not chaperon.is_candidate and not await self._finds_pod(chaperon):
                await self._was_not_made(chaperon)
            return 1.0
        except StatusError as error:
            if not chaperon.is_candidate and error.code < _SERVER_ERRORS:
                chaperon = await self._was_not_made(chaperon)
            if is_passing(error) or not isinstance(error, Forbidden | Invalid | NotFound):
                raise
            await self._refuse(chaperon, error)
            return _REFUSED_AGAIN_SECONDS
        return None

    async def _was_not_made(self, chaperon: Chaperon) -> Chaperon:
        """Take back the record that a pod may have run: the API server has refused to make it."""
        patch = mirroring.record_patch(chaperon, {names.REPLACEABLE: mirroring.NO_POD})
        return parse_chaperon(await self._put_on_record(chaperon, patch))

    async def _finds_pod(self, chaperon: Chaperon) -> bool:
        """Whether a pod of this chaperon is there, live, although our watch does not show it."""
        try:
            found = parse_target_pod(await self._api.get(PODS, chaperon.name, chaperon.namespace))
        except NotFound:
            return False
        return found is not None and found.owner_uid == chaperon.uid

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

    async def _show(self, chaperon: Chaperon, patch: Manifest, *, is_fenced: bool = False) -> None:
        metadata = {"uid": chaperon.uid} | ({"resourceVersion": chaperon.resource_version} if is_fenced else {})
        body = {"metadata": metadata, "status": patch}
        with contextlib.suppress(NotFound):
            self._chaperons.learn(
                await self._api.patch(POD_CHAPERONS, chaperon.name, body, chaperon.namespace, subresource="status")
            )

    async def _remove(self, pod: TargetPod) -> None:
        with contextlib.suppress(NotFound):
            await self._api.delete(PODS, pod.name, pod.namespace, uid=pod.uid, grace_period_seconds=0)

    async def _record(self, chaperon: Chaperon, reason: str, message: str) -> None:
        await record(self._api, self._clock, POD_CHAPERONS, chaperon, reason, message)
