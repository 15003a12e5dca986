"""Whom to ask for room, and when to ask more: the likeliest first, and on evidence twice as many (rules F1-F3).

Every question costs its target a chaperon and a pod, so its number must not grow with the number of targets. Evidence
is a refusal, or silence for longer than a target usually takes. What is remembered of targets (how many unanswered
questions they bear, which shapes of pods they refused) is a hint: losing it costs questions, never a wrong answer.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from federation.model.chaperon import Chaperon
from federation.model.pod import Asking
from federation.model.quantity import Amounts

WINDOW_MIN = 4  # a target that refuses everything is still probed
WINDOW_START = 32  # a second's work for a small target; a large one grows it within seconds
WINDOW_MAX = 1024  # beyond it the target's scheduler is the limit, and order is kept better here
PROBES = 4  # refused candidates of one shape that stay in a target: enough to notice room, few enough to cost little
PATIENCE_SECONDS_MIN = 1.0  # an idle target answers in a third of that
SILENCE_SECONDS_MAX = 2.0  # a target under load says something to somebody more often than that (rule F4)
_PATIENCE_FACTOR = 3.0  # times a target's p90: under load slow answers are no evidence
_HALVING = timedelta(seconds=1)  # a batch of refusals is one piece of news
_BACKOFF_SECONDS_MIN = 5.0
_BACKOFF_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Odds:
    """What is known of one target, for one pod.

    `room` is the share of the target that would be left of the scarcest resource, negative where the pod does not
    fit, None where nothing is known. `is_refused`: a pod of this shape was refused there lately; `is_probed`: it was
    refused, lately or not, and enough others wait there to notice room. `is_surplus`: this pod's own refused candidate
    is not one of these. `asked_at` is when its unanswered question was put; `is_on_its_way`: the target's API server
    has not taken it yet, `is_failing`: nor could it the last time, and it will be tried again. `heard_at` is when the
    target last answered anybody. `was_asked` is False only if it surely never was.
    """

    room: float | None = None
    weight: int = 1
    is_open: bool = True
    is_refused: bool = False
    is_probed: bool = False
    is_surplus: bool = False
    asked_at: datetime | None = None
    is_on_its_way: bool = False
    is_failing: bool = False
    heard_at: datetime | None = None
    patience_seconds: float = PATIENCE_SECONDS_MIN
    was_asked: bool = True
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One target a pod may ask: its node, the odds, and the chaperon already there."""

    node_name: str
    odds: Odds
    chaperon: Chaperon | None

    @property
    def is_put(self) -> bool:
        """Whether the question is on its way, and no chaperon is seen yet."""
        return self.chaperon is None and (self.odds.is_on_its_way or self.odds.is_failing)

    @property
    def is_asked(self) -> bool:
        """Whether it was asked, and may answer yet."""
        return self.is_put or (self.chaperon is not None and not self.chaperon.is_terminating)

    def overdue_at(self, now: datetime) -> datetime:
        """When silence becomes evidence.

        Under load slow answers are none: a busy target is given three times what it usually takes. But one that says
        nothing to anybody, or does not even take the question, is not busy.
        """
        asked_at = self.odds.asked_at or now
        heard_at = asked_at if self.chaperon is None else max(asked_at, self.odds.heard_at or asked_at)
        usually = asked_at + timedelta(seconds=self.odds.patience_seconds)
        return min(usually, heard_at + timedelta(seconds=SILENCE_SECONDS_MAX))

    def is_evidence(self, now: datetime) -> bool:
        """Whether its answer was no, is overdue, or cannot be had at the moment."""
        is_refused = self.chaperon is not None and bool(self.chaperon.refusal)
        return is_refused or (self.is_put and self.odds.is_failing) or now >= self.overdue_at(now)


