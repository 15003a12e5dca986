"""Tells people what happened to a pod, as Events; the same thing again raises the count of the first.

Events never hold up what they are about: they are queued, and dropped where the queue is full.
"""

import asyncio
import secrets
from datetime import UTC, datetime

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import EVENTS
from lab.kubelet.records import Manifest, write_time

QUEUE_MAX = 1000  # a burst of 200 pods makes about 600
KNOWN_MAX = 2000

_Key = tuple[str, str, str, str]


class Recorder:
    """Sends the events of one node."""

    def __init__(self, api: Api, node: str) -> None:
        self._api, self._node = api, node
        self._queue: asyncio.Queue[tuple[_Key, Manifest]] = asyncio.Queue(QUEUE_MAX)
        self._known: dict[_Key, tuple[str, int]] = {}

    def emit(self, pod: Manifest, type_: str, reason: str, message: str, container: str = "") -> None:
        """Say of the pod (of one container of it) what happened; `type_` is Normal or Warning."""
        metadata = pod["metadata"]
        involved = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        if container:
            involved["fieldPath"] = f"spec.containers{{{container}}}"
        event = {"type": type_, "reason": reason, "message": message[:1024], "involvedObject": involved}
        key = (metadata["uid"], container, reason, message)
        try:
            self._queue.put_nowait((key, event))
        except asyncio.QueueFull:
            logger.debug("event dropped", reason=reason, pod=metadata["name"])

    async def run(self) -> None:
        """Send events for ever."""
        while True:
            key, event = await self._queue.get()
            try:
                await self._send(key, event)
            except ApiError as error:
                logger.debug("event not sent", reason=event["reason"], error=str(error)[:200])

    async def _send(self, key: _Key, event: Manifest) -> None:
        now = write_time(datetime.now(UTC))
        namespace = event["involvedObject"]["namespace"]
        if key in self._known:
            name, count = self._known[key]
            self._known[key] = (name, count + 1)
            await self._api.patch(EVENTS, name, {"count": count + 1, "lastTimestamp": now}, namespace)
            return
        name = f"{event['involvedObject']['name']}.{secrets.token_hex(8)}"
        if len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (name, 1)
        source = {"component": "kubelet", "host": self._node}
        times = {"firstTimestamp": now, "lastTimestamp": now, "count": 1}
        reporter = {"reportingComponent": "kubelet", "reportingInstance": self._node}
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "source": source} | times | reporter | event
        await self._api.create(EVENTS, body, namespace)
