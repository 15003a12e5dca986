"""What counts as gone (rule S4): when what a target says is not believed, and how a person settles it.

A cluster of another id under a Target's kubeconfig, or many chaperons missing at once, is rather a restored backup, a
mistaken kubeconfig or a deleted kind than the end of so many pods. Then nothing there is ended, asked or deleted until
the old state is back, or a person says that the loss is real.

What is missing is counted by what is there now, not by events, so that a restarted agent comes to the same answer.
"""

from dataclasses import dataclass
from datetime import timedelta

from federation import names
from federation.model.target import Target
from federation.model.times import parse_time

INTACT = "Intact"  # the condition of a Target; False: it has lost something, and waits for a person
CLUSTER_CHANGED = "ClusterChanged"
CHAPERONS_VANISHED = "ChaperonsVanished"
LOSS_ACCEPTED = "LossAccepted"

SETTLE = timedelta(seconds=1)
"""How long one missing chaperon waits for more: a relist or a deleted kind takes all within a fraction of that."""

_LOST_MIN = 5  # fewer are an ordinary accident, and asking a person about each would make nobody look
_LOST_SHARE = 10  # a tenth: of a large target a few pods may vanish at once, as when one node is taken away


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a target is not believed; `message` is for people."""

    reason: str
    message: str


def has_lost_too_much(missing: int, expected: int) -> bool:
    """Whether so many of the pods that ran in a target have no chaperon there that none is believed to have ended."""
    return missing >= _LOST_MIN and missing * _LOST_SHARE > expected


def doubt(target: Target, answering_id: str, missing: int, expected: int) -> Doubt | None:
    """Return what is wrong with a target that answers, or None. `answering_id` is the id of the cluster that does."""
    way_out = f"; if that is so, set the annotation {names.ACCEPT_LOSS} to the present time (RFC 3339)"
    if target.cluster_id and answering_id and answering_id != target.cluster_id:
        message = f"another cluster answers: its id is {answering_id}, on record is {target.cluster_id}"
        return Doubt(CLUSTER_CHANGED, f"{message}. Nothing is done there. What ran in the old one is lost{way_out}")
    if has_lost_too_much(missing, expected):
        message = f"{missing} of {expected} pods that ran there have lost their PodChaperons at once"
        return Doubt(
            CHAPERONS_VANISHED, f"{message}. Nothing is done there until they are back. They are gone{way_out}"
        )
    return None


def is_accepted(target: Target) -> bool:
    """Whether a person has said, since the doubt is on record, that what is lost is lost."""
    condition = target.condition(INTACT)
    since = parse_time(condition.get("lastTransitionTime"))
    is_doubted = condition.get("status") == "False" and since is not None
    accepted = target.loss_accepted_at
    return is_doubted and since is not None and accepted is not None and accepted >= since
