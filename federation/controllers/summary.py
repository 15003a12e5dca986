"""Keeps, in a target, the ClusterSummary `singleton` equal to what its nodes and its own pods leave for others.

At most one write a second, however much happens: sources watch it, and a moment's difference is of no use to them.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from loguru import logger

from federation.clock import Clock
from federation.decisions.capacity import summarise
from federation.kinds import CLUSTER_SUMMARIES
from federation.kube.api import Api, Manifest
from federation.kube.errors import NotFound
from federation.kube.store import Store
from federation.model.summary import ClusterNode, Occupant, Summary
from federation.names import HAS_FINALIZER, PARENT_UID, SUMMARY_NAME

OCCUPANTS = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
"""Field selector of the pods that take room; with it the API server sends no others."""

NOT_FEDERATED = f"!{PARENT_UID},!{HAS_FINALIZER}"
"""Label selector of the pods that count: neither delegates nor proxies. They are most of the news in a busy federation,
and each of their changes would be sent, parsed and passed over."""

_PAUSE = timedelta(seconds=1)


class Summaries:
    """Reconciles the summary; whatever the key, there is one."""

    def __init__(
        self,
        *,
        api: Api,
        cluster_id: str,
        cluster_name: str,
        nodes: Store[ClusterNode],
        occupants: Store[Occupant],
        summaries: Store[Summary],
        clock: Clock,
    ) -> None:
        self._api = api
        self._cluster_id = cluster_id
        self._cluster_name = cluster_name
        self._nodes = nodes
        self._occupants = occupants
        self._summaries = summaries
        self._clock = clock
        self._written_at: datetime | None = None

    async def reconcile(self, _: str) -> float | None:
        """Write the summary if it differs from what is there."""
        now = self._clock()
        if self._written_at is not None and (rest := self._written_at + _PAUSE - now) > timedelta(0):
            return rest.total_seconds()
        counted = summarise(self._cluster_id, self._nodes.values(), self._occupants.values())
        wanted = replace(counted, cluster_name=self._cluster_name)
        if wanted == self._summaries.get("", SUMMARY_NAME):
            return None
        self._written_at = now
        await self._write(wanted)
        return None

    async def _write(self, wanted: Summary) -> None:
        try:
            current = await self._api.get(CLUSTER_SUMMARIES, SUMMARY_NAME)
        except NotFound:
            await self._api.create(CLUSTER_SUMMARIES, wanted.manifest())
            logger.info("cluster summary made", nodes=len(self._nodes))
            return
        await self._api.patch(CLUSTER_SUMMARIES, SUMMARY_NAME, _replacing(current, wanted.manifest()))


def _replacing(current: Manifest, wanted: Manifest) -> Manifest:
    """Return the merge patch that also removes labels and resources which are no more."""
    metadata = current["metadata"]
    labels = dict.fromkeys(metadata.get("labels") or {}) | wanted["metadata"]["labels"]
    patch = {
        name: dict.fromkeys(current.get(name) or {}) | value if isinstance(value, dict) else value
        for name, value in wanted.items()
        if name != "metadata"
    }
    held = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return patch | {"metadata": {"labels": labels, **held}}
