"""The two-phase protocol as a machine: any interleaving of stale agents, crashes, targets and the source's scheduler.

Targets may be deleted at any time (rule M7), and a target's owner may delete a chaperon at any time (rule S7). What is
allowed may start, unseen: a start that was fed back is nothing that safety could rest on.

The world is the least that the rule speaks of: one proxy in the source, a chaperon in each target, versions. Agents
decide by the real `decide`, on what they last saw; their writes meet the same checks as in the shell. The judge looks
at the world only. Mutants show that the judge can tell: one allows before the Binding, one spares the losers, one
believes that a pod whose start it has not seen has not started.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from federation.decisions import intents, placement
from federation.decisions.intents import Plan, TargetView
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.times import parse_time
from tests.decisions.pods import NOW, chaperon, finalizers, proxy, target

TARGETS = ("a", "b")
LONG_AGO = "2026-11-23T11:00:00Z"
Decide = Callable[[ProxyPod | None, tuple[TargetView, ...]], Plan]


@dataclass(frozen=True)
class Held:
    """A chaperon: what may be marked on it, its version, and the how-manieth it is."""

    reserved: bool = False
    allowed: bool = False
    terminating: bool = False
    version: int = 1
    number: int = 0


@dataclass(frozen=True)
class Seen:
    """The world, or what an agent remembers of it."""

    node: str = ""
    gated: bool = True
    pinned: tuple[str, ...] = ()
    terminating: bool = False
    phase: str = "Pending"
    disruption: str = ""
    is_there: bool = True
    finalizers: tuple[str, ...] = TARGETS
    going: frozenset[str] = frozenset()
    version: int = 1
    records: frozenset[tuple[str, int]] = frozenset()  # chaperons by number
    never_allowed: frozenset[int] = frozenset()  # those that were seen to go so: the agent's alone, lost as it restarts
    chaperons: dict[str, Held | None] = field(default_factory=lambda: dict.fromkeys(TARGETS))

    def proxy(self) -> ProxyPod | None:
        """The proxy, as decisions get it."""
        if not self.is_there:
            return None
        return proxy(
            node=self.node,
            gated=self.gated,
            phase=self.phase,
            disruption=self.disruption,
            terminating=self.terminating,
            finalizers=finalizers(*self.finalizers),
            ungated_at="" if self.gated else LONG_AGO,
            pinned=self.pinned,
            records=tuple((name, f"number-{number}") for name, number in sorted(self.records)),
        )

    def views(self) -> tuple[TargetView, ...]:
        """The targets, as decisions get them."""
        return tuple(
            target(
                name,
                *([_chaperon(held)] if held else []),
                is_going=name in self.going,
                asked_at=parse_time(LONG_AGO),
                was_never_allowed=dict(self.records).get(name) in self.never_allowed,
            )
            for name, held in self.chaperons.items()
        )


def _chaperon(held: Held) -> Chaperon:
    found = chaperon(reserved=held.reserved, allowed=held.allowed, terminating=held.terminating)
    return replace(found, uid=f"number-{held.number}")


class World:
    """One proxy, two targets, two agents with memories of their own."""

    def __init__(self, decide: Decide, *, is_checked: bool = True) -> None:
        self.now = Seen()
        self.memory = [self.now, self.now]
        self.breaches: list[str] = []
        self.made = 0
        self.started: set[int] = set()  # chaperons whose pod has run
        self._decide = decide
        self._is_checked = is_checked

    def step(self, kind: str, which: int, name: str) -> None:
        """Do one thing; what is impossible is skipped."""
        match kind:
            case "look":
                self.memory[which] = replace(self.now, never_allowed=self.memory[which].never_allowed)
            case "restart":
                self.memory[which] = self.now
            case "work":
                self.memory[which] = replace(self.now, never_allowed=self.memory[which].never_allowed)
                self._act(self.memory[which], 99)
            case "act" | "crash":
                self._act(self.memory[which], 1 if kind == "crash" else 99)
            case "reserve" | "lose":
                self._mark(name, reserved=kind == "reserve")
            case "schedule":
                self._schedule(name)
            case "delete":
                self._change(terminating=True)
            case "retire":
                self.now = replace(self.now, going=self.now.going | {name})
            case _ if held := self.now.chaperons[name]:
                self._happen(kind, which, name, held)
        self._judge()

    def _happen(self, kind: str, which: int, name: str, held: Held) -> None:
        """What kubelets, owners and the garbage collector do to a chaperon that is there, or to its pod."""
        if kind == "start" and held.allowed:
            self.started.add(held.number)
        elif kind == "remove":
            self._put(name, replace(held, terminating=True, version=held.version + 1))
        elif kind == "collect" and held.terminating:
            self._put(name, None)
            self._tell(which, held)

    def _tell(self, which: int, held: Held) -> None:
        """One agent's watch was up as a chaperon went, and told its last state; the other's was not."""
        if not held.allowed:
            seen = self.memory[which]
            self.memory[which] = replace(seen, never_allowed=seen.never_allowed | {held.number})

    def settle(self) -> None:
        """Let everybody do their part until nothing changes."""
        for _ in range(30):
            before = self.now
            for name in TARGETS:
                self.step("collect", 0, name)
                self.step("reserve", 0, name)
                self.step("schedule", 0, name)
            self.step("look", 0, "a")
            self.step("act", 0, "a")
            if self.now == before:
                return

    def _change(self, **values: object) -> None:
        if self.now.is_there:
            self.now = replace(self.now, version=self.now.version + 1, **values)  # type: ignore[arg-type]  # by name

    def _put(self, name: str, held: Held | None) -> None:
        self.now = replace(self.now, chaperons=self.now.chaperons | {name: held})

    def _mark(self, name: str, *, reserved: bool) -> None:
        held = self.now.chaperons[name]
        if held and not held.allowed and held.reserved != reserved:
            self._put(name, replace(held, reserved=reserved, version=held.version + 1))

    def _schedule(self, name: str) -> None:
        """The source's scheduler binds to a virtual node that the proxy is tied to; one Binding is accepted."""
        if not self.now.gated and name in self.now.pinned:
            self._bind(name)

    def _bind(self, name: str) -> None:
        if self.now.is_there and not self.now.node and not self.now.terminating:
            self._change(node=name, gated=False)

    def _act(self, seen: Seen, most: int) -> None:
        plan = self._decide(seen.proxy(), seen.views())
        for action in plan.actions[:most]:
            if not self._perform(action, seen):
                return  # a Conflict: the queue brings the key back

    def _perform(self, action: intents.Action, seen: Seen) -> bool:  # noqa: C901, PLR0911  # one case per action
        is_current = seen.version == self.now.version and self.now.is_there
        match action:
            case intents.Ask(node):
                if self.now.chaperons[node] is None:
                    self.made += 1
                    self._put(node, Held(number=self.made))
            case intents.Withdraw(node, _):
                held = self.now.chaperons[node]
                remembered = seen.chaperons[node]
                if held is None or remembered is None or (held.number, held.version) != _identity(remembered):
                    return held is None
                self._put(node, replace(held, terminating=True, version=held.version + 1))
            case intents.Allow(node, chosen):
                is_right = self.now.is_there and self.now.node == node and not self.now.terminating
                held = self.now.chaperons[node]
                is_on_record = f"number-{dict(self.now.records).get(node)}" == chosen.uid
                if self._is_checked and not (is_right and is_on_record):
                    return False
                if held and f"number-{held.number}" == chosen.uid:
                    self._put(node, replace(held, allowed=True, version=held.version + 1))
            case intents.Ungate(nodes, _, reservations):
                if not is_current:
                    return False
                self._change(gated=False, pinned=nodes, records=_recorded(self.now.records, reservations))
            case intents.RecordReservations(reservations):
                if not is_current:
                    return False
                self._change(records=_recorded(self.now.records, reservations))
            case intents.Bind(node):
                self._bind(node)
            case intents.Disrupt(reason, _):
                if not is_current:
                    return False
                self._change(disruption=reason)
            case intents.End():
                if not is_current:
                    return False
                self._change(phase="Failed")
            case intents.ForgetTargets(names):
                gone = [n for n in TARGETS if finalizers(n)[0] in names and self.now.chaperons[n] is None]
                if not is_current:
                    return False
                self._change(finalizers=tuple(n for n in self.now.finalizers if n not in gone))
                if self.now.terminating and not self.now.finalizers:
                    self.now = replace(self.now, is_there=False)
            case intents.RecordTargets(names):
                if not is_current:
                    return False
                new = tuple(n for n in TARGETS if finalizers(n)[0] in names and n not in self.now.finalizers)
                self._change(finalizers=self.now.finalizers + new)
            case intents.Delete() | intents.Explain():
                pass
        return True

    def _judge(self) -> None:
        if len(self.started) > 1:
            self.breaches.append(f"ran under chaperons {sorted(self.started)}")
        allowed = [name for name, held in self.now.chaperons.items() if held and held.allowed and not held.terminating]
        if len(allowed) > 1:
            self.breaches.append(f"allowed in {allowed} at once")
        if self.now.is_there and any(name != self.now.node for name in allowed):
            self.breaches.append(f"allowed in {allowed}, bound to {self.now.node!r}")


