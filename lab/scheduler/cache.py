"""What every node has room for, assumed pods included.

A pod is *assumed* on a node from the moment it was chosen until the watch shows it bound or its binding failed: that
is what keeps the next pod from taking the same room while a bind is held. The watch always wins over an assumption.
Terminal pods take nothing; terminating ones take their room until they are gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.scheduler.model import HostPort, Node, Pod
from lab.scheduler.requests import Resources, add

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # the wildcard in hostIP, nothing is bound


def clashes(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> bool:
    """Whether two sets of host ports collide; the wildcard address collides with every other."""
    return any(
        protocol == other_protocol and port == other_port and (address == other or _ANY_ADDRESS in (address, other))
        for address, protocol, port in wanted
        for other, other_protocol, other_port in taken
    )


@dataclass
class Place:
    """A node with the pods on it."""

    node: Node
    pods: dict[str, Pod] = field(default_factory=dict)  # by UID
    requested: Resources = field(default_factory=dict)
    scored: Resources = field(default_factory=dict)

    def take(self, pod: Pod) -> None:
        """Count a pod in."""
        self.pods[pod.uid] = pod
        self.requested = add(self.requested, pod.requests)
        self.scored = add(self.scored, pod.scored_requests)

    def give(self, uid: str) -> None:
        """Count a pod out."""
        pod = self.pods.pop(uid)
        self.requested = add(self.requested, {name: -amount for name, amount in pod.requests.items()})
        self.scored = add(self.scored, {name: -amount for name, amount in pod.scored_requests.items()})

    def without(self, uids: Iterable[str]) -> "Place":
        """Return a copy with some pods taken away, to try what preemption would give."""
        copy = Place(self.node, dict(self.pods), dict(self.requested), dict(self.scored))
        for uid in uids:
            copy.give(uid)
        return copy

    def with_pods(self, pods: Iterable[Pod]) -> "Place":
        """Return a copy with some pods more, to try what nominated ones leave."""
        copy = self.without(())
        for pod in pods:
            if pod.uid not in copy.pods:
                copy.take(pod)
        return copy

    def ports(self) -> list[HostPort]:
        """Return the host ports in use."""
        return [port for pod in self.pods.values() for port in pod.host_ports]


class Cache:
    """Nodes and the pods on them, from two watches and our own assumptions."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._where: dict[str, str] = {}  # UID -> node, also while that node is unknown
        self._pods: dict[str, Pod] = {}
        self._assumed: dict[str, bool] = {}  # UID -> whether its binding is still under way

    def set_node(self, name: str, node: Node | None) -> None:
        """Take in a node as it is now, or that it is gone."""
        if node is None:
            self.places.pop(name, None)
        elif name in self.places:
            self.places[name].node = node
        else:
            place = self.places[name] = Place(node)
            for uid, where in self._where.items():
                if where == name:
                    place.take(self._pods[uid])

    def set_pod(self, pod: Pod) -> None:
        """Take in a bound pod as it is now; replaces an assumption about it."""
        self._drop(pod.uid)
        self._assumed.pop(pod.uid, None)
        if pod.node_name and not pod.is_terminal:
            self._put(pod, pod.node_name)

    def remove_pod(self, uid: str) -> None:
        """Forget a pod that is gone, unless its binding is still under way: that one reports back itself."""
        if not self._assumed.get(uid):
            self._assumed.pop(uid, None)
            self._drop(uid)

    def assume(self, pod: Pod, node: str) -> None:
        """Hold the pod's room on a node."""
        self._drop(pod.uid)
        self._assumed[pod.uid] = True
        self._put(pod, node)

    def finish(self, uid: str) -> None:
        """Say that a binding succeeded; the room stays taken until the watch confirms it or says the pod is gone."""
        if uid in self._assumed:
            self._assumed[uid] = False

    def forget(self, uid: str) -> None:
        """Give an assumed pod's room back. A pod that was seen bound meanwhile keeps it."""
        if uid in self._assumed:
            del self._assumed[uid]
            self._drop(uid)

    def is_assumed(self, uid: str) -> bool:
        """Whether a binding of this pod is under way."""
        return uid in self._assumed

    def _put(self, pod: Pod, node: str) -> None:
        self._where[pod.uid] = node
        self._pods[pod.uid] = pod
        if place := self.places.get(node):
            place.take(pod)

    def _drop(self, uid: str) -> None:
        node = self._where.pop(uid, None)
        if node is None:
            return
        del self._pods[uid]
        if place := self.places.get(node):
            place.give(uid)
