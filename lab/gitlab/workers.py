"""Everything that GitLab's periodic workers do, in one call: what depends on nothing but time passing.

The server calls `sweep` every few seconds; a test turns `state.clock` and calls it once. Nothing else in here waits.
"""

from __future__ import annotations

from lab.gitlab import artifacts, jobs, runners
from lab.gitlab.state import State


def sweep(state: State) -> None:
    """Gives up on stuck, silent and overlong jobs, hands back unacknowledged ones, removes what has expired."""
    jobs.expire(state)
    artifacts.expire(state)
    runners.forget_stale_managers(state)
