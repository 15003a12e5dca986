"""Events on the objects users look at: one per change of reason, not per reconcile.

Best effort: an Event that cannot be written is logged and forgotten; nothing depends on it.
"""

import hashlib
from typing import Literal

from loguru import logger

from federation.clock import Clock
from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import EVENTS
from federation.model.times import format_time


async def record(
    api: Api,
    clock: Clock,
    *,
    namespace: str,
    kind: str,
    name: str,
    uid: str,
    api_version: str,
    reason: str,
    message: str,
    level: Literal["Normal", "Warning"] = "Normal",
) -> None:
    """Write one Event about an object (`namespace` is empty for cluster-scoped ones: their Events go to default)."""
    now = format_time(clock())
    digest = hashlib.sha256(f"{uid}{reason}{message}{now}".encode()).hexdigest()[:16]
    home = namespace or "default"
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:230]}.{digest}", "namespace": home},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": kind,
            "name": name,
            "uid": uid,
            **({"namespace": namespace} if namespace else {}),
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
