"""Judges "never two allowed" from outside: what the API servers said, not what any agent believes.

For every parent uid it keeps which clusters hold an allowed, non-terminating chaperon, and whether one was ever seen
allowed at its first event (rule S2: created not allowed).
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.api import Api, Manifest
from federation.kube.store import Key, Store, Subscriber
from federation.kube.watch import follow


class Watcher:
    """What was seen; `breaches` are sentences, none in a sound federation."""

    def __init__(self) -> None:
        self.breaches: list[str] = []
        self._allowed: dict[str, set[str]] = defaultdict(set)

    @classmethod
    @asynccontextmanager
    async def watching(cls, apis: Mapping[str, Api]) -> AsyncIterator["Watcher"]:
        """Watch all clusters for the length of the block."""
        watcher = cls()
        stores = {cluster: Store[Manifest](lambda manifest: manifest) for cluster in apis}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(follow(apis[name], POD_CHAPERONS, store)) for name, store in stores.items()]
            await asyncio.gather(*(store.synced.wait() for store in stores.values()))
            for name, store in stores.items():
                store.subscribe(watcher.of(name))
            yield watcher
            for task in tasks:
                task.cancel()

    def of(self, cluster: str) -> Subscriber[Manifest]:
        """Return what to call with each change in a cluster."""

        def changed(key: Key, old: Manifest | None, new: Manifest | None) -> None:
            self.take(cluster, old, new)

        return changed

    def take(self, cluster: str, old: Manifest | None, new: Manifest | None) -> None:
        """Take in one change of a chaperon."""
        manifest = new or old
        assert manifest is not None
        uid = (manifest["metadata"].get("labels") or {}).get(names.PARENT_UID, "")
        name = f"{manifest['metadata'].get('namespace')}/{manifest['metadata']['name']}"
        if new is not None and _is_allowed(new):
            if old is None:
                self.breaches.append(f"{cluster}: {name} was allowed from its first moment")
            if not new["metadata"].get("deletionTimestamp"):
                self._allowed[uid].add(cluster)
        if new is None or new["metadata"].get("deletionTimestamp") or not _is_allowed(new):
            self._allowed[uid].discard(cluster)
        if len(self._allowed[uid]) > 1:
            self.breaches.append(f"{name} is allowed in {sorted(self._allowed[uid])} at once")


def _is_allowed(manifest: Manifest) -> bool:
    return names.IS_ALLOWED in (manifest["metadata"].get("annotations") or {})
