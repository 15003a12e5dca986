"""Proxies that are bound, and all that ends: the two halves of the one rule that need no asking.

    bound to X           exactly one chaperon, in X's target, allowed, and none elsewhere
    gone or terminating  none anywhere

A proxy that ends first says why (condition DisruptionTarget): that is the record from which a restarted agent goes on,
and the reason by which it tells ends of its own making.
"""

from datetime import datetime, timedelta

from federation.decisions.intents import (
    Action,
    Allow,
    Ask,
    Delete,
    Disrupt,
    End,
    Explain,
    ForgetTargets,
    Plan,
    RecordReservations,
    RecordTargets,
    TargetView,
    Withdraw,
)
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod

DELEGATE_GONE = "DelegateGone"  # the reason of a proxy that ended because its delegate vanished
TARGET_GONE = "TargetGone"  # because its Target was deleted (rule M7)
NO_ROOM = "NoRoom"  # because it never started for want of room in the target it is bound to (rule M2)
NO_ROOM_AFTER = timedelta(seconds=300)  # as long as Kubernetes lets pods wait on a node that is gone
_ENDS = {
    DELEGATE_GONE: "its delegate on {} is gone",
    TARGET_GONE: "the Target of {} was deleted",
    NO_ROOM: "{} has had no room for it for a long time",
}
EXPLAIN_AFTER = timedelta(seconds=2)  # in the ordinary case a pod is bound before anyone could read why it waits


def is_to_withdraw(target: TargetView, chaperon: Chaperon) -> bool:
    """Whether a chaperon can be withdrawn now: its target answers, and it is not on its way out already."""
    return not target.trouble and not chaperon.is_terminating


def withdrawals(targets: tuple[TargetView, ...], own: dict[str, Chaperon | None], but: str = "") -> list[Action]:
    """Return the withdrawals of a proxy's own chaperons, but for that of one virtual node."""
    return [
        Withdraw(target.node_name, chaperon)
        for target in targets
        if target.node_name != but
        and (chaperon := own[target.node_name]) is not None
        and is_to_withdraw(target, chaperon)
    ]


def ending(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None]) -> Plan:
    """A terminating proxy: chaperons first, then a terminal phase, then the finalizers."""
    if actions := withdrawals(targets, own):
        return Plan(tuple(actions))
    unreachable = {target.finalizer for target in targets if target.trouble and not target.is_lost}
    is_waiting = any(own.values()) or any(name in unreachable for name in proxy.finalizers)
    if not proxy.is_finished:
        if is_waiting:
            return Plan()
        return Plan((End("Deleted", "the pod was deleted", is_disruption=False),))
    busy = {target.finalizer for target in targets if own[target.node_name] is not None} | unreachable
    return _forgetting(tuple(name for name in proxy.finalizers if name not in busy))


def _forgetting(finalizers: tuple[str, ...]) -> Plan:
    return Plan((ForgetTargets(finalizers),) if finalizers else ())


def leaving(proxy: ProxyPod, targets: tuple[TargetView, ...], own: dict[str, Chaperon | None]) -> list[Action]:
    """Targets that go take their chaperons and finalizers along; a proxy that is bound there ends (rule M7)."""
    actions: list[Action] = []
    for target in targets:
        if not target.is_going or (target.trouble and not target.is_lost):
            continue
        is_bound_there = target.node_name == proxy.node_name
        if is_bound_there and not proxy.is_finished and not proxy.disruption:
            actions.append(Disrupt(TARGET_GONE, _ENDS[TARGET_GONE].format(target.node_name)))
        elif (chaperon := own[target.node_name]) is not None:
            actions += [Withdraw(target.node_name, chaperon)] if not chaperon.is_terminating else []
        elif is_bound_there and not proxy.is_finished:
            actions.append(_end(TARGET_GONE, target.node_name))
        elif is_bound_there and proxy.has_controller and proxy.reason in _ENDS:
            actions.append(Delete())
        elif target.finalizer in proxy.finalizers:
            actions.append(ForgetTargets((target.finalizer,)))
    return actions


def _end(reason: str, node_name: str) -> End:
    return End(reason, _ENDS[reason].format(node_name), is_disruption=True)


def bound(
    proxy: ProxyPod,
    targets: tuple[TargetView, ...],
    own: dict[str, Chaperon | None],
    now: datetime,
    no_room_after: timedelta,
) -> Plan:
    """A bound proxy: its chaperon in X is allowed, the others go, and then their finalizers."""
    chosen = next((target for target in targets if target.node_name == proxy.node_name), None)
    actions = withdrawals(targets, own, but=proxy.node_name)
    look_again = None
    if chosen is not None and not chosen.trouble and not chosen.is_going:
        chaperon = own[chosen.node_name]
        actions = [*_commit(proxy, chosen, chaperon, now, no_room_after), *actions]
        if chaperon is None:
            look_again = chosen.settle_seconds or None
        elif chaperon.refusal:
            look_again = _patience_seconds(proxy, chaperon, now, no_room_after)
    if not actions:
        kept = chosen.finalizer if chosen else ""
        done = {t.finalizer for t in targets if not t.trouble and own[t.node_name] is None} - {kept}
        known = {t.finalizer for t in targets}
        actions += _forgetting(
            tuple(f for f in proxy.finalizers if f != kept and (f in done or f not in known))
        ).actions
    return Plan(tuple(actions), look_again)


