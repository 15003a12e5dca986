"""One target as the source sees it: its client, what is known of its chaperons, and whether it answers.

Everything about a target lives in one task group of its own. A dead or slow target delays its own pods only. Answers
count only if they come from the cluster that is on record (rule S4): while another one answers the target is as good as
unreachable, and what was read meanwhile is forgotten.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta

from federation.clock import Clock
from federation.controllers.lane import Lane
from federation.decisions.trust import INTACT
from federation.kinds import CLUSTER_SUMMARIES, POD_CHAPERONS
from federation.kube.api import Api
from federation.kube.errors import ApiError, Conflict, Forbidden, NotFound
from federation.kube.resources import INGRESSES, NAMESPACES, SERVICES
from federation.kube.store import NOT_LISTED, Store
from federation.kube.watch import follow
from federation.model.chaperon import Chaperon, parse_chaperon
from federation.model.copied import Copy, parse_copy
from federation.model.target import Target
from federation.names import PARENT_CLUSTER_NAME, SUMMARY_NAME, TARGET

PULSE_SECONDS = 10.0  # a kubelet renews its Lease as often
_PULSE_TIMEOUT_SECONDS = 5.0
_AWAY_SECONDS = 2.0  # between two questions while nobody answers: pods wait for one that is back
_ID_LENGTH_MAX = 253  # a UID has 36 characters
_CONFIRMED_FOR = timedelta(seconds=1)  # pods that end together share one look; a cluster is not replaced in a second

_COPIED = (SERVICES, INGRESSES)


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether a target answered when last asked; `since` is when that last changed, `message` why it did not."""

    is_reachable: bool
    since: datetime
    message: str


