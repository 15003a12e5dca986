"""What an agent has learnt of its targets while it led: hints about whom to ask next (rules F1-F3).

Per target: how many questions are unanswered and how many it may bear, how long answers take, which shapes of pods it
refused and which of their candidates are there, and who waits in line, by priority and age. Beside that what is taken
of each target's room, kept up by each change instead of counted anew. All of it comes from the stores' changes and may
be lost at any time; nothing that must hold depends on it.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.controllers.lane import Progress, errand_key
from federation.controllers.ledger import Ledger
from federation.decisions import asking
from federation.decisions.asking import PROBES, Odds, Refusal, Window
from federation.kube.resources import PODS
from federation.kube.store import Key, Store
from federation.kube.workqueue import Workqueue
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.quantity import Amounts
from federation.model.scheduling import SchedulingNode

_ANSWERS_KEPT = 50  # enough for a p90, few enough to follow the load
_LOOK_AGAIN_SECONDS = 1.0
# Our clock and the API server's differ: a pod that it dates to our term may be older. Too long, more pods keep
# finalizers of targets that were never asked, and cost a request each.
_APART = timedelta(seconds=5)
Rank = tuple[int, datetime, str]
_UNKNOWN_AGE = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Lore:
    """What is known of one target, by its virtual node."""

    window: Window = field(default_factory=Window)
    answer_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_ANSWERS_KEPT))
    patience_seconds: float = asking.PATIENCE_SECONDS_MIN  # follows from answer_seconds, at each answer
    unanswered: dict[str, datetime] = field(default_factory=dict)  # pod uid -> when it was asked
    heard_at: datetime | None = None  # when it last answered anybody
    candidates: dict[str, dict[str, Rank]] = field(default_factory=dict)  # shape -> unreserved ones, by pod uid
    refused: dict[str, set[str]] = field(default_factory=dict)  # shape -> pod uids
    refusals: dict[str, Refusal] = field(default_factory=dict)  # shape -> the memory
    rejected: set[str] = field(default_factory=set)  # shapes whose chaperon the API server itself refused
    lines: dict[str, list[tuple[Rank, Key]]] = field(default_factory=dict)  # shape -> a heap of those who wait
    in_line: set[Key] = field(default_factory=set)


class Experience:
    """Answers `odds(...)` for placement; told of every change by the wiring."""

    def __init__(self, clock: Clock) -> None:
        self.wake: Callable[[Key], None] = lambda _: None  # looks at a proxy again; set by the wiring
        self._clock = clock
        self._lore: dict[str, _Lore] = {}
        self._shapes: dict[str, str] = {}
        self._ranks: dict[str, Rank] = {}
        self._asked: dict[str, set[str]] = {}  # pods that were seen from their beginning -> nodes ever asked
        self._known_from: datetime | None = (
            None  # pods made since then were asked nowhere but by us; None: we do not lead
        )
        self.taken = Ledger()
        self.queue: Workqueue[str] = Workqueue("lines", self.reconcile, workers=1, everything=lambda: None)

    # -- what happened -----------------------------------------------------------------------------------------------

    def begin_term(self) -> None:
        """Begin anew: what there was before, another replica asked, was answered and may have taken back (M9)."""
        self._lore = {node_name: _Lore() for node_name in self._lore}
        self._shapes.clear()
        self._asked.clear()
        self._known_from = self._clock() + _APART

    def end_term(self) -> None:
        """Another replica may ask from now on."""
        self._known_from = None
        self._asked.clear()

    def follow_pods(self, pods: Store[ProxyPod]) -> None:
        """Learn from every change of a proxy; those made before our term were perhaps asked by another replica."""
        pods.subscribe(self._on_pod)

    def follow_target(self, connection: Connection) -> None:
        """Learn from every change of a target's chaperons; what was known of an earlier connection is forgotten."""
        node = connection.target.node_name
        self._lore[node] = _Lore()
        connection.chaperons.subscribe(lambda _, old, new: self._on_chaperon(node, old, new))

    def on_node(self, node_name: str, old: SchedulingNode | None, new: SchedulingNode | None) -> None:
        """Believe no refusal any more where room was added."""
        if old is None or new is None or not _has_grown(old.allocatable, new.allocatable):
            return
        lore = self._of(node_name)
        lore.refusals = {shape: refusal.over(self._clock()) for shape, refusal in lore.refusals.items()}
        self.queue.add(node_name)

    def asked(self, proxy: ProxyPod, node_name: str) -> None:
        """Note that a question is being put; one that could not be put before was asked then."""
        lore = self._of(node_name)
        lore.unanswered.setdefault(proxy.uid, self._clock())
        if shape := self._shapes.get(proxy.uid):
            lore.candidates.setdefault(shape, {})[proxy.uid] = _rank(proxy)
        self._asked.get(proxy.uid, set()).add(node_name)
        self.taken.add(proxy.uid, node_name, proxy.requests)

    def unasked(self, proxy: ProxyPod, node_name: str) -> None:
        """Note that a question was never put, and is not wanted any more."""
        lore = self._of(node_name)
        lore.unanswered.pop(proxy.uid, None)
        lore.candidates.get(self._shapes.get(proxy.uid, ""), {}).pop(proxy.uid, None)
        self.taken.remove(proxy.uid, node_name)
        self.queue.add(node_name)

    def rejected(self, proxy: ProxyPod, node_name: str, message: str) -> None:
        """Note that a target's API server refused the chaperon itself (quota, no such namespace, admission)."""
        lore, shape = self._of(node_name), self._shapes.get(proxy.uid, "")
        lore.unanswered.pop(proxy.uid, None)
        lore.candidates.get(shape, {}).pop(proxy.uid, None)
        lore.refusals[shape] = Refusal.after(lore.refusals.get(shape), message, self._clock())
        lore.rejected.add(shape)
        self.taken.remove(proxy.uid, node_name)
        self.queue.add(node_name)

    def stands_in_line(self, proxy: ProxyPod, node_name: str) -> None:
        """Note that a pod would ask a target if it might: it is woken when things have changed, never at once."""
        lore, key = self._of(node_name), (proxy.namespace, proxy.name)
        if key in lore.in_line:
            return
        lore.in_line.add(key)
        shape = self._shapes.get(proxy.uid, "")
        heapq.heappush(lore.lines.setdefault(shape, []), (_rank(proxy), key))
        # Whoever was woken, did not ask, and stands here again would otherwise be woken again for ever.
        self.queue.add(node_name, after=_pause_seconds(lore.refusals.get(shape), self._clock()))

    def _on_pod(self, key: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        if old is not None and (new is None or new.uid != old.uid or (new.node_name and not old.node_name)):
            self._forget(key, old.uid)
        if new is None:
            return
        if new.node_name:
            self.taken.settle(new.uid, "" if new.is_finished else new.node_name, new.requests)
        elif (old is None or old.uid != new.uid) and new.gates and self._is_ours_alone(new):
            self._asked[new.uid] = set()

    def _is_ours_alone(self, proxy: ProxyPod) -> bool:
        """Whether nobody but us can have asked for a pod: it was made in our term (a watch may be late to tell)."""
        return self._known_from is not None and proxy.created_at is not None and proxy.created_at >= self._known_from

    def _forget(self, key: Key, uid: str) -> None:
        self.taken.settle(uid, "", {})
        self._asked.pop(uid, None)
        shape = self._shapes.pop(uid, "")
        for node_name, lore in self._lore.items():
            lore.in_line.discard(key)
            if lore.unanswered.pop(uid, None) is not None:
                self.queue.add(node_name)
            _drop(lore, shape, uid)

    def _on_chaperon(self, node_name: str, old: Chaperon | None, new: Chaperon | None) -> None:
        chaperon = new or old
        assert chaperon is not None
        lore, uid = self._of(node_name), chaperon.parent_uid
        shape = self._shapes.get(uid, "")
        if new is None or new.is_terminating:
            lore.unanswered.pop(uid, None)
            _drop(lore, shape, uid)
            if new is None:
                self.taken.remove(uid, node_name)
        elif new.is_reserved or new.is_allowed:
            lore.heard_at = self._clock()
            self._on_reserved(lore, shape, uid)
        elif new.refusal:
            lore.heard_at = self._clock()
            if uid in lore.unanswered or old is None or old.refusal != new.refusal:
                self._on_refused(lore, shape, uid, new.refusal)
        elif uid not in lore.unanswered and shape:
            lore.unanswered[uid] = self._clock()  # asked by an agent before us, or its reservation was lost
        self.queue.add(node_name)

    def _on_reserved(self, lore: _Lore, shape: str, uid: str) -> None:
        asked_at = lore.unanswered.pop(uid, None)
        if asked_at is not None:
            lore.answer_seconds.append((self._clock() - asked_at).total_seconds())
            lore.patience_seconds = asking.patience_seconds(lore.answer_seconds)
            lore.window = lore.window.grown()
        if asked_at is not None or uid in lore.refused.get(shape, ()):
            lore.refusals.pop(shape, None)
            lore.rejected.discard(shape)
        _drop(lore, shape, uid)

    def _on_refused(self, lore: _Lore, shape: str, uid: str, message: str) -> None:
        if lore.unanswered.pop(uid, None) is not None:
            lore.window = lore.window.halved(self._clock())
        if shape:
            lore.refused.setdefault(shape, set()).add(uid)
            lore.rejected.discard(shape)  # its API server takes them
            lore.refusals[shape] = Refusal.after(lore.refusals.get(shape), message, self._clock())

    # -- what follows from it ----------------------------------------------------------------------------------------

    def odds(self, proxy: ProxyPod, connection: Connection, node: SchedulingNode | None) -> Odds:
        """Return what is known of a target, for one unbound proxy whose shape is known (see `knows`)."""
        name, now = connection.target.node_name, self._clock()
        lore, shape = self._of(name), self._shapes.get(proxy.uid, "")
        refusal = lore.refusals.get(shape)
        is_refused = refusal is not None and refusal.is_believed(now)
        others = self.taken.of(name, but=proxy.uid)
        asked_at, key = lore.unanswered.get(proxy.uid), errand_key(PODS, proxy.namespace, proxy.name)
        progress = connection.lane.progress(key) if asked_at is not None else Progress.NONE
        return Odds(
            room=asking.room(node.allocatable, others, proxy.requests) if node else None,
            weight=connection.target.weight,
            is_open=len(lore.unanswered) < lore.window.size,
            is_refused=is_refused,
            is_probed=_may_ask(lore, shape, now) <= 0,
            is_surplus=is_refused and self._is_surplus(lore, shape, proxy.uid),
            asked_at=asked_at,
            is_on_its_way=progress is Progress.UNDER_WAY,
            is_failing=progress is Progress.FAILING,
            heard_at=lore.heard_at,
            patience_seconds=lore.patience_seconds,
            was_asked=name in self._asked.get(proxy.uid, {name}),
            remark=f"no room for pods like it: {refusal.message}"
            if refusal and is_refused
            else connection.lane.trouble(key),
        )

    def _is_surplus(self, lore: _Lore, shape: str, uid: str) -> bool:
        if uid not in lore.refused.get(shape, ()):
            return False
        candidates = lore.candidates.get(shape, {})
        return uid not in heapq.nsmallest(PROBES, candidates, key=lambda one: candidates[one])

    def knows(self, proxy: ProxyPod) -> bool:
        """Whether the shape of a proxy is known."""
        return proxy.uid in self._shapes

    def learn(self, proxy: ProxyPod, shape: str) -> None:
        """Remember the shape of a proxy."""
        self._shapes[proxy.uid] = shape

    async def reconcile(self, node_name: str) -> float | None:
        """Let those at the head of a target's lines ask, as many as it may bear; returns when to look again."""
        lore, now = self._of(node_name), self._clock()
        free = lore.window.size - len(lore.unanswered)
        may_ask = {shape: _may_ask(lore, shape, now) for shape in lore.lines}
        for _ in range(max(free, 0)):
            heads = [(line[0], shape) for shape, line in lore.lines.items() if may_ask[shape] > 0]
            if not heads:
                break
            (_, key), shape = min(heads)
            heapq.heappop(lore.lines[shape])
            if not lore.lines[shape]:
                del lore.lines[shape]
            if key in lore.in_line:
                lore.in_line.discard(key)
                may_ask[shape] -= 1
                self.wake(key)
        return min((_pause_seconds(lore.refusals.get(shape), now) for shape in lore.lines), default=None)

    def _of(self, node_name: str) -> _Lore:
        return self._lore.setdefault(node_name, _Lore())


def _may_ask(lore: _Lore, shape: str, now: datetime) -> float:
    """How many more pods of a shape may ask: four probes while its refusal is believed, one more to see if it holds."""
    refusal = lore.refusals.get(shape)
    if refusal is None:
        return math.inf
    is_believed = refusal.is_believed(now)
    if is_believed and shape in lore.rejected:
        return 0
    return PROBES + (not is_believed) - len(lore.candidates.get(shape, ()))


def _pause_seconds(refusal: Refusal | None, now: datetime) -> float:
    """When to look at a line again: as the back-off ends, and soon where whoever was woken may not have asked."""
    if refusal is not None and refusal.is_believed(now):
        return (refusal.until - now).total_seconds()
    return _LOOK_AGAIN_SECONDS


def _drop(lore: _Lore, shape: str, uid: str) -> None:
    for by_shape in (lore.candidates, lore.refused):
        pods = by_shape.get(shape)
        if pods is not None and uid in pods:
            if isinstance(pods, dict):
                del pods[uid]
            else:
                pods.discard(uid)
            if not pods:
                del by_shape[shape]


def _rank(proxy: ProxyPod) -> Rank:
    """By priority, then age; the uid decides between pods of one second."""
    return -proxy.priority, proxy.created_at or _UNKNOWN_AGE, proxy.uid


def _has_grown(old: Amounts, new: Amounts) -> bool:
    return any(value > old.get(name, 0) for name, value in new.items())
