"""Wires what an agent does for its cluster as a *target*: pods of chaperons, the summary, who may come in."""

import asyncio

from federation import names
from federation.clock import Clock
from federation.controllers.chaperon import Chaperons
from federation.controllers.issuer import Issuer
from federation.controllers.sources import RESOURCES, Sources, SourcesStores
from federation.controllers.summary import NOT_FEDERATED, OCCUPANTS, Summaries
from federation.decisions.travelling import matcher
from federation.kinds import CLUSTER_SOURCES, CLUSTER_SUMMARIES, POD_CHAPERONS, SOURCES
from federation.kube.api import Api
from federation.kube.resources import NAMESPACES, NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import MayWork, Workqueue, always
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from federation.model.source import Mark
from federation.model.summary import ClusterNode, Occupant, Summary, parse_cluster_node, parse_occupant, parse_summary
from federation.settings import AgentSettings


class TargetRole:
    """The parts of a target. Every replica follows what they need; the one that leads works."""

    def __init__(self, *, api: Api, settings: AgentSettings, cluster_id: str, clock: Clock) -> None:
        self._parts = (
            KeptChaperons(api, settings, clock),
            KeptSummary(api, cluster_id, settings.cluster_name or cluster_id, clock),
            KeptSources(api=api, settings=settings, cluster_id=cluster_id, clock=clock),
        )

    def follow(self, group: asyncio.TaskGroup) -> None:
        """Follow in `group` what is needed to lead at any moment."""
        for part in self._parts:
            part.follow(group)

    async def lead(self, may_work: MayWork = always) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.lead(may_work))


class KeptChaperons:
    """A pod for every chaperon."""

    def __init__(self, api: Api, settings: AgentSettings, clock: Clock) -> None:
        self._api = api
        self._chaperons: Store[Chaperon] = Store(parse_whole_chaperon)
        self._pods: Store[TargetPod] = Store(parse_target_pod)
        mirror = Chaperons(
            api=api,
            chaperons=self._chaperons,
            pods=self._pods,
            clock=clock,
            is_allowed=matcher(settings.allowed_annotations.split(",")),
        )
        self._queue: Workqueue[Key] = Workqueue(
            "chaperons", mirror.reconcile, workers=settings.workers, everything=self._look_at_all
        )
        api.on_back.append(self._queue.retry_failed)
        self._chaperons.subscribe(lambda key, old, new: self._queue.add(key))
        self._pods.subscribe(lambda key, old, new: self._queue.add(key))

    def follow(self, group: asyncio.TaskGroup) -> None:
        """See TargetRole."""
        group.create_task(follow(self._api, POD_CHAPERONS, self._chaperons))
        group.create_task(follow(self._api, PODS, self._pods, label_selector=names.PARENT_UID))

    async def lead(self, may_work: MayWork = always) -> None:
        """See TargetRole."""
        await asyncio.gather(self._chaperons.synced.wait(), self._pods.synced.wait())
        await self._queue.run(may_work)

    def _look_at_all(self) -> None:
        self._chaperons.tell(lambda key, old, new: self._queue.add(key))
        self._pods.tell(lambda key, old, new: self._queue.add(key))


