"""Human durations of `timeout:` and `expire_in:`: "90 minutes", "1h 30m", "3600", "1 day and 2 hours"."""

from __future__ import annotations

import re

_UNIT_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400),
    **dict.fromkeys(("mo", "mos", "month", "months"), 30 * 86400),
    **dict.fromkeys(("y", "yr", "year", "years"), 365 * 86400),
}
_PART = re.compile(r"\s*(?:and\s+|,\s*)?(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def seconds_of(text: str) -> int | None:
    """Seconds, or None when the text is not a duration."""
    total, position = 0.0, 0
    while text[position:].strip():
        match = _PART.match(text, position)
        if match is None or match[2].lower() not in _UNIT_SECONDS:
            return None
        total += float(match[1]) * _UNIT_SECONDS[match[2].lower()]
        position = match.end()
    return int(total) if position else None
