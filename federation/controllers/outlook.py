"""What may be believed of targets, for whoever decides: one answer for all controllers.

A Target without a connection (no kubeconfig, or not yet connected) is as good as unreachable, never as if it were
gone: what it holds is still there.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from federation.clock import Clock
from federation.controllers.census import Census
from federation.controllers.connection import Connection
from federation.controllers.connections import Connections
from federation.decisions.ending import Remains, lost_in_seconds
from federation.decisions.intents import TargetView
from federation.decisions.trust import Doubt, doubt, is_accepted
from federation.model.target import Target


class Outlook:
    """Ask by Target. `is_recorded(target)`: what it may leave behind is on record (rule M7)."""

    def __init__(self, *, connections: Connections, census: Census, clock: Clock, lost_after: timedelta) -> None:
        self._connections = connections
        self._census = census
        self._clock = clock
        self._lost_after = lost_after
        self._away: dict[str, datetime] = {}  # by uid of Targets that are being deleted
        self.is_recorded: Callable[[Target], bool] = lambda _: False

    def begin_term(self) -> None:
        """Forget since when targets were away: they may have answered while another replica led."""
        self._away.clear()

    def connection(self, target: Target) -> Connection | None:
        """Return the target's live connection."""
        return self._connections.get(target.key)

    def doubt(self, target: Target) -> Doubt | None:
        """Return why a target that answers is not believed (rule S4), also where a person has accepted the loss."""
        connection = self.connection(target)
        if connection is None:
            return None
        is_counted = connection.chaperons.synced.is_set() and not connection.chaperons.trouble
        missing, expected = self._census.count(target.node_name) if is_counted else (0, 0)
        return doubt(target, connection.cluster_id, missing, expected)

    def trouble(self, target: Target) -> str:
        """Return why nothing in a target can be believed or written right now; empty where all is well."""
        connection = self.connection(target)
        if connection is None:
            return self._connections.problems.get(target.key) or "not connected yet"
        if connection.trouble or target.is_going or is_accepted(target):
            return connection.trouble
        found = self.doubt(target)
        return found.message if found else ""

    def remains(self, target: Target, *, proxies: int, has_node: bool) -> Remains:
        """Return what is left of a Target that is being deleted."""
        assert target.deleted_at is not None
        connection = self.connection(target)
        away_since = self._away_since(target, connection)
        chaperons = len(connection.chaperons) if connection is not None else 0
        recorded = self.is_recorded(target)
        return Remains(
            target.deleted_at, away_since, proxies, chaperons, has_node, recorded, was_met=bool(target.cluster_id)
        )

    def _away_since(self, target: Target, connection: Connection | None) -> datetime | None:
        """Return since when we know that a target cannot be reached: an agent that starts waits as long again."""
        if not self.trouble(target):
            self._away.pop(target.uid, None)
            return None
        if connection is not None and not connection.pulse.is_reachable:
            return connection.pulse.since
        return self._away.setdefault(target.uid, self._clock())

    def is_lost(self, target: Target) -> bool:
        """Whether a Target that is being deleted is given up, and what stays behind is on record."""
        if not target.is_going or not self.is_recorded(target):
            return False
        wait = lost_in_seconds(self.remains(target, proxies=0, has_node=False), self._clock(), self._lost_after)
        return wait is not None and wait <= 0

    def seen(self, view: TargetView, target: Target) -> TargetView:
        """Return a proxy's view of a target with what is to be believed of it."""
        connection = self.connection(target)
        return replace(
            view,
            trouble=self.trouble(target),
            is_unread=connection.is_unread if connection is not None else self._is_awaited(target),
            is_going=target.is_going,
            is_lost=self.is_lost(target),
            settle_seconds=self._census.settle_seconds(target.node_name),
        )

    def unconnected(self, target: Target) -> TargetView:
        """Return the view of a target that has no connection."""
        return self.seen(TargetView(target.name, target.node_name, target.finalizer, "", "", ()), target)

    def _is_awaited(self, target: Target) -> bool:
        return target.key not in self._connections.problems and not target.is_going
