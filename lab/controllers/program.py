"""All controllers of one cluster on shared stores: the one place that says which change concerns whom."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loguru import logger

from federation.kube.api import Api
from federation.kube.resources import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from lab.controllers.cluster_roles import ClusterRoleAggregation
from lab.controllers.daemon_set import DaemonSetController
from lab.controllers.deployment import DeploymentController
from lab.controllers.expectations import Expectations
from lab.controllers.garbage import GarbageCollector
from lab.controllers.job import JobController, OrphanedPods
from lab.controllers.job_rules import is_tracked
from lab.controllers.namespaces import NamespaceController
from lab.controllers.node_lifecycle import NodeLifecycle
from lab.controllers.node_rules import readiness
from lab.controllers.objects import controller_of, controller_uids
from lab.controllers.pod_garbage import PodGarbage
from lab.controllers.recorder import Recorder
from lab.controllers.replica_set import ReplicaSetController
from lab.controllers.service_accounts import ROOT_CA_NAME, DefaultServiceAccount, RootCertificates
from lab.controllers.taint_eviction import TaintEviction
from lab.controllers.ttl import TtlAfterFinished

Manifest = dict[str, Any]
Queue = Workqueue[Key]

NODE_LEASES = "kube-node-lease"


@dataclass(frozen=True)
class Clocks:
    """`seconds` only grows; `now` is the time of day."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]


