"""The cluster as four watches show it, and what each change means for waiting pods.

Feeds the cache (who takes room where) and the queue (who waits); knows which filters a kind of change could please,
so that a heartbeat wakes nobody. Nothing here writes to the API server.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from federation.kube.api import Api, Manifest
from federation.kube.resources import NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.scheduler.cache import Cache, Place
from lab.scheduler.model import Node, Pod
from lab.scheduler.queue import SchedulingQueue

_FREED = ("NodeResourcesFit", "NodePorts", "InterPodAffinity", "PodTopologySpread")
_PLACED = ("InterPodAffinity", "PodTopologySpread")


def _namespace_labels(manifest: Manifest) -> Mapping[str, str]:
    return manifest["metadata"].get("labels") or {}


class Cluster:
    """Stores, cache and queue of one scheduler; `clock` gives seconds that only grow."""

    def __init__(self, scheduler_names: Collection[str], clock: Callable[[], float]) -> None:
        self.cache = Cache()
        self.queue = SchedulingQueue()
        self.pods: Store[Pod] = Store(Pod)
        self.nodes: Store[Node] = Store(Node)
        self.namespaces: Store[Mapping[str, str]] = Store(_namespace_labels)
        self.claims: Store[str] = Store(lambda manifest: str(manifest["metadata"]["uid"]))
        self.changed = asyncio.Event()
        self._names = set(scheduler_names)
        self._clock = clock
        self._nominated: dict[str, tuple[str, Pod]] = {}
        self.pods.subscribe(self._pod_changed)
        self.nodes.subscribe(self._node_changed)
        self.claims.subscribe(lambda *_: self.wake(("VolumeBinding",)))
        self.namespaces.subscribe(self._namespace_changed)

    async def follow(self, api: Api) -> None:
        """Keep current until cancelled."""
        async with asyncio.TaskGroup() as group:
            # Nodes first: a pod that is looked at before any node is known would get a misleading event.
            group.create_task(follow(api, NODES, self.nodes))
            group.create_task(follow(api, NAMESPACES, self.namespaces))
            group.create_task(follow(api, PERSISTENT_VOLUME_CLAIMS, self.claims))
            group.create_task(follow(api, PODS, self.pods))

    async def synced(self) -> None:
        """Wait until everything has been listed once."""
        for store in (self.nodes, self.namespaces, self.claims, self.pods):
            await store.synced.wait()

    def wake(self, rejectors: Collection[str] | None) -> None:
        """Let sleeping pods that these filters refused try again; None means all."""
        self.queue.move(self._clock(), rejectors)
        self.changed.set()

    def freed(self) -> None:
        """Say that room was given back."""
        self.wake(_FREED)

    def is_waiting(self, pod: Pod) -> bool:
        """Whether the pod, as the store has it now, still needs a node from us."""
        live = self.pods.get(*pod.key)
        return live is not None and live.uid == pod.uid and self._wants_node(live)

    def nominate(self, pod: Pod, node: str) -> None:
        """Keep room on a node for a pod that preempts there; an empty node takes that back."""
        self._nominated.pop(pod.uid, None)
        if node:
            self._nominated[pod.uid] = (node, pod)

    def place_for(self, pod: Pod, place: Place) -> Place:
        """Return a node with the pods nominated to it that matter at least as much as `pod` counted in."""
        ahead = [
            other
            for node, other in self._nominated.values()
            if node == place.node.name and other.uid != pod.uid and other.priority >= pod.priority
        ]
        return place.with_pods(ahead) if ahead else place

    def _wants_node(self, pod: Pod) -> bool:
        is_ours = (pod.spec.get("schedulerName") or "default-scheduler") in self._names
        return is_ours and not (pod.node_name or pod.is_gated or pod.is_terminating or pod.is_terminal)

    def _pod_changed(self, _key: tuple[str, str], old: Pod | None, new: Pod | None) -> None:
        if old and (not new or new.uid != old.uid):
            self._pod_gone(old)
            old = None
        if not new:
            return
        if new.node_name or new.is_terminal:
            self._pod_placed(old, new)
        elif self._wants_node(new):
            if node := new.status.get("nominatedNodeName"):
                self.nominate(new, node)
            self.queue.add(new, self._clock())
            self.changed.set()
        else:
            self.queue.remove(new.uid)
            self.nominate(new, "")

    def _pod_gone(self, pod: Pod) -> None:
        self.queue.remove(pod.uid)
        self.nominate(pod, "")
        self.cache.remove_pod(pod.uid)
        if pod.node_name:
            self.freed()

    def _pod_placed(self, old: Pod | None, new: Pod) -> None:
        self.queue.remove(new.uid)
        self.nominate(new, "")
        self.cache.set_pod(new)
        if new.is_terminal and old and not old.is_terminal:
            self.freed()
        elif not old or not old.node_name or old.labels != new.labels:
            self.wake(_PLACED)

    def _node_changed(self, key: tuple[str, str], old: Node | None, new: Node | None) -> None:
        self.cache.set_node(key[1], new)
        if new and (old is None or new.differs(old)):
            self.wake(None)

    def _namespace_changed(
        self, _key: tuple[str, str], old: Mapping[str, str] | None, new: Mapping[str, str] | None
    ) -> None:
        if old != new:
            self.wake(("InterPodAffinity",))
