"""Counts, for each virtual node, the pods that may have run there, and those of them without a chaperon (rule S4).

Kept up to date pod by pod, because it is asked for with every decision. A pod that has ended, is being deleted or was
said to be about to end (DisruptionTarget) is not expected to have a chaperon.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.decisions.trust import SETTLE, has_lost_too_much
from federation.kube.store import Key, Store
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod

Count = tuple[int, int]


class Census:
    """Ask with `count` and `settle_seconds`; `on_doubt(node)` is called when a node lost too much, or no longer."""

    def __init__(self, pods: Store[ProxyPod], clock: Clock) -> None:
        self._pods = pods
        self._clock = clock
        self._expected: dict[str, dict[str, Key]] = defaultdict(dict)  # node -> uid -> pod
        self._missing: dict[str, dict[str, datetime]] = defaultdict(dict)  # node -> uid -> since
        self._chaperons: dict[str, Store[Chaperon]] = {}
        self.on_doubt: Callable[[str], None] = lambda _: None
        pods.subscribe(self._on_pod)

    def follow(self, connection: Connection) -> None:
        """Count by what this connection knows of its target."""
        node = connection.target.node_name
        self._chaperons[node] = connection.chaperons

        def on_chaperon(_: Key, old: Chaperon | None, new: Chaperon | None) -> None:
            chaperon = new or old
            if chaperon is not None and self._chaperons.get(node) is connection.chaperons:
                self._look(node, chaperon.parent_uid)

        connection.chaperons.subscribe(on_chaperon)
        for uid in list(self._expected[node]):
            self._look(node, uid)

    def count(self, node: str) -> Count:
        """Return how many are missing, and how many are expected in all."""
        return len(self._missing[node]), len(self._expected[node])

    def settle_seconds(self, node: str) -> float:
        """Return how long to wait for more to vanish; 0 where nothing did just now."""
        last = max(self._missing[node].values(), default=None)
        return max((last + SETTLE - self._clock()).total_seconds(), 0.0) if last is not None else 0.0

    def _on_pod(self, key: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        if old is not None and (new is None or new.uid != old.uid or new.node_name != old.node_name):
            self._forget(old.node_name, old.uid)
        if new is None or not new.node_name:
            return
        may_have_run = new.has_started or bool(new.reserved(new.node_name))
        if may_have_run and not (new.is_finished or new.is_terminating or new.disruption):
            self._expected[new.node_name][new.uid] = key
            self._look(new.node_name, new.uid)
        else:
            self._forget(new.node_name, new.uid)

    def _look(self, node: str, uid: str) -> None:
        key, chaperons = self._expected[node].get(uid), self._chaperons.get(node)
        if key is None or chaperons is None:
            return
        before = has_lost_too_much(*self.count(node))
        if any(chaperon.parent_uid == uid for chaperon in chaperons.by("parent", f"{key[0]}/{key[1]}")):
            self._missing[node].pop(uid, None)
        else:
            self._missing[node].setdefault(uid, self._clock())
        self._tell(node, before)

    def _forget(self, node: str, uid: str) -> None:
        if not node or uid not in self._expected[node]:
            return
        before = has_lost_too_much(*self.count(node))
        self._expected[node].pop(uid, None)
        self._missing[node].pop(uid, None)
        self._tell(node, before)

    def _tell(self, node: str, before: bool) -> None:
        if has_lost_too_much(*self.count(node)) != before:
            self.on_doubt(node)
