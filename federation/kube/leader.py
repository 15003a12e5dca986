"""One leader among replicas, by a Lease.

The work runs only while the Lease is ours, renewed within the deadline; whatever goes wrong with renewing cancels it.
A leader that was frozen and wakes up is harmless all the same: every write is fenced (rule S2). The holder gives the
Lease back when it ends, so that the next replica need not wait it out. The package's own election is not used: it
cannot create a Lease and goes on working when the API server is gone (seen in 37.0.2).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from loguru import logger

from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from federation.kube.resources import LEASES

LEASE_SECONDS = 15  # client-go's defaults: how long a silent holder is believed,
RENEW_DEADLINE_SECONDS = 10.0  # how long it may fail to renew before it stops,
RETRY_SECONDS = 2.0  # and how often it tries


class Election:
    """A candidate for one Lease. `clock` gives aware times, for the record only; waiting uses the loop's clock."""

    def __init__(self, *, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._seen: tuple[str, float] | None = None  # the Lease's version, and when (loop time) we first saw it

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Wait for the Lease, then run `work` until it ends or the Lease is lost; returns in either case."""
        while not await self._try():  # noqa: ASYNC110  # a Lease that nobody renews sends no event
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
        logger.info("leading", lease=self._name, identity=self._identity)
        try:
            async with asyncio.TaskGroup() as group:
                worker = group.create_task(_awaited(work))
                renewer = group.create_task(self._keep())
                await asyncio.wait([worker, renewer], return_when=asyncio.FIRST_COMPLETED)
                worker.cancel()
                renewer.cancel()
        finally:
            logger.info("no longer leading", lease=self._name, identity=self._identity)
            await self._release()

    async def _keep(self) -> None:
        """Renew for ever; returns once the deadline has passed without success."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < RENEW_DEADLINE_SECONDS:
            await asyncio.sleep(RETRY_SECONDS)
            remaining = max(renewed + RENEW_DEADLINE_SECONDS - loop.time(), 0.1)
            try:
                async with asyncio.timeout(remaining):
                    if await self._try():
                        renewed = loop.time()
            except TimeoutError:
                break

    async def _try(self) -> bool:
        """Take or renew the Lease; returns whether it is ours."""
        try:
            lease = await self._api.get(LEASES, self._name, self._namespace)
        except NotFound:
            return await self._write(None)
        except ApiError as error:
            logger.debug("the leader's Lease cannot be read", error=str(error)[:200])
            return False
        holder = lease["spec"].get("holderIdentity") or ""
        if holder in ("", self._identity) or self._is_expired(lease):
            return await self._write(lease)
        return False

    def _is_expired(self, lease: Manifest) -> bool:
        """Whether we have watched this version of the Lease for its whole duration: no two clocks are compared."""
        now = asyncio.get_running_loop().time()
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
            return False
        return now - self._seen[1] > (lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)

    async def _write(self, lease: Manifest | None, holder: str | None = None) -> bool:
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (lease or {}).get("spec") or {}
        is_new = before.get("holderIdentity") != self._identity
        spec = {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now if is_new else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if lease and is_new else 0),
        }
        metadata: Manifest = {"name": self._name, "namespace": self._namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        manifest = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            await (self._api.replace(LEASES, manifest) if lease else self._api.create(LEASES, manifest))
        except (AlreadyExists, Conflict):
            return False
        except ApiError as error:
            logger.debug("the leader's Lease cannot be written", error=str(error)[:200])
            return False
        return True

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                lease = await self._api.get(LEASES, self._name, self._namespace)
                if lease["spec"].get("holderIdentity") == self._identity:
                    await self._write(lease, holder="")
        except (ApiError, TimeoutError):
            return  # it expires by itself


async def _awaited(work: Callable[[], Awaitable[Any]]) -> None:
    await work()
