"""One cluster's agent: admission, gateway and all caches on every replica, the work on the one that leads (rule M9)."""

import asyncio
import ssl

from aiohttp import web
from loguru import logger

from federation.admission import registration, server
from federation.admission.judging import Judging
from federation.as_source import SourceRole, SourceStores, outside
from federation.as_target import TargetRole
from federation.certificates import issue
from federation.clock import wall_clock
from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.leader import Election
from federation.kube.resources import NAMESPACES
from federation.kube.workqueue import MayWork, always
from federation.settings import AgentSettings

_REGISTER_SECONDS = 30.0  # how often a webhook configuration that was changed by others is put right


class Agent:
    """One replica of one cluster's agent. The client for the election is one of its own: see there."""

    def __init__(self, api: Api, election_api: Api, settings: AgentSettings, identity: str) -> None:
        self._api = api
        self._election_api = election_api
        self._settings = settings
        self._identity = identity
        self._clock = wall_clock
        self._stores = SourceStores()

    async def run(self) -> None:
        """Serve admission and gateway and follow everything on every replica, work while leading; until cancelled."""
        cluster_id = await self._cluster_id()
        target = TargetRole(api=self._api, settings=self._settings, cluster_id=cluster_id, clock=self._clock)
        source = SourceRole(
            api=self._api,
            settings=self._settings,
            stores=self._stores,
            cluster_name=self._settings.cluster_name or cluster_id,
            clock=self._clock,
            outside=await outside(self._api, self._settings, self._clock),
        )
        async with asyncio.TaskGroup() as group:
            self._stores.follow(group, self._api)
            target.follow(group)
            source.follow(group)
            if self._settings.webhook_enabled:
                group.create_task(self._serve_webhook())
            group.create_task(self._lead((target, source)))

    async def _cluster_id(self) -> str:
        return str((await self._api.get(NAMESPACES, "kube-system"))["metadata"]["uid"])

    async def _lead(self, roles: tuple[TargetRole, SourceRole]) -> None:
        """Work in all roles whenever, and as long as, this replica leads."""

        async def work(may_work: MayWork) -> None:
            async with asyncio.TaskGroup() as group:
                for role in roles:
                    group.create_task(role.lead(may_work))

        if not self._settings.leader_elect:
            await work(always)
        election = Election(
            api=self._election_api,
            namespace=self._settings.namespace,
            name="isthmus-agent",
            identity=self._identity,
            clock=self._clock,
            timing=self._settings.election,
        )
        await election.run(lambda: work(election.holds))

    # -- admission ---------------------------------------------------------------------------------------------------

    async def _serve_webhook(self) -> None:
        settings = self._settings
        authority = await registration.authority(self._api, settings.namespace, self._clock)
        hosts = registration.hosts(settings.webhook_url, settings.namespace)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issue(authority, hosts, self._clock()).load_into(context)
        await asyncio.gather(self._stores.targets.synced.wait(), self._stores.cluster_targets.synced.wait())
        if settings.webhook_client_ca_file is not None:
            context.load_verify_locations(settings.webhook_client_ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL  # a kubelet that asks for /readyz has none
        app = server.application(
            self._stores.finalizers_for,
            self._stores.targets.synced.is_set,
            judge=Judging(self._api),
            needs_certificate=settings.webhook_client_ca_file is not None,
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(
                runner, settings.webhook_bind, settings.webhook_port, ssl_context=context, reuse_address=True
            ).start()
            logger.info("webhook serves", address=runner.addresses[0])
            while True:
                try:
                    await registration.register(
                        self._api,
                        authority,
                        url=settings.webhook_url,
                        namespace=settings.namespace,
                        path=server.PATH,
                    )
                except ApiError as error:
                    logger.warning("webhook configuration could not be kept", error=str(error)[:300])
                await asyncio.sleep(_REGISTER_SECONDS)
        finally:
            await runner.cleanup()
