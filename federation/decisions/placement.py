"""The one rule, as a function: what is observed of a proxy pod and its chaperons -> what to write.

    not yet bound        at most one chaperon in each eligible target, none of them allowed
    bound to X           exactly one, in X's target, allowed, and none elsewhere
    gone or terminating  none anywhere

Every action is safe to repeat and safe to lose: the next call sees what became of it. The shell checks live what must
be true at the moment of writing (see each action); nothing here trusts a cache further than that.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from federation.decisions.asking import Choice, Odds, Questions, questions
from federation.model.chaperon import Chaperon
from federation.model.pod import Asking, ProxyPod

DELEGATE_GONE = "DelegateGone"  # the reason of a proxy that ended because its delegate vanished
BOUND_LATE = timedelta(seconds=5)  # rule M1: an ungated pod without a live reservation for so long is asked for anew
COMPARE_FOR = timedelta(seconds=2)  # rule C2: how long an answer is waited for that only serves to compare
SPREAD_BEFORE_WAY_OUT = timedelta(seconds=60)  # a hard spread is broken only where else a pod would wait for ever
SILENCE_EXPLAINED_AFTER = timedelta(seconds=15)  # under load nobody has answered yet, and saying so makes more load
NOTHING_KNOWN = Odds()
EXPLAIN_AFTER = timedelta(seconds=2)  # in the ordinary case a pod is bound before anyone could read why it waits


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target as this proxy sees it; `name` is what people call it.

    `obstacle` says why it may not be asked (selector, taint, ...), `trouble` why it cannot be reached right now;
    both empty in the good case. `chaperons` are those that name this proxy as their parent, of any uid. `is_counted`
    says whether its virtual node carries the labels by which the proxy's spread is counted (rule C2).
    """

    name: str
    node_name: str
    finalizer: str
    obstacle: str
    trouble: str
    chaperons: tuple[Chaperon, ...]
    odds: Odds = NOTHING_KNOWN
    is_counted: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """Create the chaperon in a target (its finalizer is on the proxy already)."""

    node_name: str


@dataclass(frozen=True, slots=True)
class RecordTargets:
    """Add finalizers of targets to the proxy, before they are asked (rule S3)."""

    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForgetTargets:
    """Remove finalizers, each after a live NotFound of the chaperon in its target (rule S3)."""

    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Delete a chaperon in the foreground, with uid and resourceVersion."""

    node_name: str
    chaperon: Chaperon


@dataclass(frozen=True, slots=True)
class Allow:
    """Copy what the pod refers to, then allow the chaperon, after a live read of the bound proxy (rule S2)."""

    node_name: str
    chaperon: Chaperon


@dataclass(frozen=True, slots=True)
class Ungate:
    """Remove our gate and tie the proxy to these virtual nodes, in one patch.

    `never_asked` are the finalizers of targets that were surely never asked: nothing is there to wait for (rule S3).
    """

    node_names: tuple[str, ...]
    never_asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """POST the proxy's Binding ourselves (rule M1); a later attempt of the scheduler gets 409."""

    node_name: str


@dataclass(frozen=True, slots=True)
class End:
    """Give the proxy a terminal phase (rule C1), once its chaperon is live NotFound in the target it is bound to."""

    reason: str
    message: str
    is_disruption: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an ended proxy that a controller owns, as an eviction would; its owner makes a new one."""


@dataclass(frozen=True, slots=True)
class Explain:
    """Say in a condition, and an Event, why the proxy waits."""

    message: str


Action = Ask | RecordTargets | ForgetTargets | Withdraw | Allow | Ungate | Bind | End | Delete | Explain


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order to carry them out, and after how many seconds to look again without an event."""

    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None


def decide(proxy: ProxyPod | None, targets: tuple[TargetView, ...], now: datetime) -> Plan:
    """Return what to write for one proxy pod (None: it is gone)."""
    strangers = tuple(
        Withdraw(target.node_name, chaperon)
        for target in targets
        for chaperon in target.chaperons
        if (proxy is None or chaperon.parent_uid != proxy.uid) and _is_to_withdraw(target, chaperon)
    )
    if proxy is None:
        return Plan(strangers)
    own = {
        target.node_name: next((c for c in target.chaperons if c.parent_uid == proxy.uid), None) for target in targets
    }
    if proxy.is_terminating:
        plan = _ending(proxy, targets, own)
    elif proxy.node_name:
        plan = _bound(proxy, targets, own)
    else:
        plan = _unbound(proxy, targets, own, now)
    return Plan(strangers + plan.actions, plan.look_again_seconds)


def _is_to_withdraw(target: TargetView, chaperon: Chaperon) -> bool:
    return not target.trouble and not chaperon.is_terminating


def _withdrawals(targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], but: str = "") -> list[Action]:
    return [
        Withdraw(target.node_name, chaperon)
        for target in targets
        if target.node_name != but
        and (chaperon := own[target.node_name]) is not None
        and _is_to_withdraw(target, chaperon)
    ]


