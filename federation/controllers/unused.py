"""Remembers which chaperons were seen to go without ever having been allowed (rule S7).

It is evidence that nothing ran, and may be lost at any time: without it a pod is said to have run perhaps, and ends,
where it could have been asked for again. What is missing from a list proves nothing, only a deletion that the watch
tells does: its last state is then known.
"""

from federation.controllers.connection import Connection
from federation.kube.store import Key
from federation.model.chaperon import Chaperon

_KEPT = 10_000  # losing candidates are among them: a burst's worth


class Unused:
    """Ask by uid."""

    def __init__(self) -> None:
        self._uids: dict[str, None] = {}  # oldest first

    def follow(self, connection: Connection) -> None:
        """Learn from a target's chaperons."""
        connection.chaperons.subscribe(self._on_chaperon)
        connection.chaperons.subscribe_to_ends(self._on_end)

    def has(self, uid: str) -> bool:
        """Whether a chaperon went, and was never allowed."""
        return uid in self._uids

    def _on_chaperon(self, _: Key, __: Chaperon | None, new: Chaperon | None) -> None:
        if new is not None:  # it is there (again): its labels were edited, perhaps
            self._uids.pop(new.uid, None)

    def _on_end(self, _: Key, last: Chaperon) -> None:
        if last.is_allowed:
            return
        self._uids[last.uid] = None
        while len(self._uids) > _KEPT:
            del self._uids[next(iter(self._uids))]