def _commit(
    proxy: ProxyPod, chosen: TargetView, chaperon: Chaperon | None, now: datetime, no_room_after: timedelta
) -> list[Action]:
    """The chosen target's chaperon exists and is allowed; or its pod ran and vanished, and the proxy ends."""
    if chaperon is None:
        return _without_chaperon(proxy, chosen)
    if _is_over(proxy, chaperon):
        return [Withdraw(chosen.node_name, chaperon)]
    if chaperon.is_terminating or proxy.is_finished:
        return []
    if chaperon.pod_missing_since is not None:  # how it ended, if that is known, reaches the proxy first
        gone = Disrupt(DELEGATE_GONE, _ENDS[DELEGATE_GONE].format(chosen.node_name))
        return [] if chaperon.has_ended else [gone]
    if not chaperon.is_allowed:
        return _allowing(proxy, chosen, chaperon)
    return _without_room(proxy, chosen, chaperon, now, no_room_after) if chaperon.refusal else []


def _allowing(proxy: ProxyPod, chosen: TargetView, chaperon: Chaperon) -> list[Action]:
    """Let the chaperon on record go ahead; after another one that may have been let go, the proxy ends (rule S7)."""
    if proxy.reserved(chosen.node_name) == chaperon.uid:
        return [Allow(chosen.node_name, chaperon)]
    if _may_have_run(proxy, chosen):
        return [] if chosen.settle_seconds else [Disrupt(DELEGATE_GONE, _ENDS[DELEGATE_GONE].format(chosen.node_name))]
    return [RecordReservations(((chosen.node_name, chaperon.uid),))]


def _may_have_run(proxy: ProxyPod, chosen: TargetView) -> bool:
    """Whether a chaperon that is gone may have been allowed: all that were are on record."""
    return proxy.has_started or (bool(proxy.reserved(chosen.node_name)) and not chosen.was_never_allowed)


def _is_over(proxy: ProxyPod, chaperon: Chaperon) -> bool:
    """Whether the chosen target's chaperon serves no purpose any more: its pod is gone, or we said the proxy ends."""
    if chaperon.is_terminating:
        return False
    if proxy.is_finished:
        return proxy.reason in _ENDS or chaperon.pod_missing_since is not None
    return proxy.disruption in _ENDS


def _without_chaperon(proxy: ProxyPod, chosen: TargetView) -> list[Action]:
    """The chosen target has none: its pod never ran and is asked for again, or it may have, and the proxy ends."""
    if proxy.is_finished:
        return [Delete()] if proxy.reason in _ENDS and proxy.has_controller else []
    if proxy.disruption in _ENDS:
        return [_end(proxy.disruption, chosen.node_name)]
    if _may_have_run(proxy, chosen):
        return [] if chosen.settle_seconds else [_end(DELEGATE_GONE, chosen.node_name)]
    return asking(proxy, [chosen])


def _without_room(
    proxy: ProxyPod, chosen: TargetView, chaperon: Chaperon, now: datetime, no_room_after: timedelta
) -> list[Action]:
    """Let go ahead, but the room is gone: say so, and after a long time let its owner try anew (rule M2)."""
    if proxy.has_started or chaperon.has_started:
        return []
    if proxy.has_controller and _no_room_seconds(proxy, chaperon, now, no_room_after) <= 0:
        return [Disrupt(NO_ROOM, f"{_ENDS[NO_ROOM].format(chosen.node_name)}: {chaperon.refusal}")]
    message = f"bound to {chosen.name}, which has no room for it now: {chaperon.refusal}"
    is_due = proxy.bound_at is None or now - proxy.bound_at >= EXPLAIN_AFTER
    return [Explain(message)] if is_due and message != proxy.waiting_message else []


def _patience_seconds(proxy: ProxyPod, chaperon: Chaperon, now: datetime, no_room_after: timedelta) -> float | None:
    """Return when to say why it waits, or to end it, whichever is next; None where there is nothing to wait for."""
    to_say = (proxy.bound_at + EXPLAIN_AFTER - now).total_seconds() if proxy.bound_at is not None else 0.0
    to_end = _no_room_seconds(proxy, chaperon, now, no_room_after) if proxy.has_controller else 0.0
    return min((seconds for seconds in (to_say, to_end) if seconds > 0), default=None)


def _no_room_seconds(proxy: ProxyPod, chaperon: Chaperon, now: datetime, no_room_after: timedelta) -> float:
    """Return how long to be patient yet; the wait begins with the Binding or the refusal, whichever is later."""
    moments = [moment for moment in (proxy.bound_at, chaperon.refused_at) if moment is not None]
    return (max(moments, default=now) + no_room_after - now).total_seconds()


def asking(proxy: ProxyPod, targets: list[TargetView]) -> list[Action]:
    """Return what asks these targets: they are on record first (rule S3)."""
    missing = tuple(target.finalizer for target in targets if target.finalizer not in proxy.finalizers)
    asks = [Ask(target.node_name) for target in targets if target.finalizer in proxy.finalizers]
    return [*([RecordTargets(missing)] if missing else []), *asks]