def _ending(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None]) -> Plan:
    """A terminating proxy: chaperons first, then a terminal phase, then the finalizers."""
    if withdrawals := _withdrawals(targets, own):
        return Plan(tuple(withdrawals))
    unreachable = {target.finalizer for target in targets if target.trouble}
    is_waiting = any(own.values()) or any(name in unreachable for name in proxy.finalizers)
    if not proxy.is_finished:
        if is_waiting:
            return Plan()
        return Plan((End("Deleted", "the pod was deleted", is_disruption=False),))
    busy = {target.finalizer for target in targets if own[target.node_name] is not None} | unreachable
    return _forgetting(tuple(name for name in proxy.finalizers if name not in busy))


def _forgetting(finalizers: tuple[str, ...]) -> Plan:
    return Plan((ForgetTargets(finalizers),) if finalizers else ())


def _bound(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None]) -> Plan:
    chosen = next((target for target in targets if target.node_name == proxy.node_name), None)
    actions = _withdrawals(targets, own, but=proxy.node_name)
    if chosen is not None and not chosen.trouble:
        actions = [*_commit(proxy, chosen, own[chosen.node_name]), *actions]
    if not actions:
        kept = chosen.finalizer if chosen else ""
        done = {t.finalizer for t in targets if not t.trouble and own[t.node_name] is None} - {kept}
        known = {t.finalizer for t in targets}
        return _forgetting(tuple(f for f in proxy.finalizers if f != kept and (f in done or f not in known)))
    return Plan(tuple(actions))


def _commit(proxy: ProxyPod, chosen: TargetView, chaperon: Chaperon | None) -> list[Action]:
    """The chosen target's chaperon exists and is allowed; or its pod ran and vanished, and the proxy ends."""
    if chaperon is None:
        if proxy.is_finished:
            return [Delete()] if proxy.reason == DELEGATE_GONE and proxy.has_controller else []
        if proxy.has_started:
            return [End(DELEGATE_GONE, f"its delegate on {chosen.node_name} is gone", is_disruption=True)]
        return _asking(proxy, [chosen])
    if chaperon.is_terminating:
        return []
    if chaperon.pod_missing_since is not None:
        return [Withdraw(chosen.node_name, chaperon)]
    return [] if chaperon.is_allowed else [Allow(chosen.node_name, chaperon)]


def _asking(proxy: ProxyPod, targets: list[TargetView]) -> list[Action]:
    missing = tuple(target.finalizer for target in targets if target.finalizer not in proxy.finalizers)
    if missing:
        return [RecordTargets(missing)]
    return [Ask(target.node_name) for target in targets]


def who_to_ask(
    proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime
) -> Questions:
    """Return whom to ask next: the likeliest first (rules F1-F3), or all where a bound was expected long ago (M1)."""
    choices = [Choice(t.node_name, t.odds, own[t.node_name]) for t in targets if not t.obstacle and not t.trouble]
    if proxy.gates:
        return questions(proxy.asking, proxy.uid, choices, now)
    if not _is_late(proxy, own, now):
        return Questions()
    if proxy.asking is Asking.ONE:
        return questions(proxy.asking, proxy.uid, choices, now)
    return Questions(tuple(c.node_name for c in choices if c.chaperon is None))


def _is_late(proxy: ProxyPod, own: dict[str, Chaperon | None], now: datetime) -> bool:
    is_held = any(
        chaperon is not None and chaperon.is_reserved and node in proxy.pinned_nodes for node, chaperon in own.items()
    )
    return not is_held and (proxy.ungated_at is None or now - proxy.ungated_at >= BOUND_LATE)


def _unbound(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime) -> Plan:
    allowed = [node for node, chaperon in own.items() if chaperon is not None and chaperon.is_allowed]
    reserved = [node for node, chaperon in own.items() if chaperon is not None and chaperon.is_reserved]
    if allowed:  # a source restored from backup: sticky (rule S5)
        return _sticky(proxy, min(allowed))
    if not proxy.needs_reservation or (proxy.gates and not proxy.is_gated_by_us_alone):
        return Plan(tuple(_withdrawals(targets, own)))
    if proxy.gates and reserved:
        return _ungating(proxy, targets, own, now)
    if not proxy.gates and (late := [node for node in reserved if _may_bind(proxy, own, node, now)]):
        return Plan((Bind(min(late)),))
    return _seeking(proxy, targets, own, now)


def _ungating(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime) -> Plan:
    """Something is reserved: let the scheduler choose, or wait a little where it has to compare (rule C2)."""
    eligible = [target for target in targets if not target.obstacle]
    reserved = [t for t in eligible if (c := own[t.node_name]) is not None and c.is_reserved and not t.trouble]
    if not reserved:
        return _seeking(proxy, targets, own, now)
    if not all(target.is_counted for target in eligible):
        return Plan((), COMPARE_FOR.total_seconds())  # the virtual-node controller is about to label them
    if proxy.asking is Asking.ALL and (wait := _comparing_seconds(eligible, own, now)) > 0:
        seeking = _seeking(proxy, targets, own, now)
        return Plan(seeking.actions, min(wait, seeking.look_again_seconds or wait))
    never = tuple(t.finalizer for t in targets if not t.odds.was_asked and t.finalizer in proxy.finalizers)
    chosen = reserved + (_silent(eligible, own) if proxy.spread else [])
    return Plan((Ungate(tuple(sorted(target.node_name for target in chosen)), never),))


