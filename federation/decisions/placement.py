"""The one rule, as a function: what is observed of a proxy pod and its chaperons -> what to write.

    not yet bound        at most one chaperon in each eligible target, none of them allowed
    bound to X           exactly one, in X's target, allowed, and none elsewhere
    gone or terminating  none anywhere

Nothing here trusts a cache further than the shell's live checks allow. Proxies that are bound or end: `bound`.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from federation.decisions.asking import Choice, Questions, questions
from federation.decisions.bound import (
    EXPLAIN_AFTER,
    NO_ROOM_AFTER,
    asking,
    bound,
    ending,
    is_to_withdraw,
    leaving,
    withdrawals,
)
from federation.decisions.intents import (
    Action,
    Bind,
    Explain,
    Plan,
    RecordReservations,
    Reservations,
    TargetView,
    Ungate,
    Withdraw,
)
from federation.model.chaperon import Chaperon
from federation.model.pod import Asking, ProxyPod

BOUND_LATE = timedelta(seconds=5)  # rule M1: an ungated pod without a live reservation for so long is asked for anew
COMPARE_FOR = timedelta(seconds=2)  # rule C2: how long an answer is waited for that only serves to compare
SPREAD_BEFORE_WAY_OUT = timedelta(seconds=60)  # a hard spread is broken only where else a pod would wait for ever
SILENCE_EXPLAINED_AFTER = timedelta(seconds=60)  # under load nobody has answered yet, and saying so makes more load
_LOOK_SECONDS = 5.0  # events wake us earlier


def decide(
    proxy: ProxyPod | None, targets: tuple[TargetView, ...], now: datetime, no_room_after: timedelta = NO_ROOM_AFTER
) -> Plan:
    """Return what to write for one proxy pod (None: it is gone)."""
    targets = tuple(replace(target, chaperons=()) if target.is_lost else target for target in targets)
    strangers = tuple(
        Withdraw(target.node_name, chaperon)
        for target in targets
        for chaperon in target.chaperons
        if (proxy is None or chaperon.parent_uid != proxy.uid) and is_to_withdraw(target, chaperon)
    )
    if proxy is None:
        return Plan(strangers)
    own = {
        target.node_name: next((c for c in target.chaperons if c.parent_uid == proxy.uid), None) for target in targets
    }
    if proxy.is_terminating:
        plan = ending(proxy, targets, own)
    elif actions := leaving(proxy, targets, own):
        plan = Plan(tuple(actions))
    elif proxy.node_name:
        plan = bound(proxy, targets, own, now, no_room_after)
    elif any(c.is_allowed for c in _strangers(proxy, targets)) or any(target.is_unread for target in targets):
        plan = Plan((), _LOOK_SECONDS)  # rule S5: the old one is deleted first, and nobody moves before all is read
    else:
        staying = tuple(target for target in targets if not target.is_going)
        plan = _unbound(proxy, staying, {target.node_name: own[target.node_name] for target in staying}, now)
    return Plan(strangers + plan.actions, plan.look_again_seconds)


def _strangers(proxy: ProxyPod, targets: tuple[TargetView, ...]) -> list[Chaperon]:
    """Chaperons that are there for another pod of this name, where the target answers."""
    return [c for target in targets if not target.trouble for c in target.chaperons if c.parent_uid != proxy.uid]


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
        may = [t.node_name for t in targets if t.node_name in allowed and (t.is_going or not t.obstacle)]
        # Where the pod rules all of them out, a target's word for it binds the pod neither there nor elsewhere.
        return _sticky(proxy, own, min(may)) if may else _waiting(proxy, targets, own, now)
    if not proxy.needs_reservation or (proxy.gates and not proxy.is_gated_by_us_alone):
        return Plan(tuple(withdrawals(targets, own)))
    if proxy.gates and reserved:
        return _ungating(proxy, targets, own, now)
    if not proxy.gates and (late := [node for node in reserved if _may_bind(proxy, own, node, now)]):
        return _binding(proxy, own, min(late))
    if not proxy.gates and (new := _unrecorded(proxy, own, [n for n in reserved if n in proxy.pinned_nodes])):
        return Plan((RecordReservations(new),))  # before the scheduler binds it there (rule S7)
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
    on_record = _unrecorded(proxy, own, [target.node_name for target in reserved])
    return Plan((Ungate(tuple(sorted(target.node_name for target in chosen)), never, on_record),))


def _unrecorded(proxy: ProxyPod, own: dict[str, Chaperon | None], nodes: list[str]) -> Reservations:
    """Return the chaperons of these virtual nodes that are not on record there."""
    uids = ((node, chaperon.uid) for node in sorted(nodes) if (chaperon := own[node]) is not None)
    return tuple((node, uid) for node, uid in uids if proxy.reserved(node) != uid)


def _binding(proxy: ProxyPod, own: dict[str, Chaperon | None], node_name: str) -> Plan:
    """Bind it ourselves; the chaperon there is on record first (rule S7)."""
    new = _unrecorded(proxy, own, [node_name])
    return Plan((RecordReservations(new),) if new else (Bind(node_name),))


def _silent(eligible: list[TargetView], own: dict[str, Chaperon | None]) -> list[TargetView]:
    """Return the targets that were asked and have said neither yes nor no.

    A pod that is to be spread may go there too: tied to the quick ones alone, it would wait for ever where its skew
    forbids these. Should there be no room after all, rule M2 says what becomes of it.
    """
    asked = [(t, own[t.node_name]) for t in eligible if not t.trouble]
    return [
        t
        for t, c in asked
        if (c is None and t.odds.is_on_its_way)
        or (c is not None and not (c.is_reserved or c.is_terminating or c.refusal))
    ]


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
    actions = asking(proxy, [by_node[node] for node in next_ones.ask])
    useless = [target for target in targets if target.obstacle or target.node_name in next_ones.withdraw]
    if not proxy.gates:  # what the scheduler may not choose goes, unless it is the way out (rule M1)
        is_late = _is_late(proxy, own, now)
        useless = [] if is_late else [t for t in targets if t.node_name not in proxy.pinned_nodes]
    actions += withdrawals(tuple(useless), own)
    look_again = min(filter(None, (_look_again(proxy, now), next_ones.look_again_seconds)))
    return Plan((*actions, *_explaining(proxy, targets, own, now)), look_again)


def _waiting(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], now: datetime) -> Plan:
    return Plan(tuple(_explaining(proxy, targets, own, now)), _look_again(proxy, now))


def _sticky(proxy: ProxyPod, own: dict[str, Chaperon | None], node_name: str) -> Plan:
    """An unbound proxy whose delegate is already allowed is bound to that cluster and nowhere else."""
    if not proxy.gates:
        return _binding(proxy, own, node_name)
    on_record = _unrecorded(proxy, own, [node_name])
    return Plan((Ungate((node_name,), (), on_record),)) if proxy.is_gated_by_us_alone else Plan()


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
            is_put = target.odds.is_on_its_way or target.odds.is_failing
            reason = target.odds.remark or ("asked, no answer yet" if is_put else "not asked yet")
        else:
            reason = chaperon.refusal or ("reserved" if chaperon.is_reserved else "asked, no answer yet")
        parts.append(f"{target.name}: {reason}")
    return "; ".join(parts)
