"""Whether a candidate that its target's scheduler has a node for may be bound there (rule S7).

Allowing a chaperon lets one pod go ahead: the one that is on record. Another comes after it only if it is on record,
too, that the first never ran, or may run again.
"""

from enum import StrEnum

from federation.model.chaperon import Chaperon


class Step(StrEnum):
    """What is next for a pod whose chaperon was allowed."""

    WITHDRAWN = "withdrawn"  # nothing may go ahead
    BIND = "bind"
    RECORD = "put it on record, then bind"
    REFUSE = "refuse"  # another pod went ahead, and may have run


def next_step(chaperon: Chaperon | None, pod_uid: str) -> Step:
    """Return what to do with a pod, by its chaperon as it is known; what is written is fenced by that version."""
    if chaperon is None or chaperon.is_terminating or not chaperon.is_allowed:
        return Step.WITHDRAWN
    if chaperon.pod_uid == pod_uid:
        return Step.BIND
    return Step.REFUSE if chaperon.pod_uid and chaperon.replaceable != chaperon.pod_uid else Step.RECORD
