"""How often something may be written that a stranger can change at will: a burst, then at growing intervals.

A pod's usual life is a handful of statuses, written at once. A target that changes them endlessly would fill home's
etcd; what it says is coalesced, and the last word always arrives.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

BURST = 16  # writes without a pause: more than a pod with a crashing container needs from start to its long back-off
REFILL = timedelta(seconds=20)  # after which one more of the burst is given back
INTERVAL_MAX = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one object has used: `level` writes of its burst (not yet given back) as of `at`, its last write."""

    level: float
    at: datetime

    def rest(self, now: datetime) -> float:
        """Return the seconds until it may be written again; 0 for at once."""
        over = self.level - BURST
        if over < 0:
            return 0.0
        interval = min(timedelta(seconds=2.0 ** min(over, 10)), INTERVAL_MAX)
        return max((self.at + interval - now).total_seconds(), 0.0)


def spend(spent: Spent | None, now: datetime) -> Spent:
    """Return what is used after one more write."""
    if spent is None:
        return Spent(1.0, now)
    return Spent(max(spent.level - (now - spent.at) / REFILL, 0.0) + 1.0, now)
