"""What people get to see: the PodScheduled condition and Events, in upstream's words.

Nothing depends on these writes: one that fails is logged and forgotten. The same Event again raises a count instead of
making another object.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from loguru import logger

from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError, NotFound
from federation.kube.resources import EVENTS, PODS
from lab.scheduler.model import Pod

_NOTE_LENGTH_MAX = 1024  # the API server refuses longer ones
_REMEMBERED_EVENTS = 2000  # beyond it the oldest is counted anew; about 1 MB


def timestamp(moment: datetime) -> str:
    """Return a time as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_condition(pod: Pod, condition: Manifest, now: datetime) -> Manifest | None:
    """Return the condition as it is to be written, or None where the pod has it already."""
    kind = condition["type"]
    old: Manifest = next((one for one in pod.status.get("conditions") or [] if one["type"] == kind), {})
    if generation := pod.metadata.get("generation"):
        condition = condition | {"observedGeneration": generation}
    if all(old.get(field) == value for field, value in condition.items()):
        return None
    is_same_status = old.get("status") == condition["status"]
    since = old.get("lastTransitionTime") if is_same_status else timestamp(now)
    return condition | {"lastTransitionTime": since or timestamp(now)}


class Reports:
    """Writes conditions and Events for the pods of one scheduler process."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api = api
        self._now = now
        self._events: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    async def refused(self, pod: Pod, reason: str, message: str, nominated: str | None) -> None:
        """Say that a pod got no node (reason Unschedulable or SchedulerError); `nominated` None leaves that field."""
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        await self.event(pod, "Warning", "FailedScheduling", "Scheduling", message)
        await self.status(pod, condition, nominated)

    async def bound(self, pod: Pod, node: str) -> None:
        """Say that a pod got a node; its condition is the API server's work."""
        text = f"Successfully assigned {pod.key[0]}/{pod.key[1]} to {node}"
        await self.event(pod, "Normal", "Scheduled", "Binding", text)

    async def status(self, pod: Pod, condition: Manifest, nominated: str | None = None) -> None:
        """Patch one condition, and nominatedNodeName where given (empty clears it), if that changes anything."""
        status: Manifest = {}
        if written := set_condition(pod, condition, self._now()):
            status["conditions"] = [written]
        if nominated is not None and nominated != (pod.status.get("nominatedNodeName") or ""):
            status["nominatedNodeName"] = nominated or None
        if not status:
            return
        namespace, name = pod.key
        body = {"metadata": {"uid": pod.uid}, "status": status}
        try:
            await self._api.patch(PODS, name, body, namespace, subresource="status", kind="strategic")
        except ApiError as error:
            logger.debug("status of a pod not written", pod=f"{namespace}/{name}", error=str(error))

    async def event(self, pod: Pod, kind: str, reason: str, action: str, message: str) -> None:
        """Record an Event about a pod."""
        if len(message) > _NOTE_LENGTH_MAX:
            message = message[: _NOTE_LENGTH_MAX - 4] + " ..."
        key = (pod.uid, reason, message)
        try:
            if key in self._events and await self._count(pod, key):
                return
            name = f"{pod.key[1][:200]}.{uuid4().hex[:16]}"
            self._events[key] = (name, 1)
            await self._api.create(EVENTS, self._event(name, pod, kind, reason, action, message))
        except ApiError as error:
            logger.debug("event not written", pod="/".join(pod.key), error=str(error))
        while len(self._events) > _REMEMBERED_EVENTS:
            self._events.popitem(last=False)

    async def _count(self, pod: Pod, key: tuple[str, ...]) -> bool:
        name, count = self._events[key]
        self._events[key] = (name, count + 1)
        body = {"count": count + 1, "lastTimestamp": timestamp(self._now())}
        try:
            await self._api.patch(EVENTS, name, body, pod.key[0])
        except NotFound:
            return False
        return True

    def _event(self, name: str, pod: Pod, kind: str, reason: str, action: str, message: str) -> Manifest:
        component = pod.spec.get("schedulerName") or "default-scheduler"
        about = {"kind": "Pod", "apiVersion": "v1", "namespace": pod.key[0], "name": pod.key[1], "uid": pod.uid}
        moment = timestamp(self._now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pod.key[0]},
            "involvedObject": about | {"resourceVersion": pod.metadata.get("resourceVersion", "")},
            "type": kind,
            "reason": reason,
            "action": action,
            "message": message,
            "source": {"component": component},
            "reportingComponent": component,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
