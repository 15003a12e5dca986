"""The load: so many pods made as fast as the API server takes them, until a watch has seen each of them run.

One watch and no lists: a load generator that lists all pods four times a second was seen to take as much of the API
server as the scheduling.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.names import ELECT

# kube-apiserver takes more, but then the pods queue there; with this many the load is never what is waited for.
CREATED_AT_ONCE = 32


class TooSlow(Exception):
    """Not all pods came as far as they should; the message says how far, and what one of them waits for."""


def pod(name: str, *, is_elected: bool) -> Manifest:
    """A small pod that any node can run."""
    # With the default grace, as most pods have it: one that ends at once would spare its kubelet a write.
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    container = {"name": "main", "image": "busybox", "command": ["sleep", "infinity"], "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench"}, "annotations": {ELECT: ""} if is_elected else {}},
        "spec": {"containers": [container]},
    }


def _phase(manifest: Manifest) -> str:
    return str((manifest.get("status") or {}).get("phase") or "Pending")


class Load:
    """Pods of one namespace, followed by one watch. Made by `following`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._sent: dict[str, float] = {}
        self._ran: dict[str, float] = {}
        self._missing: set[str] = set()
        self._is_complete = asyncio.Event()
        self.store: Store[str] = Store(_phase)
        self.store.subscribe(self._notice)

    async def run(self, names: Sequence[str], *, is_elected: bool, seconds: float) -> list[float]:
        """Make pods of these names and wait until they run; returns the seconds from POST to Running of each."""

        async def create(name: str) -> None:
            self._sent[name] = time.perf_counter()
            await self._api.create(PODS, pod(name, is_elected=is_elected), self._namespace)

        await self._do(create, names, "ran", seconds)
        return [self._ran[name] - self._sent[name] for name in names]

    async def delete(self, names: Sequence[str], *, seconds: float) -> None:
        """Delete these pods and wait until they are gone."""

        async def delete(name: str) -> None:
            with suppress(NotFound):
                await self._api.delete(PODS, name, self._namespace)

        await self._do(delete, names, "went", seconds)

    def elapsed_seconds(self, names: Sequence[str]) -> float:
        """From the first POST to the moment when the last of these pods ran."""
        return max(self._ran[name] for name in names) - min(self._sent[name] for name in names)

    def _notice(self, key: Key, old: str | None, new: str | None) -> None:
        name = key[1]
        if new == "Running" and name not in self._ran:
            self._ran[name] = time.perf_counter()
            self._missing.discard(name)
        elif new is None:
            self._missing.discard(name)
        if not self._missing:
            self._is_complete.set()

    async def _do(self, act: Callable[[str], Awaitable[None]], names: Sequence[str], what: str, seconds: float) -> None:
        slots = asyncio.Semaphore(CREATED_AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                await act(name)

        self._missing = set(names)
        self._is_complete.clear()
        await asyncio.gather(*(one(name) for name in names))
        try:
            async with asyncio.timeout(seconds):
                await self._is_complete.wait()
        except TimeoutError:
            left = sorted(self._missing)
            message = (
                f"{len(left)} of {len(names)} pods never {what} within {seconds:.0f} s; {await self._why(left[0])}"
            )
            raise TooSlow(message) from None

    async def _why(self, name: str) -> str:
        try:
            found = await self._api.get(PODS, name, self._namespace)
        except NotFound:
            return f"{name} is gone"
        status = found.get("status") or {}
        reasons = [f"{c['type']}: {c.get('message') or c['status']}" for c in status.get("conditions") or []]
        return (
            f"{name} is {status.get('phase')}, {'; '.join(reasons)}, finalizers {found['metadata'].get('finalizers')}"
        )


@asynccontextmanager
async def following(api: Api, namespace: str) -> AsyncIterator[Load]:
    """Follow the pods of a namespace for the length of the block."""
    load = Load(api, namespace)
    task = asyncio.create_task(follow(api, PODS, load.store, namespace=namespace))
    try:
        await load.store.synced.wait()
        yield load
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