def _silent(eligible: list[TargetView], own: dict[str, Chaperon | None]) -> list[TargetView]:
    """Return the targets that were asked and have said neither yes nor no.

    A pod that is to be spread may go there too: tied to the quick ones alone, it would wait for ever where its skew
    forbids these. Should there be no room after all, rule M2 says what becomes of it.
    """
    asked = [(t, own[t.node_name]) for t in eligible if not t.trouble]
    return [t for t, c in asked if c is not None and not (c.is_reserved or c.is_terminating or c.refusal)]


def _comparing_seconds(eligible: list[TargetView], own: dict[str, Chaperon | None], now: datetime) -> float:
    """How long to wait yet for answers of other targets; nothing where all that can have answered."""
    open_ones = [t for t in eligible if not t.trouble and not t.odds.is_refused]
    chaperons = [own[target.node_name] for target in open_ones]
    if all(c is not None and (c.is_reserved or c.refusal) for c in chaperons):
        return 0.0
    asked = [target.odds.asked_at for target in open_ones if target.odds.asked_at is not None]
    return (min(asked, default=now - COMPARE_FOR) + COMPARE_FOR - now).total_seconds()


def _seeking(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime) -> Plan:
    """Nothing is reserved, or nothing that the scheduler may use: ask, withdraw what does not help, say why."""
    next_ones = who_to_ask(proxy, targets, own, now)
    by_node = {target.node_name: target for target in targets}
    actions = _asking(proxy, [by_node[node] for node in next_ones.ask])
    useless = [target for target in targets if target.obstacle or target.node_name in next_ones.withdraw]
    if not proxy.gates:  # what the scheduler may not choose goes, unless it is the way out (rule M1)
        is_late = _is_late(proxy, own, now)
        useless = [] if is_late else [t for t in targets if t.node_name not in proxy.pinned_nodes]
    actions += _withdrawals(tuple(useless), own)
    look_again = min(filter(None, (_look_again(proxy, now), next_ones.look_again_seconds)))
    return Plan((*actions, *_explaining(proxy, targets, own, now)), look_again)


def _sticky(proxy: ProxyPod, node_name: str) -> Plan:
    """An unbound proxy whose delegate is already allowed is bound to that cluster and nowhere else."""
    if not proxy.gates:
        return Plan((Bind(node_name),))
    return Plan((Ungate((node_name,)),)) if proxy.is_gated_by_us_alone else Plan()


def _may_bind(proxy: ProxyPod, own: dict[str, Chaperon | None], node: str, now: datetime) -> bool:
    """Whether to bind to a reserved node ourselves: the scheduler may not choose it, or was given time enough.

    A Binding of ours asks nobody about spread: where that is a must, the way out is taken only after a long wait.
    """
    chaperon = own[node]
    if proxy.spread and proxy.ungated_at is not None and now - proxy.ungated_at < SPREAD_BEFORE_WAY_OUT:
        return False
    was_asked_late = chaperon is not None and chaperon.asked_after_ungate
    return was_asked_late or (node not in proxy.pinned_nodes and _is_late(proxy, own, now))


def _look_again(proxy: ProxyPod, now: datetime) -> float:
    start = proxy.ungated_at or proxy.created_at or now
    wait = BOUND_LATE if proxy.ungated_at else EXPLAIN_AFTER
    remaining = (start + wait - now).total_seconds()
    return remaining if remaining > 0 else 30.0  # events wake us earlier; this catches a missed one


def _explaining(
    proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime
) -> list[Action]:
    has_reason = any(
        t.obstacle or t.trouble or t.odds.remark or ((c := own[t.node_name]) and c.refusal) for t in targets
    )
    patience = EXPLAIN_AFTER if has_reason or not targets else SILENCE_EXPLAINED_AFTER
    if proxy.created_at is None or now - proxy.created_at < patience:
        return []
    message = waiting_message(targets, own)
    return [Explain(message)] if message != proxy.waiting_message else []


def waiting_message(targets: tuple[TargetView, ...], own: dict[str, Chaperon | None]) -> str:
    """Return why no target has room yet, target by target, as one sentence for people."""
    if not targets:
        return "no Target in this namespace, and no ClusterTarget"
    parts = []
    for target in targets:
        chaperon = own[target.node_name]
        if target.trouble:
            reason = f"unreachable ({target.trouble})"
        elif target.obstacle:
            reason = target.obstacle
        elif chaperon is None:
            reason = target.odds.remark or "not asked yet"
        else:
            reason = chaperon.refusal or ("reserved" if chaperon.is_reserved else "asked, no answer yet")
        parts.append(f"{target.name}: {reason}")
    return "; ".join(parts)
