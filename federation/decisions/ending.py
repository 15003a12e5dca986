"""How a Target ends (rule M7): proxies and chaperons first, then Node, Secret and the Target itself.

One step at a time, each from what is there now. A target that stays away is not waited for for ever: what it may still
hold is put on record, and everything here goes on as if it were gone. One that was never reached holds nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LOST_AFTER = timedelta(seconds=120)
"""A restarting API server is back by then; a person who deletes a namespace still waits for it."""


class Stage(StrEnum):
    """How far a virtual node's Target is."""

    KEPT = "kept"
    GOING = "going"  # being deleted: nothing new goes there
    DRAINED = "drained"  # nothing is left there: the Node may go
    GONE = "gone"  # there is no such Target


class Step(StrEnum):
    """What is next."""

    WAIT = "wait"
    RECORD = "record what stays behind"
    REMOVE_NODE = "remove the virtual node"
    RELEASE = "take the finalizers off Secret and Target"


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a Target that is being deleted.

    `away_since` is since when it cannot be reached, None while it can. `proxies` carry its finalizer; `chaperons` are
    there, as far as is known. `is_recorded`: what may stay behind in the target is on record. `was_met`: the id of
    its cluster is on record, without which nothing is written there.
    """

    deleted_at: datetime
    away_since: datetime | None
    proxies: int
    chaperons: int
    has_node: bool
    is_recorded: bool
    was_met: bool


def lost_in_seconds(remains: Remains, now: datetime, lost_after: timedelta) -> float | None:
    """Return in how many seconds the target is given up (0 or less: it is), or None while it can be reached."""
    if remains.away_since is None:
        return None
    return (max(remains.deleted_at, remains.away_since) + lost_after - now).total_seconds()


def next_step(remains: Remains, now: datetime, lost_after: timedelta) -> Step:
    """Return what to do next."""
    last = Step.REMOVE_NODE if remains.has_node else Step.RELEASE
    if not (remains.was_met or remains.proxies or remains.chaperons):
        return last
    wait = lost_in_seconds(remains, now, lost_after)
    if wait is not None and wait > 0:
        return Step.WAIT
    if wait is not None and not remains.is_recorded:
        return Step.RECORD
    if remains.proxies or (wait is None and remains.chaperons):
        return Step.WAIT
    return last
