"""Answers kube-scheduler's bind requests: reserve, wait for the verdict, then bind or give up.

kube-scheduler has picked the node with all its usual features, assumes the pod there and calls us from a goroutine of
the pod's own, so its cycle runs on. We mark the chaperon reserved and wait on our watches, never polling. Before an
error is answered the candidate is deleted: after an error kube-scheduler would come back in seconds (rule M4).

Which pod is bound is on record before it can start (rule S7): with the mark where there was a hold, else just before
the Binding. Another is bound only where it is on record, too, that the one before never ran, or may run again. That the
pod is still there, and the same, the API server itself makes sure of: the Binding carries its uid.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from loguru import logger

from federation import names
from federation.decisions.binding import Step, next_step
from federation.decisions.mirroring import record_patch
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import ApiError, Conflict, NotFound
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod
from federation.reservation.holds import Hold, Holds, Verdict

_MARK_ATTEMPTS = 5  # each after a fresh look; nobody changes a chaperon so often that all of them are in vain


@dataclass(frozen=True, slots=True)
class BindRequest:
    """kube-scheduler's ExtenderBindingArgs."""

    pod_name: str
    pod_namespace: str
    pod_uid: str
    node: str


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a node is held: `quiet` where nobody else waits for room in this target, else `contended`."""

    quiet_seconds: float
    contended_seconds: float


class Extender:
    """Holds candidates of one target."""

    def __init__(self, *, api: Api, chaperons: Store[Chaperon], pods: Store[TargetPod], deadlines: Deadlines) -> None:
        self._api = api
        self._chaperons = chaperons
        self._pods = pods
        self._deadlines = deadlines
        self.holds = Holds()
        self.strangers = 0  # bind requests for pods without a chaperon of theirs: answered by an error, counted
        self.repeats = 0  # pods that were not bound because one before them may have run
        chaperons.subscribe(lambda key, old, new: self._on_chaperon(key, new))
        pods.subscribe(self._on_pod)

    def _on_chaperon(self, key: tuple[str, str], chaperon: Chaperon | None) -> None:
        for hold in self.holds.of(*key):
            if chaperon is None or chaperon.is_terminating:
                hold.end(Verdict.CHAPERON_GONE)
            elif chaperon.is_allowed:
                hold.end(Verdict.ALLOWED)

    def _on_pod(self, key: tuple[str, str], old: TargetPod | None, new: TargetPod | None) -> None:
        for hold in self.holds.of(*key):
            if new is None or new.uid != hold.pod_uid or new.is_terminating:
                hold.end(Verdict.POD_GONE)

    async def bind(self, request: BindRequest) -> str:
        """Serve one bind request; returns an empty string once bound, else why not."""
        chaperon = await self._chaperon_of(request)
        if chaperon is None:
            self.strangers += 1
            return f"pod {request.pod_namespace}/{request.pod_name} has no PodChaperon that controls it"
        hold = Hold(request.pod_uid, request.pod_namespace, request.pod_name, request.node)
        self.holds.open(hold)
        try:
            return await self._hold(hold, chaperon)
        except asyncio.CancelledError:
            # The scheduler hung up. Whoever asks next holds anew; until then nothing is reserved.
            if self.holds.close(hold):
                with contextlib.suppress(ApiError):
                    await asyncio.shield(self._unmark(hold))
            raise
        except ApiError as error:
            return str(error)
        finally:
            self.holds.close(hold)

    async def _chaperon_of(self, request: BindRequest) -> Chaperon | None:
        """Return the chaperon that controls the pod; read live where our watches are behind."""
        key = request.pod_namespace, request.pod_name
        chaperon, pod = self._chaperons.get(*key), self._pods.get(*key)
        if chaperon is None or pod is None or pod.uid != request.pod_uid:
            try:
                self._chaperons.upsert(await self._api.get(POD_CHAPERONS, key[1], key[0]))
                self._pods.upsert(await self._api.get(PODS, key[1], key[0]))
            except NotFound:
                return None
            chaperon, pod = self._chaperons.get(*key), self._pods.get(*key)
        if chaperon is None or pod is None or pod.uid != request.pod_uid or pod.owner_uid != chaperon.uid:
            return None
        return chaperon

    async def _hold(self, hold: Hold, chaperon: Chaperon) -> str:
        self._on_chaperon((hold.namespace, hold.name), chaperon)  # it may be allowed, or going, already
        if not hold.verdict.done():
            await self._mark(hold, chaperon)
        verdict = await self._verdict(hold)
        if verdict is Verdict.ALLOWED:
            return await self._go_ahead(hold)
        if verdict is not Verdict.SUPERSEDED:
            await self._give_up(hold)
        return str(verdict)

    async def _mark(self, hold: Hold, chaperon: Chaperon) -> None:
        """Mark it reserved for this pod, unless it is allowed meanwhile: then it may be for another pod."""
        marks = {names.IS_RESERVED: "true", names.NODE_NAME: hold.node_name, names.POD_UID: hold.pod_uid}
        try:
            for _ in range(_MARK_ATTEMPTS):
                with contextlib.suppress(Conflict):  # our watch is behind
                    return await self._put_on_record(chaperon, marks)
                self._chaperons.learn(await self._api.get(POD_CHAPERONS, chaperon.name, chaperon.namespace))
                current = self._chaperons.get(chaperon.namespace, chaperon.name)
                if current is None or current.uid != chaperon.uid:
                    return hold.end(Verdict.CHAPERON_GONE)
                self._on_chaperon((hold.namespace, hold.name), current)
                if hold.verdict.done():
                    return None
                chaperon = current
        except NotFound:
            return hold.end(Verdict.CHAPERON_GONE)
        raise Conflict(409, "Conflict", f"PodChaperon {chaperon.name} changes all the time")

    async def _put_on_record(self, chaperon: Chaperon, annotations: Mapping[str, str | None]) -> None:
        patch = record_patch(chaperon, annotations)
        self._chaperons.learn(await self._api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace))

    async def _verdict(self, hold: Hold) -> Verdict:
        """Wait; the deadline is short while others wait for room here."""
        started = asyncio.get_running_loop().time()
        while True:
            limit = self._deadlines.contended_seconds if self._others_wait(hold) else self._deadlines.quiet_seconds
            remaining = started + limit - asyncio.get_running_loop().time()
            if remaining <= 0:
                return Verdict.DEADLINE
            # Whether others wait may change meanwhile: look again at the shorter of the two deadlines.
            pause = min(remaining, max(self._deadlines.contended_seconds / 4, 0.05))
            done, _ = await asyncio.wait([hold.verdict], timeout=pause)
            if done:
                return hold.verdict.result()

    def _others_wait(self, hold: Hold) -> bool:
        return any(
            pod.is_unschedulable and not pod.is_terminating and pod.uid != hold.pod_uid
            for pod in self._pods.by("waiting", "unschedulable")
        )

    async def _go_ahead(self, hold: Hold) -> str:
        """Bind the pod that is on record, or put it there first; a pod that may have run is followed by no other."""
        chaperon = self._chaperons.get(hold.namespace, hold.name)
        step = next_step(chaperon, hold.pod_uid)
        if chaperon is None or step is Step.WITHDRAWN:
            await self._give_up(hold)
            return str(Verdict.CHAPERON_GONE)
        if step is Step.REFUSE:
            self.repeats += 1
            await self._give_up(hold)
            return f"it is allowed for pod {chaperon.pod_uid}, which may have run"
        if step is Step.RECORD:
            await self._put_on_record(chaperon, {names.POD_UID: hold.pod_uid})
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": hold.name, "namespace": hold.namespace, "uid": hold.pod_uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": hold.node_name},
        }
        await self._api.create(PODS, binding, hold.namespace, name=hold.name, subresource="binding")
        return ""

    async def _give_up(self, hold: Hold) -> None:
        """Delete the candidate (by uid) before the error is answered, and take the mark off."""
        logger.info("hold ended", pod=hold.name, namespace=hold.namespace, node=hold.node_name)
        with contextlib.suppress(NotFound, Conflict):
            await self._api.delete(PODS, hold.name, hold.namespace, uid=hold.pod_uid)
        await self._unmark(hold)

    async def _unmark(self, hold: Hold) -> None:
        chaperon = self._chaperons.get(hold.namespace, hold.name)
        if chaperon is not None and chaperon.is_marked_reserved and not chaperon.is_allowed:
            await unmark(self._api, chaperon)


async def unmark(api: Api, chaperon: Chaperon) -> None:
    """Take `is-reserved` off exactly this version of a chaperon: a newer hold's mark stays."""
    patch = {
        "metadata": {
            "uid": chaperon.uid,
            "resourceVersion": chaperon.resource_version,
            "annotations": {names.IS_RESERVED: None, names.NODE_NAME: None, names.POD_UID: None},
        }
    }
    with contextlib.suppress(NotFound, Conflict):
        await api.patch(POD_CHAPERONS, chaperon.name, patch, chaperon.namespace)
