"""Events on the objects users look at: one per change of reason, not per reconcile.

Best effort: an Event that cannot be written is logged and forgotten; nothing depends on it.
"""

import hashlib
from typing import Literal, Protocol

from loguru import logger

from federation.clock import Clock
from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import EVENTS, Resource
from federation.model.times import format_time


class Named(Protocol):
    """An object to speak of; one that is cluster-scoped has an empty namespace."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...


async def record(
    api: Api,
    clock: Clock,
    resource: Resource,
    about: Named,
    reason: str,
    message: str,
    level: Literal["Normal", "Warning"] = "Warning",
) -> None:
    """Write one Event about an object of this kind; those about cluster-scoped ones go to the namespace default."""
    now = format_time(clock())
    digest = hashlib.sha256(f"{about.uid}{reason}{message}{now}".encode()).hexdigest()[:16]
    home = about.namespace or "default"
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about.name[:230]}.{digest}", "namespace": home},
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "name": about.name,
            "uid": about.uid,
            **({"namespace": about.namespace} if about.namespace else {}),
        },
        "reason": reason,
        "message": message[:1024],
        "type": level,
        "source": {"component": "isthmus"},
        "reportingComponent": "isthmus.dev/agent",
        "firstTimestamp": now[:19] + "Z",
        "lastTimestamp": now[:19] + "Z",
        "count": 1,
    }
    try:
        await api.create(EVENTS, event, home)
    except ApiError as error:
        logger.debug("an Event could not be written", reason=reason, error=str(error)[:200])
