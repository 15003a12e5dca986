"""One leader among replicas, by a Lease.

The work runs only while the Lease is ours; whatever goes wrong with renewing it ends the work in time. Others follow
the Lease by a watch: they take over the moment it is given back, or has not been renewed for its whole duration. No two
clocks are compared: who waits counts from when it saw a renewal, who holds from before it asked for one (rule M9).

A leader that was frozen and wakes up finds by `holds` that its time is over, before it begins anything; what it had
begun is fenced (rule S2). The package's own election is not used: it cannot create a Lease and goes on working when the
API server is gone (seen in 37.0.2).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loguru import logger

from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from federation.kube.resources import LEASES
from federation.kube.store import Key, Store
from federation.kube.watch import follow

_ATTEMPT_SECONDS_MIN = 0.2  # to renew: a busy API server takes a tenth of that


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a silent holder is believed, how long it may fail to renew before it stops, how often it renews.

    The pause between the second and the first is for the work to end in. A successor of a holder that was killed waits
    for the first at most; all three are settings (`AgentSettings.election`), which say why they are what they are.
    """

    lease_seconds: int
    renew_seconds: float
    retry_seconds: float


class Election:
    """A candidate for one Lease. `clock` gives aware times, for the record only; waiting uses the loop's clock.

    `api` should be a client of its own, so that a renewal never queues behind the work's requests.
    """

    def __init__(
        self, *, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], datetime], timing: Timing
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._timing = timing
        self._lease: Store[Manifest] = Store(lambda manifest: manifest)
        self._lease.subscribe(self._on_lease)
        self._seen_at = 0.0  # (loop time) when we first saw the Lease as it is now
        self._holds_until = 0.0  # (loop time) it may be another's from then on
        self._changed = asyncio.Event()

    def holds(self) -> bool:
        """Whether the Lease is ours, for sure, at this moment; once it is not, this term is over."""
        return asyncio.get_running_loop().time() < self._holds_until

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Run `work` whenever the Lease is ours, until cancelled or until it ends by itself."""
        selector = f"metadata.name={self._name}"
        async with asyncio.TaskGroup() as group:
            following = group.create_task(
                follow(self._api, LEASES, self._lease, namespace=self._namespace, field_selector=selector)
            )
            while True:
                await self._win()
                if await self._lead(work):
                    break
            following.cancel()

    # -- one term ----------------------------------------------------------------------------------------------------

    async def _lead(self, work: Callable[[], Awaitable[Any]]) -> bool:
        """Run `work` until the Lease is lost; returns whether the work has ended by itself."""
        logger.info("leading", lease=self._name, identity=self._identity)
        try:
            async with asyncio.TaskGroup() as group:
                worker = group.create_task(_awaited(work))
                renewer = group.create_task(self._keep())
                ended, _ = await asyncio.wait([worker, renewer], return_when=asyncio.FIRST_COMPLETED)
                worker.cancel()
                renewer.cancel()
        finally:
            is_ours, self._holds_until = self.holds(), 0.0
            logger.info("no longer leading", lease=self._name, identity=self._identity, is_given_back=is_ours)
            if is_ours:  # else it expires by itself, before anybody would answer
                await self._release()
        return worker in ended

    async def _keep(self) -> None:
        """Renew until that has failed for too long, or another holds the Lease."""
        loop = asyncio.get_running_loop()
        while self.holds():
            await asyncio.sleep(self._timing.retry_seconds)
            if not self.holds():
                return  # we were frozen
            # Half of what is left for each attempt: a connection that went dead must not cost the Lease.
            left = self._holds_until - loop.time()
            try:
                async with asyncio.timeout(min(left, max(left / 2, _ATTEMPT_SECONDS_MIN))):
                    await self._renew()
            except (ApiError, TimeoutError) as error:
                logger.debug("the leader's Lease cannot be renewed", error=repr(error)[:200])

    async def _renew(self) -> None:
        lease = self._lease.get(self._namespace, self._name)
        if lease is not None and self._is_ours(lease) and await self._write(lease):
            return
        live = await self._read()  # somebody wrote it or deleted it, or an answer of ours was lost
        if live is None or self._is_ours(live):
            await self._write(live)
        else:
            self._holds_until = 0.0

    # -- between terms -----------------------------------------------------------------------------------------------

    async def _win(self) -> None:
        """Wait until the Lease is ours."""
        while True:
            self._changed.clear()
            wait = self._wait_seconds()
            if wait <= 0:
                if await self._take():
                    return
                wait = self._timing.retry_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
            try:
                async with asyncio.timeout(max(wait, 0.001)):  # a loop's clock has a resolution
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _take(self) -> bool:
        """Take the Lease if it is free, live; returns whether it is ours."""
        try:
            async with asyncio.timeout(self._timing.renew_seconds):
                live = await self._read()
                return self._wait_seconds() <= 0 and await self._write(live)
        except ApiError as error:
            logger.debug("the leader's Lease cannot be read", error=str(error)[:200])
        except TimeoutError:
            logger.debug("the leader's Lease cannot be read", error="no answer")
        return False

    def _wait_seconds(self) -> float:
        """How long the Lease, as we know it, is another's yet."""
        lease = self._lease.get(self._namespace, self._name)
        if lease is None:
            return 0.0 if self._lease.synced.is_set() else self._timing.retry_seconds
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or self._is_ours(lease):
            return 0.0
        seconds = spec.get("leaseDurationSeconds") or self._timing.lease_seconds
        return float(seconds) - (asyncio.get_running_loop().time() - self._seen_at)

    def _is_ours(self, lease: Manifest) -> bool:
        return bool((lease.get("spec") or {}).get("holderIdentity") == self._identity)

    def _on_lease(self, _: Key, old: Manifest | None, new: Manifest | None) -> None:
        if new is None or old is None or old["metadata"]["resourceVersion"] != new["metadata"]["resourceVersion"]:
            self._seen_at = asyncio.get_running_loop().time()
        self._changed.set()

    # -- the Lease ---------------------------------------------------------------------------------------------------

    async def _read(self) -> Manifest | None:
        """Return the Lease as it is, or None; what we follow then knows it too."""
        try:
            live = await self._api.get(LEASES, self._name, self._namespace)
        except NotFound:
            return None
        self._lease.learn(live)
        return live

    async def _write(self, lease: Manifest | None, *, is_release: bool = False) -> bool:
        """Make us the holder of the Lease as it was read (None: there is none), or nobody; returns whether it went."""
        asked_at = asyncio.get_running_loop().time()
        manifest = self._manifest(lease, is_release=is_release)
        try:
            written = await (self._api.replace(LEASES, manifest) if lease else self._api.create(LEASES, manifest))
        except (AlreadyExists, Conflict):
            return False
        except ApiError as error:
            logger.debug("the leader's Lease cannot be written", error=str(error)[:200])
            return False
        self._lease.learn(written)
        if not is_release:
            self._holds_until = asked_at + self._timing.renew_seconds
        return True

    def _manifest(self, lease: Manifest | None, *, is_release: bool) -> Manifest:
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (lease or {}).get("spec") or {}
        is_new = before.get("holderIdentity") != self._identity
        spec = {
            "holderIdentity": "" if is_release else self._identity,
            "leaseDurationSeconds": self._timing.lease_seconds,
            "acquireTime": now if is_new else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if lease and is_new else 0),
        }
        metadata: Manifest = {"name": self._name, "namespace": self._namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._timing.retry_seconds):
                lease = self._lease.get(self._namespace, self._name)
                if lease is not None and self._is_ours(lease):
                    await self._write(lease, is_release=True)
        except TimeoutError:
            return  # it expires by itself


async def _awaited(work: Callable[[], Awaitable[Any]]) -> None:
    await work()