class Connection:
    """A target being followed. `run` does the work; everything else may be read at any time."""

    def __init__(
        self, target: Target, api: Api, cluster_name: str, clock: Clock, pulse_seconds: float = PULSE_SECONDS
    ) -> None:
        self.target = target
        self.api = api
        self.cluster_name = cluster_name
        self.chaperons: Store[Chaperon] = Store(parse_chaperon, {"parent": lambda chaperon: [chaperon.parent_key]})
        self.lane = Lane(target.name)  # all that others do there
        self.copies: dict[str, Store[Copy]] = {resource.plural: Store(parse_copy) for resource in _COPIED}
        self.pulse = Pulse(False, clock(), "not asked yet")
        self.cluster_id = ""  # of the cluster that answers; empty where it does not say (Admiralty's)
        self.has_answered = asyncio.Event()  # set after the first pulse, good or bad
        self.on_change: Callable[[], None] = lambda: None  # called when the target came, went or was first listed
        self._clock = clock
        self._pulse_seconds = pulse_seconds
        self._asks_now = asyncio.Event()
        self._anew = asyncio.Event()  # read everything again
        self._is_right = asyncio.Event()  # no other cluster than that on record answers
        self._is_right.set()
        self._was_read = False  # once as a whole, from the cluster on record
        self._confirming = asyncio.Lock()
        self._confirmed_at: datetime | None = None

    @property
    def selector(self) -> str:
        """The labels of this source's chaperons for this target."""
        return f"{PARENT_CLUSTER_NAME}={self.cluster_name},{TARGET}={self.target.label}"

    @property
    def trouble(self) -> str:
        """Why nothing in this target can be believed or written right now; empty where all is well."""
        if not self.pulse.is_reachable:
            return f"unreachable since {self.pulse.since:%H:%M}"
        if not self.chaperons.synced.is_set():
            return "its PodChaperons have not been listed yet"
        if self.chaperons.trouble:
            return f"its PodChaperons cannot be followed ({self.chaperons.trouble})"
        if self.cluster_id and not self.target.cluster_id:
            return "its cluster id is not on record yet"
        return "" if self.target.is_held or self.target.is_going else "its Target does not carry our finalizer yet"

    @property
    def is_kind_missing(self) -> bool:
        """Whether the target answers, but does not know PodChaperons (any more)."""
        return self.pulse.is_reachable and self.chaperons.trouble.startswith("404 ")

    @property
    def is_unread(self) -> bool:
        """Whether it answers, or may do so any moment, and what it holds has not been read yet (rule S5).

        One that has been read once, and is read again because it was away, holds up its own pods only (rule F4): what
        could surprise us there was seen the first time.
        """
        if self._was_read or self.chaperons.synced.is_set():
            return False
        return not self.has_answered.is_set() or (self.pulse.is_reachable and self.chaperons.trouble == NOT_LISTED)

    def take(self, target: Target) -> None:
        """Take in the Target as it is now: the same connection, another status or other marks."""
        is_news = _heeded(target) != _heeded(self.target)
        self.target = target
        if is_news:
            self.on_change()

    async def run(self) -> None:
        """Follow the target until cancelled."""
        self.chaperons.on_trouble = self.on_change
        for copies in self.copies.values():
            copies.on_trouble = self.on_change
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_following())
            group.create_task(self._keep_asking())

    async def _keep_following(self) -> None:
        while True:
            await self._is_right.wait()
            self._anew.clear()
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(one) for one in self._readings()]
                await self._anew.wait()
                for task in reading:
                    task.cancel()

    def _readings(self) -> list[Coroutine[None, None, None]]:
        """Return what reads all that is ours in the target."""
        namespace, ours = self.target.namespace, f"{PARENT_CLUSTER_NAME}={self.cluster_name}"
        chaperons = follow(self.api, POD_CHAPERONS, self.chaperons, namespace=namespace, label_selector=self.selector)
        return [chaperons] + [
            follow(self.api, resource, self.copies[resource.plural], namespace=namespace, label_selector=ours)
            for resource in (() if self.target.is_self else _COPIED)
        ]

    async def _keep_asking(self) -> None:
        self.api.on_back.append(self._on_back)
        while True:
            self._note(await self._ask())
            self._asks_now.clear()
            wait = self._pulse_seconds if self.pulse.is_reachable else min(self._pulse_seconds, _AWAY_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._asks_now.wait()

    def _on_back(self) -> None:
        """A watch was opened again: whoever answers is asked at once who it is (rule M8)."""
        if not self.pulse.is_reachable:
            self._asks_now.set()

    def unreadable(self, namespace: str, chaperon: str) -> str:
        """Why a chaperon that is there cannot be read, which is no reason to take it for gone; empty where it can."""
        reason = self.chaperons.unreadable.get((namespace, chaperon))
        return f"its PodChaperon {chaperon} cannot be read ({reason})" if reason else ""

    async def _ask(self) -> str:
        """Return why the target cannot be used, or an empty string; a missing summary is no trouble."""
        try:
            told = await self._told_id()
            self.cluster_id = await self._own_id() or told
        except NotFound as error:
            return f"it has no ClusterSummary kind ({error.message})"
        except ApiError as error:
            return str(error)
        return self._mismatch(self.cluster_id)

    async def _own_id(self) -> str:
        """Return the UID of the answering cluster's kube-system; empty where that may not be read."""
        with contextlib.suppress(Forbidden, NotFound):
            found = await self.api.look(NAMESPACES, "kube-system", timeout_seconds=_PULSE_TIMEOUT_SECONDS)
            return str(found["metadata"].get("uid") or "")
        return ""

    async def _told_id(self) -> str:
        """Return what the answering cluster's summary says of its id; a missing summary says nothing."""
        try:
            found = await self.api.look(CLUSTER_SUMMARIES, SUMMARY_NAME, timeout_seconds=_PULSE_TIMEOUT_SECONDS)
        except NotFound as error:
            if not error.is_about(SUMMARY_NAME):
                raise
            return ""
        told = found.get("clusterID")
        return told if isinstance(told, str) and len(told) <= _ID_LENGTH_MAX else ""

    def _mismatch(self, answering: str) -> str:
        recorded = self.target.cluster_id
        if answering == recorded or not recorded:
            return ""
        if not answering:
            return f"its cluster id (namespace kube-system) cannot be read any more, on record is {recorded}"
        return f"another cluster answers: its id is {answering}, on record is {recorded}"

    async def confirm(self) -> None:
        """Raise unless the cluster that answers is, live, the one on record; before what cannot be taken back."""
        async with self._confirming:
            now = self._clock()
            if self._confirmed_at is not None and now - self._confirmed_at < _CONFIRMED_FOR:
                return
            self.cluster_id = await self._own_id() or await self._told_id()
            if message := self._mismatch(self.cluster_id):
                self._note(message)
                raise Conflict(409, "Conflict", f"target {self.target.name}: {message}")
            self._confirmed_at = self._clock()

    def _note(self, message: str) -> None:
        is_reachable = not message
        was_away = self.has_answered.is_set() and not self.pulse.is_reachable
        self._trust(not self._mismatch(self.cluster_id), is_back=is_reachable and was_away)
        self._was_read = self._was_read or (is_reachable and self.chaperons.synced.is_set())
        is_news = is_reachable != self.pulse.is_reachable or not self.has_answered.is_set()
        if is_news:
            self.pulse = Pulse(is_reachable, self._clock(), message)
        elif message != self.pulse.message:
            self.pulse = Pulse(is_reachable, self.pulse.since, message)
        self.has_answered.set()
        if is_news:
            self.on_change()
        if is_reachable and was_away:
            self.lane.rouse()

    def _trust(self, is_right: bool, *, is_back: bool) -> None:
        """Read nothing while another cluster answers, and all anew afterwards; also when a target was away."""
        if is_right == self._is_right.is_set() and not is_back:
            return
        if is_right and not self._is_right.is_set():
            self._is_right.set()
            return
        if not is_right:
            self._is_right.clear()
        self.chaperons.distrust()
        for copies in self.copies.values():
            copies.distrust()
        self._anew.set()


def _heeded(target: Target) -> tuple[object, ...]:
    """Return what of a Target's marks and status decisions depend on."""
    doubted = target.condition(INTACT).get("status")
    return target.is_held, target.is_going, target.cluster_id, target.loss_accepted_at, doubted