@dataclass(frozen=True, slots=True)
class Questions:
    """Whom to ask now, whose candidate to withdraw (by node name), and when silence will be evidence.

    `ask` includes those whose question is on its way: it is wanted still.
    """

    ask: tuple[str, ...] = ()
    withdraw: tuple[str, ...] = ()
    look_again_seconds: float | None = None


def questions(asking: Asking, tiebreak: str, choices: Sequence[Choice], now: datetime) -> Questions:
    """Return what to ask next for an unbound pod that holds no reservation.

    `choices` are the targets that the pod may go to and that can be reached; `tiebreak` is the pod's UID.
    """
    asked = [c for c in choices if c.is_asked]
    put = tuple(c.node_name for c in asked if c.is_put)
    surplus = tuple(c.node_name for c in asked if c.odds.is_surplus)
    free = [c for c in choices if c.chaperon is None and not c.is_put and _may_be_asked(c.odds, asking)]
    free.sort(key=lambda choice: _likelihood(choice, tiebreak))
    if asking is Asking.ALL:
        return Questions((*put, *(c.node_name for c in free)), surplus)
    waits = [(c.overdue_at(now) - now).total_seconds() for c in asked if not c.is_evidence(now)]
    if waits:
        return Questions(put, surplus, max(min(waits), 0.05))
    if asking is Asking.ONE:
        return _one_after_another(choices, free, surplus, now)
    return _asking(free[: max(len(asked), 1)], put, surplus, now)


def _one_after_another(
    choices: Sequence[Choice], free: list[Choice], surplus: tuple[str, ...], now: datetime
) -> Questions:
    """All that were asked have said no, or nothing: the next is asked once nothing is left of them (rule F3)."""
    put = [c for c in choices if c.is_put]
    if any(not c.odds.is_failing for c in put):
        return Questions(tuple(c.node_name for c in put), surplus)  # what became of it is known as its errand ends
    if held := [c for c in choices if c.is_asked and not c.is_put]:
        return Questions((), tuple(c.node_name for c in held) if free else surplus)
    if any(c.chaperon is not None for c in choices):
        return Questions()  # the last one is still going
    return _asking(free[:1] or put[:1], (), surplus, now)


def _asking(new: list[Choice], put: tuple[str, ...], surplus: tuple[str, ...], now: datetime) -> Questions:
    waits = [(choice.overdue_at(now) - now).total_seconds() for choice in new]
    return Questions((*put, *(choice.node_name for choice in new)), surplus, max(min(waits), 0.05) if waits else None)


def _may_be_asked(odds: Odds, asking: Asking) -> bool:
    return odds.is_open and not (odds.is_probed or (odds.is_refused and asking is Asking.ONE))


def _likelihood(choice: Choice, tiebreak: str) -> tuple[bool, bool, float, str]:
    """Sort key, the likeliest first; equal targets take turns by the pod's UID."""
    odds = choice.odds
    fits = odds.room is None or odds.room >= 0
    share = 0.5 if odds.room is None else max(odds.room, 0.0)
    turn = hashlib.sha256(f"{tiebreak}/{choice.node_name}".encode()).hexdigest()[:8]
    return not fits, odds.is_refused, -round(odds.weight * share, 2), turn


def room(allocatable: Amounts, taken: Amounts, requests: Amounts) -> float | None:
    """Return the share of the scarcest requested resource that a pod would leave; negative where it does not fit."""
    if not allocatable:
        return None
    shares = []
    for name, wanted in requests.items():
        there = allocatable.get(name, 0)
        left = there - taken.get(name, 0) - wanted
        shares.append(left / there if there > 0 else (-1.0 if wanted else 1.0))
    return min(shares, default=1.0)


