"""A target cluster in which somebody is let in, as its owner and its agent do it; shared by several tests."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.as_target import KeptSources
from federation.clock import wall_clock
from federation.kinds import CLUSTER_SOURCES, POD_CHAPERONS, SOURCES
from federation.kube.api import Api, connect
from federation.kube.errors import Forbidden, NotFound, Unauthorized
from federation.kube.resources import SECRETS, Resource
from federation.settings import AgentSettings
from tests.lab.planes import eventually
from tests.source_plane import Source

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """A target cluster, its administrator, and a namespace of the test's own."""

    admin: Api
    plane: Source
    namespace: str

    async def make(self, name: str, spec: Manifest, *, is_cluster: bool = False) -> Manifest:
        resource = CLUSTER_SOURCES if is_cluster else SOURCES
        manifest = {"apiVersion": names.API_VERSION, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}
        return await self.admin.create(resource, manifest, "" if is_cluster else self.namespace)

    async def until(self, name: str, reason: str, *, kind: str = "Ready", is_cluster: bool = False) -> Manifest:
        """Wait until a condition of a Source has a reason; returns the Source."""

        async def look() -> Manifest | None:
            found = await self.read(name, is_cluster=is_cluster)
            return found if condition(found, kind).get("reason") == reason else None

        return dict(await eventually(look, f"{name}: {kind} {reason}"))

    async def read(self, name: str, *, is_cluster: bool = False) -> Manifest:
        resource = CLUSTER_SOURCES if is_cluster else SOURCES
        return await self.admin.get(resource, name, "" if is_cluster else self.namespace)

    async def until_gone(self, resource: Resource, name: str, namespace: str = "") -> None:
        async def look() -> bool:
            try:
                await self.admin.get(resource, name, namespace)
            except NotFound:
                return True
            return False

        await eventually(look, f"{resource.kind} {name} gone")

    async def credential(self, source: Manifest) -> Manifest:
        """The kubeconfig that was issued."""
        return await read_credential(self.admin, source)

    @property
    def secret(self) -> str:
        """The Secret of the credential of Source `cd`, in the agent's namespace."""
        return names.source_credential_name(self.namespace, "cd")

    @property
    def viewer(self) -> str:
        return names.source_names(self.namespace, "cd")[1]


async def read_credential(owner: Api, source: Manifest) -> Manifest:
    """Return the kubeconfig that was issued for a Source, as its owner reads it."""
    where = source["status"]["credential"]
    secret = await owner.get(SECRETS, where["secretName"], where["secretNamespace"])
    found: Manifest = json.loads(base64.b64decode(secret["data"][where["key"]]))
    return found


def condition(manifest: Manifest, kind: str) -> Manifest:
    conditions = (manifest.get("status") or {}).get("conditions") or []
    return next((dict(found) for found in conditions if found["type"] == kind), {})


@asynccontextmanager
async def agent(source: Source, **settings: Any) -> AsyncIterator[None]:
    """The agent's part that lets sources in, with the agent's own identity and rights."""
    defaults: dict[str, Any] = {"api_server_url": source.plane.url, "cluster_name": "arm-lab"}
    defaults |= {"allow_sources_without_policies": source.plane.kind == "embedded"}
    chosen = AgentSettings(**(defaults | settings))
    async with await connect(source.kubeconfig("isthmus-agent")) as api:

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                part = KeptSources(api=api, settings=chosen, cluster_id="id", clock=wall_clock)
                part.follow(group)
                group.create_task(part.lead())

        task = asyncio.create_task(work())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def new_site(source: Source) -> Site:
    """Return a namespace of the test's own."""
    return Site(source.admin, source, await source.plane.add_namespace(f"test-{secrets.token_hex(4)}"))


async def allowed(request: Any) -> bool:
    try:
        await request
    except Forbidden:
        return False
    return True


async def refused(api: Api) -> bool:
    try:
        await api.list(POD_CHAPERONS, "default")
    except Unauthorized:
        return True
    except Forbidden:
        return False
    return False
