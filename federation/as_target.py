"""Wires what an agent does for its cluster as a *target*: pods of chaperons, the summary, who may come in."""

import asyncio

from federation import names
from federation.clock import Clock
from federation.controllers.chaperon import Chaperons
from federation.controllers.issuer import Issuer
from federation.controllers.sources import RESOURCES, Sources, SourcesStores
from federation.controllers.summary import NOT_FEDERATED, OCCUPANTS, Summaries
from federation.kinds import CLUSTER_SOURCES, CLUSTER_SUMMARIES, POD_CHAPERONS, SOURCES
from federation.kube.api import Api
from federation.kube.resources import NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from federation.model.source import Mark
from federation.model.summary import ClusterNode, Occupant, Summary, parse_cluster_node, parse_occupant, parse_summary
from federation.settings import AgentSettings


def control_target(
    group: asyncio.TaskGroup, *, api: Api, settings: AgentSettings, cluster_id: str, clock: Clock
) -> None:
    """Start the controllers of a target in `group`."""
    _keep_chaperons(group, api, settings, clock)
    _keep_summary(group, api, cluster_id, settings.cluster_name or cluster_id, clock)
    control_sources(group, api=api, settings=settings, cluster_id=cluster_id, clock=clock)


def _keep_chaperons(group: asyncio.TaskGroup, api: Api, settings: AgentSettings, clock: Clock) -> None:
    """A pod for every chaperon."""
    chaperons: Store[Chaperon] = Store(parse_whole_chaperon)
    pods: Store[TargetPod] = Store(parse_target_pod)
    mirror = Chaperons(api=api, chaperons=chaperons, pods=pods, clock=clock)
    queue: Workqueue[Key] = Workqueue("chaperons", mirror.reconcile, workers=settings.workers)

    async def run() -> None:
        await asyncio.gather(chaperons.synced.wait(), pods.synced.wait())
        chaperons.subscribe(lambda key, old, new: queue.add(key))
        pods.subscribe(lambda key, old, new: queue.add(key))
        await queue.run()

    group.create_task(follow(api, POD_CHAPERONS, chaperons))
    group.create_task(follow(api, PODS, pods, label_selector=names.PARENT_UID))
    group.create_task(run())


def _keep_summary(group: asyncio.TaskGroup, api: Api, cluster_id: str, cluster_name: str, clock: Clock) -> None:
    """What there is, and what is left of it for others."""
    nodes: Store[ClusterNode] = Store(parse_cluster_node)
    occupants: Store[Occupant] = Store(parse_occupant)
    summaries: Store[Summary] = Store(parse_summary)

    async def run() -> None:
        summary = Summaries(
            api=api,
            cluster_id=cluster_id,
            cluster_name=cluster_name,
            nodes=nodes,
            occupants=occupants,
            summaries=summaries,
            clock=clock,
        )
        queue: Workqueue[str] = Workqueue("summary", summary.reconcile, workers=1)
        await asyncio.gather(nodes.synced.wait(), occupants.synced.wait(), summaries.synced.wait())
        nodes.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
        occupants.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
        summaries.subscribe(lambda *_: queue.add(names.SUMMARY_NAME))
        queue.add(names.SUMMARY_NAME)
        await queue.run()

    group.create_task(follow(api, NODES, nodes))
    group.create_task(follow(api, PODS, occupants, field_selector=OCCUPANTS, label_selector=NOT_FEDERATED))
    group.create_task(follow(api, CLUSTER_SUMMARIES, summaries))
    group.create_task(run())


def control_sources(
    group: asyncio.TaskGroup, *, api: Api, settings: AgentSettings, cluster_id: str, clock: Clock
) -> None:
    """Rights and credentials of those who may come in."""
    stores = SourcesStores()
    issuer = Issuer(
        api=api,
        clock=clock,
        cluster=settings.cluster_name or cluster_id,
        url=settings.api_server_url,
        authority_file=settings.api_server_authority_file,
        lifetime_seconds=settings.credential_seconds,
    )
    sources = Sources(api=api, stores=stores, issuer=issuer, is_issuing=settings.issue_credentials, clock=clock)
    queue: Workqueue[Key] = Workqueue("sources", sources.reconcile)

    def wake(_: Key, old: Mark | None, new: Mark | None) -> None:
        for key in stores.concerned(old, new):
            queue.add(key)

    followed = {kind: store for kind, store in stores.marks.items() if kind != "Secret" or settings.issue_credentials}

    async def run() -> None:
        await asyncio.gather(stores.sources.synced.wait(), stores.cluster_sources.synced.wait())
        await asyncio.gather(*(store.synced.wait() for store in followed.values()))
        stores.sources.subscribe(lambda key, old, new: queue.add(key))
        stores.cluster_sources.subscribe(lambda key, old, new: queue.add(key))
        for store in followed.values():
            store.subscribe(wake)
        await queue.run()

    group.create_task(follow(api, SOURCES, stores.sources))
    group.create_task(follow(api, CLUSTER_SOURCES, stores.cluster_sources))
    for kind, store in followed.items():
        # Accounts that were there before are used too; of the rest, all of a cluster would be too much.
        group.create_task(
            follow(api, RESOURCES[kind], store, label_selector="" if kind == "ServiceAccount" else names.SOURCE)
        )
    group.create_task(run())