class KeptSummary:
    """What there is, and what is left of it for others."""

    def __init__(self, api: Api, cluster_id: str, cluster_name: str, clock: Clock) -> None:
        self._api = api
        self._nodes: Store[ClusterNode] = Store(parse_cluster_node)
        self._occupants: Store[Occupant] = Store(parse_occupant)
        self._summaries: Store[Summary] = Store(parse_summary)
        summary = Summaries(
            api=api,
            cluster_id=cluster_id,
            cluster_name=cluster_name,
            nodes=self._nodes,
            occupants=self._occupants,
            summaries=self._summaries,
            clock=clock,
        )
        self._queue: Workqueue[str] = Workqueue("summary", summary.reconcile, workers=1, everything=self._look)
        api.on_back.append(self._queue.retry_failed)
        for store in (self._nodes, self._occupants, self._summaries):
            store.subscribe(lambda *_: self._look())

    def follow(self, group: asyncio.TaskGroup) -> None:
        """See TargetRole."""
        group.create_task(follow(self._api, NODES, self._nodes))
        group.create_task(
            follow(self._api, PODS, self._occupants, field_selector=OCCUPANTS, label_selector=NOT_FEDERATED)
        )
        group.create_task(follow(self._api, CLUSTER_SUMMARIES, self._summaries))

    async def lead(self, may_work: MayWork = always) -> None:
        """See TargetRole."""
        for synced in (self._nodes.synced, self._occupants.synced, self._summaries.synced):
            await synced.wait()
        await self._queue.run(may_work)

    def _look(self) -> None:
        self._queue.add(names.SUMMARY_NAME)


class KeptSources:
    """Rights and credentials of those who may come in."""

    def __init__(self, *, api: Api, settings: AgentSettings, cluster_id: str, clock: Clock) -> None:
        self._api = api
        self._stores = SourcesStores()
        is_issuing = settings.issue_credentials
        issuer = Issuer(
            api=api,
            clock=clock,
            cluster=settings.cluster_name or cluster_id,
            namespace=settings.namespace,
            url=settings.api_server_url,
            authority_file=settings.api_server_authority_file,
            lifetime_seconds=settings.credential_seconds,
        )
        sources = Sources(
            api=api,
            stores=self._stores,
            issuer=issuer,
            namespace=settings.namespace,
            is_issuing=is_issuing,
            needs_policies=not settings.allow_sources_without_policies,
            clock=clock,
        )
        self._queue: Workqueue[Key] = Workqueue("sources", sources.reconcile, everything=self._look_at_all)
        api.on_back.append(self._queue.retry_failed)
        only_issuing = () if is_issuing else ("Secret", "Role")
        self._marks = {kind: store for kind, store in self._stores.marks.items() if kind not in only_issuing}
        self._namespace = settings.namespace
        for followed in (self._stores.sources, self._stores.cluster_sources):
            followed.subscribe(lambda key, old, new: self._queue.add(key))
        self._stores.namespaces.subscribe(lambda key, old, new: self._look_at_cluster_sources() if old != new else None)
        for store in self._marks.values():
            store.subscribe(lambda _, old, new: self._wake(old, new))

    def follow(self, group: asyncio.TaskGroup) -> None:
        """See TargetRole."""
        group.create_task(follow(self._api, SOURCES, self._stores.sources))
        group.create_task(follow(self._api, CLUSTER_SOURCES, self._stores.cluster_sources))
        group.create_task(follow(self._api, NAMESPACES, self._stores.namespaces))
        for kind, store in self._marks.items():
            # Accounts that were there before are used too; of the rest, all of a cluster would be too much.
            selector = "" if kind == "ServiceAccount" else names.SOURCE
            namespace = self._namespace if kind == "Role" else ""
            group.create_task(follow(self._api, RESOURCES[kind], store, namespace=namespace, label_selector=selector))

    async def lead(self, may_work: MayWork = always) -> None:
        """See TargetRole."""
        await asyncio.gather(self._stores.sources.synced.wait(), self._stores.cluster_sources.synced.wait())
        await asyncio.gather(*(store.synced.wait() for store in self._marks.values()))
        await self._stores.namespaces.synced.wait()
        await self._queue.run(may_work)

    def _look_at_cluster_sources(self) -> None:
        for source in self._stores.cluster_sources.values():
            self._queue.add(source.key)

    def _wake(self, *marks: Mark | None) -> None:
        for key in self._stores.concerned(*marks):
            self._queue.add(key)

    def _look_at_all(self) -> None:
        for store in (self._stores.sources, self._stores.cluster_sources):
            store.tell(lambda key, old, new: self._queue.add(key))
        for marks in self._marks.values():
            self._wake(*marks.values())
