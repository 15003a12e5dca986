"""One target as the source sees it: its client, what is known of its chaperons, and whether it answers.

Everything about a target lives in one task group of its own. A dead or slow target delays its own pods only.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson

from federation.clock import Clock
from federation.kinds import CLUSTER_SUMMARIES, POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import ApiError, NotFound
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.target import Target
from federation.names import PARENT_CLUSTER_NAME, SUMMARY_NAME, TARGET

PULSE_SECONDS = 10.0  # a kubelet renews its Lease as often
_PULSE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether a target answered when last asked; `since` is when that last changed, `message` why it did not."""

    is_reachable: bool
    since: datetime
    message: str


class Connection:
    """A target being followed. `run` does the work; everything else may be read at any time."""

    def __init__(self, target: Target, api: Api, cluster_name: str, clock: Clock) -> None:
        self.target = target
        self.api = api
        self.cluster_name = cluster_name
        self.chaperons: Store[Chaperon] = Store(parse_chaperon, {"parent": lambda chaperon: [chaperon.parent_key]})
        self.pulse = Pulse(False, clock(), "not asked yet")
        self.cluster_id = ""  # as the target's summary says; empty where it has none (Admiralty's)
        self.has_answered = asyncio.Event()  # set after the first pulse, good or bad
        self.on_change: Callable[[], None] = lambda: None  # called when the target came, went or was first listed
        self._clock = clock

    @property
    def trouble(self) -> str:
        """Why nothing in this target can be believed or written right now; empty where all is well."""
        if not self.pulse.is_reachable:
            return f"unreachable since {self.pulse.since:%H:%M}"
        return "" if self.chaperons.synced.is_set() else "its PodChaperons have not been listed yet"

    async def run(self) -> None:
        """Follow the target until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                follow(
                    self.api,
                    POD_CHAPERONS,
                    self.chaperons,
                    namespace=self.target.namespace,
                    label_selector=f"{PARENT_CLUSTER_NAME}={self.cluster_name},{TARGET}={self.target.label}",
                )
            )
            group.create_task(self._keep_asking())
            await self.chaperons.synced.wait()
            self.on_change()

    async def _keep_asking(self) -> None:
        while True:
            self._note(await self._ask())
            await asyncio.sleep(PULSE_SECONDS)

    async def _ask(self) -> str:
        """Return why the target cannot be used, or an empty string; a missing summary is no trouble."""
        path = CLUSTER_SUMMARIES.path(name=SUMMARY_NAME)
        try:
            answer = await self.api.request("GET", path, timeout_seconds=_PULSE_TIMEOUT_SECONDS)
            self.cluster_id = str(orjson.loads(answer.body).get("clusterID") or "")
        except NotFound as error:
            return "" if error.is_about(SUMMARY_NAME) else f"it has no ClusterSummary kind ({error.message})"
        except ApiError as error:
            return str(error)
        return ""

    def _note(self, message: str) -> None:
        is_reachable = not message
        is_news = is_reachable != self.pulse.is_reachable or not self.has_answered.is_set()
        if is_news:
            self.pulse = Pulse(is_reachable, self._clock(), message)
        elif message != self.pulse.message:
            self.pulse = Pulse(is_reachable, self.pulse.since, message)
        self.has_answered.set()
        if is_news:
            self.on_change()
