"""A Target goes on beyond the life of its first token: issued anew there, fetched here, taken over without a break."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from federation import names
from federation.as_target import KeptSources
from federation.clock import wall_clock
from federation.controllers.connection import Connection
from federation.controllers.connections import Connections, client_for
from federation.controllers.renewal import Renewals
from federation.decisions.credential import renewable
from federation.kinds import SOURCES, TARGETS
from federation.kube.api import Api, connect
from federation.kube.dialling import Dialable
from federation.kube.resources import SECRETS, Resource
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.kube.workqueue import Workqueue
from federation.model.target import Target, parse_target
from federation.settings import AgentSettings
from tests.lab.planes import eventually
from tests.source_plane import Source

Manifest = dict[str, Any]

LIFE_SECONDS = 3000
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", is_namespaced=False)


def ahead(seconds: float) -> Any:
    def clock() -> datetime:
        return wall_clock() + timedelta(seconds=seconds)

    return clock


@asynccontextmanager
async def target_agent(source: Source, clock: Any) -> AsyncIterator[None]:
    settings = AgentSettings(
        api_server_url=source.plane.url,
        credential_seconds=LIFE_SECONDS,
        allow_sources_without_policies=source.plane.kind == "embedded",
    )
    async with await connect(source.kubeconfig("isthmus-agent")) as api, asyncio.TaskGroup() as group:

        async def work() -> None:
            async with asyncio.TaskGroup() as inner:
                part = KeptSources(api=api, settings=settings, cluster_id="id", clock=clock)
                part.follow(inner)
                inner.create_task(part.lead())

        task = group.create_task(work())
        yield
        task.cancel()


async def by_secret(target: Target, text: str | None) -> Api:
    return await client_for(text, target, Dialable.of(["127.0.0.0/8"]))


class SourceAgent:
    """What a source's agent does with its targets: connections, and the renewal of their tokens by some clock."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.begun: list[Connection] = []
        self.targets: Store[Target] = Store(parse_target)
        self.connections = Connections(
            api=api,
            cluster_name="home",
            targets=[self.targets],
            clock=wall_clock,
            service=self.serve,
            open_target=by_secret,
        )

    async def serve(self, connection: Connection) -> None:
        self.begun.append(connection)
        await asyncio.Event().wait()

    async def run(self, namespace: str) -> None:
        queue: Workqueue[Key] = Workqueue("targets", self.connections.reconcile)
        self.connections.add = queue.add
        self.targets.subscribe(lambda key, old, new: queue.add(key))
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(self.api, TARGETS, self.targets, namespace=namespace))
            group.create_task(self.connections.run())
            group.create_task(queue.run())

    async def renew(self, key: Key, seconds_ahead: float) -> float | None:
        renewals = Renewals(api=self.api, connections=self.connections.current, clock=ahead(seconds_ahead))
        return await renewals.reconcile(key)


async def kubeconfig_in(api: Api, name: str, namespace: str) -> Manifest:
    secret = await api.get(SECRETS, name, namespace)
    found: Manifest = json.loads(base64.b64decode(secret["data"]["config"]))
    return found


async def credential_id(api: Api) -> list[str]:
    """The id of the token that a client shows, as the API server sees it."""
    review = {"apiVersion": SELF_REVIEWS.api_version, "kind": SELF_REVIEWS.kind}
    user = (await api.create(SELF_REVIEWS, review))["status"]["userInfo"]
    return list(user["extra"]["authentication.kubernetes.io/credential-id"])


async def test_a_targets_token_is_renewed_and_taken_over_without_a_break(source: Source) -> None:
    admin, namespace = source.admin, await source.plane.add_namespace(f"test-{secrets.token_hex(4)}")
    issued = names.source_credential_name(namespace, "home")
    body: Manifest = {"apiVersion": names.API_VERSION, "kind": "Source", "metadata": {"name": "home"}}
    async with target_agent(source, wall_clock):
        await admin.create(SOURCES, body | {"spec": {"serviceAccountName": "home"}}, namespace)

        async def is_issued() -> bool:
            return "credential" in ((await admin.get(SOURCES, "home", namespace)).get("status") or {})

        await eventually(is_issued, "credential issued")
    first = await kubeconfig_in(admin, issued, "isthmus")

    # Its owner hands it over, once. (Here the source is the same cluster, by another Secret.)
    content = base64.b64encode(json.dumps(first).encode()).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "arm-lab"}, "data": {"config": content}}
    await admin.create(SECRETS, secret, namespace)
    body = {"apiVersion": names.API_VERSION, "kind": "Target", "metadata": {"name": "arm-lab"}}
    await admin.create(TARGETS, body | {"spec": {"kubeconfigSecret": {"name": "arm-lab"}}}, namespace)
    key = (namespace, "arm-lab")
    async with await connect(source.kubeconfig("isthmus-agent")) as api:
        agent = SourceAgent(api)
        running = asyncio.create_task(agent.run(namespace))

        async def is_reachable() -> bool:
            return any(connection.pulse.is_reachable for connection in agent.connections.current())

        await eventually(is_reachable, "target connected")
        (connection,) = agent.connections.current()
        old_id = await credential_id(connection.api)

        # Not before two thirds of its life; then, while the target has issued no other, it is asked for again soon.
        wait = await agent.renew(key, 0)
        assert wait is not None
        assert LIFE_SECONDS * 0.6 < wait < LIFE_SECONDS * 0.7
        assert await agent.renew(key, LIFE_SECONDS * 0.7) == 60.0
        assert await kubeconfig_in(admin, "arm-lab", namespace) == first

        # At half of its life the target's agent issues another, into the same Secret.
        await asyncio.sleep(1.0)  # tokens count in whole seconds
        async with target_agent(source, ahead(LIFE_SECONDS * 0.55)):

            async def is_another() -> bool:
                return await kubeconfig_in(admin, issued, "isthmus") != first

            await eventually(is_another, "issued anew")
        assert await agent.renew(key, LIFE_SECONDS * 0.7) == 60.0
        second = await kubeconfig_in(admin, "arm-lab", namespace)
        held, former = renewable(second), renewable(first)
        assert held is not None
        assert former is not None
        assert held.term.until > former.term.until

        async def uses_it() -> bool:
            return await credential_id(connection.api) != old_id

        await eventually(uses_it, "the new token is shown")
        assert agent.connections.current() == [connection]
        assert agent.begun == [connection]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await admin.delete(SOURCES, "home", namespace)
