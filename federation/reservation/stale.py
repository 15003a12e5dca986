"""Keeps `is-reserved` true to what is held: a mark without a hold and without a bound pod is taken off.

Needed at the extender's own start, when every mark is left over from a process that is gone, and when a candidate
vanishes while nobody holds it.
"""

from federation.kube.api import Api
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import TargetPod
from federation.reservation.extender import unmark
from federation.reservation.holds import Holds

Key = tuple[str, str]

_GRACE_SECONDS = 1.0  # a hold's own mark and its watch event may arrive in either order


class StaleMarks:
    """Reconciles chaperons by (namespace, name)."""

    def __init__(self, *, api: Api, chaperons: Store[Chaperon], pods: Store[TargetPod], holds: Holds) -> None:
        self._api = api
        self._chaperons = chaperons
        self._pods = pods
        self._holds = holds
        self._suspects: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Take off a mark that nothing stands behind, once it has been seen so twice."""
        chaperon = self._chaperons.get(*key)
        if chaperon is None or not self._is_stale(key, chaperon):
            self._suspects.pop(key, None)
            return None
        if self._suspects.get(key) != chaperon.resource_version:
            self._suspects[key] = chaperon.resource_version
            return _GRACE_SECONDS
        del self._suspects[key]
        await unmark(self._api, chaperon)
        return None

    def _is_stale(self, key: Key, chaperon: Chaperon) -> bool:
        if not chaperon.is_marked_reserved or chaperon.is_allowed or self._holds.of(*key):
            return False
        pod = self._pods.get(*key)
        return pod is None or not pod.node_name
