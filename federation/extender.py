"""Wires the extender: stores of chaperons and their pods, holds, the HTTP server beside kube-scheduler."""

import asyncio

from aiohttp import web
from loguru import logger

from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.pod import TargetPod, parse_target_pod
from federation.names import PARENT_UID
from federation.reservation.extender import Deadlines, Extender
from federation.reservation.server import application, read_password
from federation.reservation.stale import StaleMarks
from federation.settings import ExtenderSettings


def _waiting(pod: TargetPod) -> list[str]:
    return ["unschedulable"] if pod.is_unschedulable else []


async def start_extender(group: asyncio.TaskGroup, api: Api, settings: ExtenderSettings) -> Extender:
    """Start what keeps holds and marks in `group`.

    Returns once both stores are complete: before, every pod would look like a stranger.
    """
    chaperons: Store[Chaperon] = Store(parse_chaperon)
    pods: Store[TargetPod] = Store(parse_target_pod, {"waiting": _waiting})
    deadlines = Deadlines(settings.hold_seconds, settings.hold_contended_seconds)
    extender = Extender(api=api, chaperons=chaperons, pods=pods, deadlines=deadlines)
    stale = StaleMarks(api=api, chaperons=chaperons, pods=pods, holds=extender.holds)
    queue = Workqueue("stale-marks", stale.reconcile)
    group.create_task(follow(api, POD_CHAPERONS, chaperons))
    group.create_task(follow(api, PODS, pods, label_selector=PARENT_UID))
    await asyncio.gather(chaperons.synced.wait(), pods.synced.wait())
    chaperons.subscribe(lambda key, old, new: queue.add(key))
    pods.subscribe(lambda key, old, new: queue.add(key))
    group.create_task(queue.run())
    return extender


async def serve_extender(api: Api, settings: ExtenderSettings) -> None:
    """Run the extender and its HTTP server until cancelled."""
    password = read_password(settings.secret_file) if settings.secret_file is not None else None
    async with asyncio.TaskGroup() as group:
        extender = await start_extender(group, api, settings)
        app = application(extender, password)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.bind, settings.port, reuse_address=True)
            await site.start()
            logger.info("extender serves", address=runner.addresses[0])
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
