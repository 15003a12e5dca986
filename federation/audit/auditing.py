"""The audit as a whole: looks at the federation until what is wrong has shown itself to stay, and says so.

A clean first look is the end of it. Otherwise it looks again, for as long as things are given to settle.
"""

import asyncio
from dataclasses import dataclass, replace

from federation.audit.collecting import Report
from federation.audit.looking import Scope, look
from federation.decisions.audit import findings, in_order, is_sound, persisting
from federation.kube.api import Api
from federation.model.audit import Finding, Observed, Unread

CLEAN, UNSOUND, UNREAD = 0, 1, 2
_PAUSE_SECONDS_MIN = 2.0  # between two looks: soon enough to see that things have settled,
_LOOKS_MAX = 10  # and yet few, because each reads everything


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen last, what is wrong, and after how many looks."""

    observed: Observed
    findings: tuple[Finding, ...]
    looks: int

    @property
    def exit_code(self) -> int:
        """0 clean, 1 violations or leaks, 2 none seen, but something could not be read."""
        if not is_sound(self.findings):
            return UNSOUND
        is_whole = all(unread.is_by_design for unread in self.observed.unread)
        return CLEAN if is_whole else UNREAD


async def audit(source: Api, scope: Scope, settle_seconds: float, report: Report) -> Verdict:
    """Return the verdict. Raises ApiError where the source cannot be read."""
    clock = asyncio.get_running_loop().time
    observed = await look(source, scope, report)
    seen, unread = [findings(observed)], set(observed.unread)
    deadline = clock() + settle_seconds
    while (left := deadline - clock()) > 0 and _is_open(seen):
        await asyncio.sleep(min(left, max(_PAUSE_SECONDS_MIN, settle_seconds / _LOOKS_MAX)))
        observed = await look(source, scope, report)
        seen.append(findings(observed))
        unread |= set(observed.unread)
    # What could not be read in one of the looks was not seen to stay, and not seen to be well.
    ordered: list[Unread] = sorted(unread, key=lambda one: (one.is_by_design, one.cluster, one.what, one.why))
    return Verdict(replace(observed, unread=tuple(ordered)), tuple(in_order(persisting(seen))), len(seen))


def _is_open(seen: list[frozenset[Finding]]) -> bool:
    """Whether looking again could still change what is said."""
    return any(not finding.is_certain for finding in persisting(seen))