class Program:
    """Stores, controllers and queues. Build once, then `run`."""

    def __init__(self, api: Api, root_certificate: str, clocks: Clocks) -> None:
        self._api = api
        self._clocks = clocks
        self._stores: dict[Resource, Store[Manifest]] = {}
        self._queues: list[Queue] = []
        self._garbage = GarbageCollector(api)
        self._namespaces(root_certificate)
        self._jobs()
        self._deployments()
        self._nodes()
        self._daemons()
        self._roles()
        self._follow(CUSTOM_RESOURCE_DEFINITIONS).subscribe(lambda *_: self._garbage.poke())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource, store in self._stores.items():
                group.create_task(follow(self._api, resource, store))
            group.create_task(self._garbage.run())
            # A controller that saw only half of the world would repair what is not broken.
            for store in self._stores.values():
                await store.synced.wait()
            logger.info("controllers started", kinds=len(self._stores))
            for queue in self._queues:
                group.create_task(queue.run())

    def _follow(self, resource: Resource) -> Store[Manifest]:
        if resource not in self._stores:
            self._stores[resource] = Store(
                lambda manifest: manifest, {"controller": controller_uids, "node": _node_names}
            )
        return self._stores[resource]

    def _queue(self, name: str, reconcile: Callable[[Key], Any], workers: int = 8) -> Queue:
        queue = Workqueue(name, reconcile, workers=workers)
        self._queues.append(queue)
        return queue

    def _recorder(self, component: str) -> Recorder:
        return Recorder(self._api, component, self._clocks.now)

    def _expectations(self, resource: Resource) -> Expectations:
        return Expectations(self._follow(resource), self._clocks.seconds)

    def _namespaces(self, root_certificate: str) -> None:
        namespaces, accounts = self._follow(NAMESPACES), self._follow(SERVICE_ACCOUNTS)
        config_maps = self._follow(CONFIG_MAPS)
        account = self._queue("service-account", DefaultServiceAccount(self._api, namespaces, accounts).reconcile)
        root = RootCertificates(self._api, namespaces, config_maps, root_certificate)
        certificate = self._queue("root-certificate", root.reconcile)
        ending = self._queue("namespace", NamespaceController(self._api, namespaces).reconcile)
        for queue in (account, certificate, ending):
            namespaces.subscribe(_adds(queue))
        accounts.subscribe(lambda key, _, __: account.add(("", key[0])) if key[1] == "default" else None)
        config_maps.subscribe(lambda key, _, __: certificate.add(("", key[0])) if key[1] == ROOT_CA_NAME else None)

    def _nodes(self) -> None:
        nodes, pods, leases = self._follow(NODES), self._follow(PODS), self._follow(LEASES)
        seconds, now = self._clocks.seconds, self._clocks.now
        lifecycle = NodeLifecycle(self._api, nodes, leases, pods, seconds, now)
        health = self._queue("node-lifecycle", lifecycle.reconcile)
        nodes.subscribe(_adds(health))
        leases.subscribe(lambda key, _, __: health.add(("", key[1])) if key[0] == NODE_LEASES else None)
        eviction = self._queue("taint-eviction", TaintEviction(self._api, nodes, pods, now).reconcile)
        pods.subscribe(_adds(eviction))

        def node_changed(key: Key, old: Manifest | None, new: Manifest | None) -> None:
            if readiness(old or {}) != readiness(new or {}):
                for other in nodes.keys():  # noqa: SIM118  # whether anybody is evicted depends on all of them
                    health.add(other)
            if _taints(old) != _taints(new):
                for pod in pods.by("node", key[1]):
                    eviction.add((pod["metadata"]["namespace"], pod["metadata"]["name"]))

        nodes.subscribe(node_changed)
        garbage = self._queue("pod-garbage", PodGarbage(self._api, nodes, pods, seconds, now).reconcile)
        garbage.add(("", "sweep"))

    def _daemons(self) -> None:
        daemon_sets, nodes, pods = self._follow(DAEMON_SETS), self._follow(NODES), self._follow(PODS)
        controller = DaemonSetController(self._api, daemon_sets, nodes, pods, self._expectations(PODS))
        queue = self._queue("daemon-set", controller.reconcile)
        daemon_sets.subscribe(_adds(queue))
        pods.subscribe(_adds_owner(queue, "DaemonSet"))

        def node_changed(_key: Key, old: Manifest | None, new: Manifest | None) -> None:
            labels = [(one or {}).get("metadata", {}).get("labels") for one in (old, new)]
            if not old or not new or labels[0] != labels[1] or _taints(old) != _taints(new):
                for key in daemon_sets.keys():  # noqa: SIM118  # a Store, no dict
                    queue.add(key)

        nodes.subscribe(node_changed)

    def _roles(self) -> None:
        roles = self._follow(CLUSTER_ROLES)
        queue = self._queue("cluster-roles", ClusterRoleAggregation(self._api, roles).reconcile)

        def changed(_key: Key, _old: Manifest | None, _new: Manifest | None) -> None:
            for role in roles.values():
                if role.get("aggregationRule"):
                    queue.add(("", role["metadata"]["name"]))

        roles.subscribe(changed)

    def _deployments(self) -> None:
        deployments, replica_sets = self._follow(DEPLOYMENTS), self._follow(REPLICA_SETS)
        pods, now = self._follow(PODS), self._clocks.now
        recorder = self._recorder("replicaset-controller")
        sets = ReplicaSetController(self._api, replica_sets, pods, self._expectations(PODS), recorder, now)
        filling = self._queue("replica-set", sets.reconcile)
        replica_sets.subscribe(_adds(filling))
        pods.subscribe(_adds_owner(filling, "ReplicaSet"))
        recorder = self._recorder("deployment-controller")
        rolling = self._queue(
            "deployment", DeploymentController(self._api, deployments, replica_sets, recorder, now).reconcile
        )
        deployments.subscribe(_adds(rolling))
        replica_sets.subscribe(_adds_owner(rolling, "Deployment"))

    def _jobs(self) -> None:
        jobs, pods = self._follow(JOBS), self._follow(PODS)
        recorder = self._recorder("job-controller")
        controller = JobController(self._api, jobs, pods, self._expectations(PODS), recorder, self._clocks.now)
        queue = self._queue("job", controller.reconcile)
        orphans = self._queue("job-orphans", OrphanedPods(self._api, jobs, pods).reconcile)
        ttl = self._queue("ttl-after-finished", TtlAfterFinished(self._api, jobs, self._clocks.now).reconcile)
        jobs.subscribe(_adds(queue))
        jobs.subscribe(_adds(ttl))
        pods.subscribe(_adds_owner(queue, "Job"))

        def job_gone(_key: Key, old: Manifest | None, new: Manifest | None) -> None:
            if old and not new:
                for pod in pods.by("controller", old["metadata"]["uid"]):
                    orphans.add((pod["metadata"]["namespace"], pod["metadata"]["name"]))

        def pod_changed(key: Key, _old: Manifest | None, new: Manifest | None) -> None:
            if new and is_tracked(new):
                owner = controller_of(new)
                if not owner or not jobs.get(key[0], owner["name"]):
                    orphans.add(key)

        jobs.subscribe(job_gone)
        pods.subscribe(pod_changed)


def _node_names(manifest: Manifest) -> list[str]:
    name = (manifest.get("spec") or {}).get("nodeName")
    return [name] if isinstance(name, str) else []


def _taints(node: Manifest | None) -> list[Manifest]:
    return ((node or {}).get("spec") or {}).get("taints") or []


def _adds(queue: Queue) -> Callable[[Key, Any, Any], None]:
    """Return a subscriber that looks at every object that changes."""
    return lambda key, _old, _new: queue.add(key)


def _adds_owner(queue: Queue, kind: str) -> Callable[[Key, Any, Any], None]:
    """Return a subscriber that looks at the controller, of this kind, of every object that changes."""

    def changed(key: Key, old: Manifest | None, new: Manifest | None) -> None:
        for manifest in (old, new):
            owner = controller_of(manifest) if manifest else None
            if owner and owner["kind"] == kind:
                queue.add((key[0], owner["name"]))

    return changed
