"""Events of the controllers. Nothing depends on them: one that cannot be written is logged and forgotten."""

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

from loguru import logger

from federation.kube.api import Api, Manifest
from federation.kube.errors import ApiError
from federation.kube.resources import EVENTS
from lab.controllers.objects import timestamp

_MESSAGE_LENGTH_MAX = 1024  # the API server refuses longer ones


class Recorder:
    """Writes Events as one component, such as `job-controller`."""

    def __init__(self, api: Api, component: str, now: Callable[[], datetime]) -> None:
        self._api = api
        self._component = component
        self._now = now

    async def record(
        self, about: Manifest, api_version: str, kind: str, *, reason: str, message: str, is_warning: bool = False
    ) -> None:
        """Record one Event about an object of this kind."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        moment = timestamp(self._now())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200]}.{uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": api_version,
                "kind": kind,
                "name": metadata["name"],
                "uid": metadata["uid"],
                **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
            },
            "type": "Warning" if is_warning else "Normal",
            "reason": reason,
            "message": message[:_MESSAGE_LENGTH_MAX],
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            await self._api.create(EVENTS, event)
        except ApiError as error:
            logger.debug("event not written", about=metadata["name"], reason=reason, error=str(error))
