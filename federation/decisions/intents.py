"""What may be written for a proxy pod, and what is seen of its targets: the words of the one rule.

Every action is safe to repeat and safe to lose: the next look sees what became of it. The shell checks live what must
be true at the moment of writing (see each action).
"""

from dataclasses import dataclass

from federation.decisions.asking import Odds
from federation.model.chaperon import Chaperon

NOTHING_KNOWN = Odds()
Reservations = tuple[tuple[str, str], ...]  # (virtual node, uid of the chaperon there)


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target as this proxy sees it; `name` is what people call it.

    `obstacle` says why it may not be asked (selector, taint, ...), `trouble` why it cannot be reached right now;
    both empty in the good case. `chaperons` are those that name this proxy as their parent, of any uid. `is_counted`
    says whether its virtual node carries the labels by which the proxy's spread is counted (rule C2).
    `is_unread`: it answers, or may do so any moment, and has not been listed once since we started (rule S5).
    `is_going`: its Target is being deleted; `is_lost`: and it has been away for so long that nothing there is waited
    for (rule M7). `settle_seconds`: chaperons vanished there just now, more may follow (rule S4).
    `was_never_allowed`: the chaperon that is on record there was seen to go, and was never allowed (rule S7).
    """

    name: str
    node_name: str
    finalizer: str
    obstacle: str
    trouble: str
    chaperons: tuple[Chaperon, ...]
    odds: Odds = NOTHING_KNOWN
    is_counted: bool = True
    is_unread: bool = False
    is_going: bool = False
    is_lost: bool = False
    settle_seconds: float = 0.0
    was_never_allowed: bool = False


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
    """Copy what the pod refers to, then allow the chaperon, after a live read of the bound proxy (rules S2, S7)."""

    node_name: str
    chaperon: Chaperon


@dataclass(frozen=True, slots=True)
class Ungate:
    """Remove our gate and tie the proxy to these virtual nodes, in one patch.

    `never_asked` are the finalizers of targets that were surely never asked: nothing is there to wait for (rule S3).
    `reservations` are the chaperons that hold room there: (virtual node, uid), put on record (rule S7).
    """

    node_names: tuple[str, ...]
    never_asked: tuple[str, ...] = ()
    reservations: Reservations = ()


@dataclass(frozen=True, slots=True)
class RecordReservations:
    """Put on record which chaperons may be allowed, of exactly this version of the proxy (rule S7)."""

    reservations: Reservations


@dataclass(frozen=True, slots=True)
class Bind:
    """POST the proxy's Binding ourselves (rule M1); a later attempt of the scheduler gets 409."""

    node_name: str


@dataclass(frozen=True, slots=True)
class Disrupt:
    """Say in the condition DisruptionTarget why the proxy is about to end, before its chaperon is withdrawn.

    It is the record from which ending goes on after a crash; who waits for the pod's end sees that it was no fault
    of the pod's.
    """

    reason: str
    message: str


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


Action = (
    Ask
    | RecordTargets
    | RecordReservations
    | ForgetTargets
    | Withdraw
    | Allow
    | Ungate
    | Bind
    | Disrupt
    | End
    | Delete
    | Explain
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions in the order to carry them out, and after how many seconds to look again without an event."""

    actions: tuple[Action, ...] = ()
    look_again_seconds: float | None = None