def _identity(held: Held) -> tuple[int, int]:
    return held.number, held.version


def _recorded(records: frozenset[tuple[str, int]], more: intents.Reservations) -> frozenset[tuple[str, int]]:
    known = dict(records) | {node: int(uid.removeprefix("number-")) for node, uid in more}
    return frozenset(known.items())


def real(seen: ProxyPod | None, targets: tuple[TargetView, ...]) -> Plan:
    return placement.decide(seen, targets, NOW)


def allows_before_the_binding(seen: ProxyPod | None, targets: tuple[TargetView, ...]) -> Plan:
    early = tuple(intents.Allow(t.node_name, c) for t in targets for c in t.chaperons if c.is_reserved)
    plan = real(seen, targets)
    return replace(plan, actions=early + plan.actions)


def spares_the_losers(seen: ProxyPod | None, targets: tuple[TargetView, ...]) -> Plan:
    plan = real(seen, targets)
    kept = tuple(a for a in plan.actions if not (isinstance(a, intents.Withdraw) and seen and not seen.is_terminating))
    return replace(plan, actions=kept)


def believes_what_it_has_not_seen(seen: ProxyPod | None, targets: tuple[TargetView, ...]) -> Plan:
    return real(seen, tuple(replace(target, was_never_allowed=True) for target in targets))