@dataclass(frozen=True, slots=True)
class Window:
    """How many unanswered questions a target may bear: grows by each reservation, halves on refusals (rule F1)."""

    size: int = WINDOW_START
    halved_at: datetime | None = None

    def grown(self) -> "Window":
        """Return the window after a reservation."""
        return replace(self, size=min(self.size + 1, WINDOW_MAX))

    def halved(self, now: datetime) -> "Window":
        """Return the window after a refusal."""
        if self.halved_at is not None and now - self.halved_at < _HALVING:
            return self
        return Window(max(self.size // 2, WINDOW_MIN), now)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A target has no room for a shape: how often it said so in a row, until when that is believed, and its words."""

    count: int
    until: datetime
    message: str

    @classmethod
    def after(cls, before: "Refusal | None", message: str, now: datetime) -> "Refusal":
        """Return the memory after one more refusal; within a back-off further ones are the same news."""
        if before is not None and before.is_believed(now):
            return replace(before, message=message)
        count = before.count + 1 if before else 1
        seconds = min(_BACKOFF_SECONDS_MIN * 2 ** min(count - 1, 10), _BACKOFF_SECONDS_MAX)
        return cls(count, now + timedelta(seconds=seconds), message)

    def is_believed(self, now: datetime) -> bool:
        """Whether the back-off goes on."""
        return now < self.until

    def over(self, now: datetime) -> "Refusal":
        """Return the memory with its back-off ended: what is refused again counts from the start."""
        return Refusal(0, min(self.until, now), self.message)


def patience_seconds(answer_seconds: Sequence[float]) -> float:
    """Return how long silence is no evidence, from a target's recent answer times."""
    if not answer_seconds:
        return PATIENCE_SECONDS_MIN
    ordered = sorted(answer_seconds)
    p90 = ordered[min(int(len(ordered) * 0.9), len(ordered) - 1)]
    return max(PATIENCE_SECONDS_MIN, _PATIENCE_FACTOR * p90)


_CONSTRAINTS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "priorityClassName",
    "overhead",
    "runtimeClassName",
    "resourceClaims",
    "hostNetwork",
    "nodeName",
    "resources",
)


def shape(namespace: str, spec: Mapping[str, Any]) -> str:
    """Return a hash of what a scheduler looks at in a pod's spec as submitted: pods of one shape share their fate."""
    seen: dict[str, Any] = {key: spec[key] for key in _CONSTRAINTS if spec.get(key)}
    for kind in ("containers", "initContainers"):
        seen[kind] = [_asks(container) for container in spec.get(kind) or []]
    seen["claims"] = sorted(_claims(spec.get("volumes") or []))
    return hashlib.sha256(json.dumps([namespace, seen], sort_keys=True).encode()).hexdigest()[:16]


def _asks(container: Mapping[str, Any]) -> list[Any]:
    resources = container.get("resources") or {}
    ports = sorted(port["hostPort"] for port in container.get("ports") or [] if "hostPort" in port)
    return [resources.get("requests"), resources.get("claims"), ports, container.get("restartPolicy")]


def _claims(volumes: Iterable[Mapping[str, Any]]) -> list[str]:
    named = [v["persistentVolumeClaim"].get("claimName", "") for v in volumes if v.get("persistentVolumeClaim")]
    return [*named, *("(ephemeral)" for volume in volumes if volume.get("ephemeral"))]


def wanted_asking(submitted: Mapping[str, Any], constraints: Mapping[str, Any]) -> Asking:
    """Return how a pod's targets are to be asked, where its owner did not say.

    `submitted` is the spec as submitted, which may name claims; `constraints` that of the proxy, which may make the
    source's scheduler compare targets.
    """
    if submitted.get("resourceClaims") or _claims(submitted.get("volumes") or []):
        return Asking.ONE
    affinity = constraints.get("affinity") or {}
    preferred = (affinity.get("nodeAffinity") or {}).get("preferredDuringSchedulingIgnoredDuringExecution")
    compares = constraints.get("topologySpreadConstraints") or preferred
    if compares or affinity.get("podAffinity") or affinity.get("podAntiAffinity"):
        return Asking.ALL
    return Asking.LIKELIEST
