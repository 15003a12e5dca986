"""Wires what follows proxies into the targets: ConfigMaps and Secrets kept up to date, Services, Ingresses."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from federation.clock import Clock
from federation.controllers.config_copies import (
    RESOURCES,
    ConfigCopies,
    ConfigKey,
    reference_index,
    reference_keys,
)
from federation.controllers.connection import Connection
from federation.controllers.follow_rule import World
from federation.controllers.follower import Follower
from federation.controllers.services import IngressRule, ServiceRule
from federation.decisions import services
from federation.decisions.ingresses import backends
from federation.kube.api import Api
from federation.kube.resources import INGRESSES, SERVICES
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import MayWork, Workqueue, always, run_all
from federation.model.copied import Original, parse_original
from federation.model.pod import ProxyPod
from federation.model.references import Kind
from federation.model.target import Target

_IN_NAMESPACE = {"namespace": lambda original: [original.namespace]}


def _version(manifest: dict[str, dict[str, str]]) -> str:
    return manifest["metadata"]["resourceVersion"]


@dataclass(slots=True)
class WhatFollows:
    """Stores, queues and reconcilers. Every replica follows; lead once the pods and targets have been read."""

    api: Api
    cluster_name: str
    clock: Clock
    pods: Store[ProxyPod]  # as `proxy_store` makes it
    targets: Callable[[], list[Target]]  # but for those that are given up
    trouble: Callable[[Target], str]
    connections: Callable[[], list[Connection]]
    is_labelled: Callable[[str], bool]
    is_let_out: Callable[[str], bool]
    workers: int
    own_config_names: frozenset[str] = frozenset()
    go_on: Callable[[Key], None] = lambda key: None  # place a proxy that waited for its configuration (rule T6)
    services: Store[Original] = field(default_factory=lambda: Store(parse_original, _IN_NAMESPACE))
    ingresses: Store[Original] = field(default_factory=lambda: Store(parse_original, _IN_NAMESPACE))
    versions: dict[Kind, Store[str]] = field(default_factory=lambda: {kind: Store(_version) for kind in RESOURCES})
    _services: Workqueue[Key] = field(init=False)
    _ingresses: Workqueue[Key] = field(init=False)
    _configs: Workqueue[ConfigKey] = field(init=False)

    def __post_init__(self) -> None:
        """Build the reconcilers and their queues."""
        service = Follower(self._world(self.services), ServiceRule(self.pods, self.is_labelled, self.is_let_out))
        ingress = Follower(self._world(self.ingresses), IngressRule(self.services, self.is_let_out))
        config = ConfigCopies(
            api=self.api, pods=self.pods, connections=self.connections, own_names=self.own_config_names
        )
        workers = self.workers
        self._services = Workqueue(
            "services", service.reconcile, workers=workers, everything=lambda: self._add_services(self._services)
        )
        self._ingresses = Workqueue(
            "ingresses", ingress.reconcile, workers=workers, everything=lambda: self._add_services(self._ingresses)
        )
        config.again = lambda key, after: self._configs.add(key, after=after)
        service.again = lambda key, after: self._services.add(key, after=after)
        ingress.again = lambda key, after: self._ingresses.add(key, after=after)
        self._configs = Workqueue("configuration", config.reconcile, workers=workers, everything=self._add_all_configs)
        self.api.on_back += [queue.retry_failed for queue in (self._services, self._ingresses)]
        self.api.on_back.append(self._configs.retry_failed)
        self._subscribe()

    def _subscribe(self) -> None:
        self.services.subscribe(self._on_service)
        self.ingresses.subscribe(lambda key, old, new: self._ingresses.add(key))
        self.pods.subscribe(self._on_pod)
        for kind, store in self.versions.items():
            store.subscribe(lambda key, old, new, kind=kind: self._on_config(kind, key, old, new))  # type: ignore[misc]

    def _world(self, originals: Store[Original]) -> World:
        return World(self.api, self.cluster_name, originals, self.targets, self.trouble, self.connections, self.clock)

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Follow in `group` what may have to follow, on every replica."""
        group.create_task(follow(self.api, SERVICES, self.services))
        group.create_task(follow(self.api, INGRESSES, self.ingresses))
        for kind, store in self.versions.items():
            group.create_task(follow(self.api, RESOURCES[kind], store, is_metadata_only=True))

    async def lead(self, may_work: MayWork = always) -> None:
        """Look at all of it, and again whenever anything changes, until cancelled."""
        await asyncio.gather(self.services.synced.wait(), self.ingresses.synced.wait())
        await run_all((self._services, self._ingresses, self._configs), may_work)

    def wake_by(self, connection: Connection) -> None:
        """Look again when a copy in this target, or the target's pulse, changes."""
        for plural, queue in ((SERVICES.plural, self._services), (INGRESSES.plural, self._ingresses)):
            connection.copies[plural].subscribe(_adder(queue))
        before = connection.on_change

        def on_change() -> None:
            before()
            self.look_at_all(connection.target.namespace)
            for pod in self.pods.values():
                if pod.node_name == connection.target.node_name:
                    self._add_configs(pod)

        connection.on_change = on_change

    def look_at_all(self, namespace: str = "") -> None:
        """Look at every Service and Ingress of a namespace, or of all."""
        for store, queue in ((self.services, self._services), (self.ingresses, self._ingresses)):
            for key in [(original.namespace, original.name) for original in store.values()]:
                if namespace in ("", key[0]):
                    queue.add(key)

    def _add_services(self, queue: Workqueue[Key]) -> None:
        """Look at every original of a queue's kind, and at every copy that may have lost its own."""
        store, plural = (
            (self.services, SERVICES.plural) if queue is self._services else (self.ingresses, INGRESSES.plural)
        )
        store.tell(_adder(queue))
        for connection in self.connections():
            connection.copies[plural].tell(_adder(queue))

    def _add_all_configs(self) -> None:
        for kind, store in self.versions.items():
            store.tell(lambda key, old, new, kind=kind: self._on_config(kind, key, old, new))  # type: ignore[misc]

    def held_by(self, target: Target) -> int:
        """Return how many Services and Ingresses carry a target's finalizer."""
        return sum(
            target.finalizer in found.finalizers
            for store in (self.services, self.ingresses)
            for found in store.values()
        )

    def _on_service(self, key: Key, old: Original | None, new: Original | None) -> None:
        self._services.add(key)
        for ingress in self.ingresses.by("namespace", key[0]):
            if key[1] in backends(ingress.manifest):
                self._ingresses.add((ingress.namespace, ingress.name))

    def _on_pod(self, key: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        if old is not None and new is not None and old.labels == new.labels:
            return
        for service in self.services.by("namespace", key[0]):
            selector = services.original_selector(service)
            if any(pod is not None and services.selects(selector, pod.labels) for pod in (old, new)):
                self._services.add((service.namespace, service.name))

    def _on_config(self, kind: Kind, key: Key, old: str | None, new: str | None) -> None:
        pods = self.pods.by("reference", reference_index(kind, *key))
        if new is None or new == old or not pods:
            return
        self._configs.add((kind, *key))
        for pod in pods if old is None else []:
            if pod.node_name and pod.waiting_message:
                self.go_on((pod.namespace, pod.name))

    def _add_configs(self, pod: ProxyPod) -> None:
        for key in reference_keys(pod):
            self._configs.add(key)


def _adder(queue: Workqueue[Key]) -> Callable[[Key, object, object], None]:
    return lambda key, old, new: queue.add(key)
