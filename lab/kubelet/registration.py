"""Keeps a Node object and its Lease in the API: registers, renews, posts status, comes back after a deletion."""

import asyncio
import os
import platform
import uuid
from datetime import UTC, datetime

from loguru import logger

from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, ApiError, NotFound
from federation.kube.resources import LEASES, NODES
from lab.kubelet.config import Node
from lab.kubelet.node_status import LEASE_NAMESPACE, lease, micro_time, node_object, node_status
from lab.kubelet.records import Manifest

_RETRY_SECONDS = 1.0


class Registration:
    """The standing of one node with its API server. Whoever sees the Node object disappear sets `gone`."""

    def __init__(
        self, api: Api, node: Node, port: int, gone: asyncio.Event, *, lease_seconds: float, status_seconds: float
    ) -> None:
        self._api, self._node, self._port, self._gone = api, node, port, gone
        self._lease_seconds, self._status_seconds = lease_seconds, status_seconds
        self._since = datetime.now(UTC)
        self._machine_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{node.name}.{platform.node()}"))

    async def run(self) -> None:
        """Stay registered until cancelled."""
        status_due = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= status_due:
                    uid = await self._register()
                    status_due = loop.time() + self._status_seconds
                await self._renew(uid)
            except NotFound:
                status_due = 0.0  # somebody deleted the Node: register again
                await asyncio.sleep(_RETRY_SECONDS)
            except ApiError as error:
                logger.warning("node not renewed", node=self._node.name, error=str(error)[:300])
                status_due = 0.0
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                if await self._is_gone_within(self._lease_seconds):
                    status_due = 0.0

    async def _is_gone_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            return False
        self._gone.clear()
        return True

    async def _register(self) -> str:
        wanted = node_object(self._node, f"{platform.system().lower()}/{platform.machine()}")
        try:
            found = await self._api.create(NODES, wanted)
            logger.info("node registered", node=self._node.name, port=self._port)
        except AlreadyExists:
            metadata = {key: wanted["metadata"][key] for key in ("labels", "annotations")}
            found = await self._api.patch(NODES, self._node.name, {"metadata": metadata})
        await self._api.patch(
            NODES, self._node.name, {"status": self._status()}, subresource="status", kind="strategic"
        )
        return str(found["metadata"]["uid"])

    def _status(self) -> Manifest:
        kernel = os.uname().release
        return node_status(self._node, self._port, self._machine_id, kernel, self._since, datetime.now(UTC))

    async def _renew(self, uid: str) -> None:
        now = datetime.now(UTC)
        try:
            renewal = {"spec": {"renewTime": micro_time(now), "holderIdentity": self._node.name}}
            await self._api.patch(LEASES, self._node.name, renewal, LEASE_NAMESPACE)
        except NotFound:
            await self._api.get(NODES, self._node.name)  # a Lease without its Node would never be removed
            await self._api.create(LEASES, lease(self._node.name, uid, now))