AGENTS = ("look", "act", "crash", "work", "restart")
KINDS = (*AGENTS, "reserve", "lose", "schedule", "start", "delete", "collect", "remove", "retire")
steps = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 1), st.sampled_from(TARGETS)), max_size=40)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Steps = list[tuple[str, int, str]]


def after(taken: Steps, decide: Decide, *, is_checked: bool = True) -> World:
    world = World(decide, is_checked=is_checked)
    for kind, which, name in taken:
        world.step(kind, which, name)
    return world


def leaks(world: World) -> list[str]:
    """What is left where it should not be, once all has settled."""
    world.settle()
    left = [name for name, held in world.now.chaperons.items() if held]
    if world.now.is_there and not world.now.terminating:
        tied = [f"finalizer of {name}" for name in world.now.going if name in world.now.finalizers]
        return [name for name in left if name != world.now.node or name in world.now.going] + tied
    return left if not world.now.is_there else [*left, "the proxy itself"]


@thorough
@given(steps)
def test_never_two_allowed_and_nothing_is_left(taken: Steps) -> None:
    world = after(taken, real)
    assert world.breaches == []
    assert leaks(world) == []
    assert world.breaches == []
    if world.now.is_there and world.now.node in world.now.going:
        assert world.now.phase == "Failed", "it ends with its Target"
    elif world.now.is_there and world.now.going != set(TARGETS):
        held = world.now.chaperons[world.now.node]
        assert held is not None, "whatever happened, in the end it runs somewhere"
        assert held.allowed


@pytest.mark.parametrize(
    ("mutant", "is_caught"),
    [
        (
            allows_before_the_binding,
            lambda taken: bool(after(taken, allows_before_the_binding, is_checked=False).breaches),
        ),
        (spares_the_losers, lambda taken: bool(leaks(after(taken, spares_the_losers)))),
    ],
    ids=["allow before the Binding", "spare the losers"],
)
def test_the_judge_catches_mutants(mutant: Decide, is_caught: Callable[[Steps], bool]) -> None:
    try:
        find(steps, is_caught, settings=settings(max_examples=3000, deadline=None, database=None))
    except NoSuchExample:
        pytest.fail(f"{mutant} went unnoticed")


def test_S7_a_chaperon_that_went_unseen_is_followed_by_no_other() -> None:
    """The agent dies once it has let the pod go ahead; the owner deletes the chaperon; another agent takes over."""
    let_go = ["work", "reserve", "work", "schedule", "work", "start"]
    unseen = ["remove", "collect", "restart"]
    again = ["work", "work", "work", "start"]
    taken = [(kind, 0, "a") for kind in let_go + unseen + again]
    assert after(taken, believes_what_it_has_not_seen).breaches, "the recipe is one, and the judge can tell"
    world = after(taken, real)
    assert world.breaches == []
    assert world.now.phase == "Failed"
