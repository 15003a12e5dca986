"""One hold per pod UID; the newest call wins (rule M3).

A hold is a kube-scheduler's bind request that has not been answered: as long as it is open, the scheduler counts the
node's room as taken by this pod. kube-scheduler's death does not close it by itself, and its successor asks again.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What ended a hold."""

    ALLOWED = "allowed"
    CHAPERON_GONE = "its PodChaperon was withdrawn"
    POD_GONE = "the pod was deleted or preempted"
    DEADLINE = "not allowed before the hold's deadline"
    SUPERSEDED = "a newer bind request for the same pod took over"


@dataclass(slots=True)
class Hold:
    """A candidate waiting with its node held."""

    pod_uid: str
    namespace: str
    name: str
    node_name: str
    verdict: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, verdict: Verdict) -> None:
        """End the hold; the first verdict stands."""
        if not self.verdict.done():
            self.verdict.set_result(verdict)


class Holds:
    """The open holds, by pod UID and by the chaperon's (and so the pod's) namespace and name."""

    def __init__(self) -> None:
        self._by_uid: dict[str, Hold] = {}
        self._by_name: dict[tuple[str, str], dict[str, Hold]] = {}

    def __len__(self) -> int:
        return len(self._by_uid)

    def open(self, hold: Hold) -> None:
        """Register a hold; an older one for the same pod ends as superseded."""
        if older := self._by_uid.get(hold.pod_uid):
            older.end(Verdict.SUPERSEDED)
        self._by_uid[hold.pod_uid] = hold
        self._by_name.setdefault((hold.namespace, hold.name), {})[hold.pod_uid] = hold

    def close(self, hold: Hold) -> bool:
        """Forget a hold; returns whether it was still the newest of its pod."""
        if self._by_uid.get(hold.pod_uid) is hold:
            del self._by_uid[hold.pod_uid]
            alike = self._by_name[hold.namespace, hold.name]
            del alike[hold.pod_uid]
            if not alike:
                del self._by_name[hold.namespace, hold.name]
            return True
        return False

    def of(self, namespace: str, name: str) -> list[Hold]:
        """Return the open holds of a pod name."""
        return list(self._by_name.get((namespace, name), {}).values())

    def has(self, pod_uid: str) -> bool:
        """Whether a pod is held."""
        return pod_uid in self._by_uid
