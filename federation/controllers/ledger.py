"""How much of each target's room is taken, kept up by each change instead of counted anew."""

from collections.abc import Mapping

from federation.model.quantity import Amounts


class Ledger:
    """What is taken of each target's room: by proxies bound there, and by those that asked there."""

    def __init__(self) -> None:
        self._totals: dict[str, dict[str, int]] = {}
        self._entries: dict[str, tuple[set[str], Amounts]] = {}

    def of(self, node_name: str, *, but: str = "") -> Mapping[str, int]:
        """Return what is taken of a target, without what one pod takes itself."""
        totals = self._totals.get(node_name, {})
        nodes, requests = self._entries.get(but, (set(), {}))
        if node_name not in nodes:
            return totals
        return {name: value - requests.get(name, 0) for name, value in totals.items()}

    def add(self, uid: str, node_name: str, requests: Amounts) -> None:
        """Count a pod at one more target."""
        nodes, known = self._entries.setdefault(uid, (set(), dict(requests)))
        if node_name not in nodes:
            nodes.add(node_name)
            self._change(node_name, known, 1)

    def remove(self, uid: str, node_name: str) -> None:
        """Count a pod at one target less."""
        nodes, requests = self._entries.get(uid, (set(), {}))
        if node_name in nodes:
            nodes.discard(node_name)
            self._change(node_name, requests, -1)
        if not nodes:
            self._entries.pop(uid, None)

    def settle(self, uid: str, node_name: str, requests: Amounts) -> None:
        """Count a pod at this target only; with an empty name, nowhere."""
        nodes, known = self._entries.get(uid, (set(), {}))
        if node_name and nodes == {node_name} and known == requests:
            return
        for node in list(nodes):
            self.remove(uid, node)
        if node_name:
            self.add(uid, node_name, requests)

    def _change(self, node_name: str, requests: Amounts, sign: int) -> None:
        totals = self._totals.setdefault(node_name, {})
        for name, value in requests.items():
            totals[name] = totals.get(name, 0) + sign * value
