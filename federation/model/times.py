"""Kubernetes' times: RFC 3339 in UTC, whole seconds in metadata, microseconds in Leases."""

from datetime import UTC, datetime

_LENGTH_MAX = 64  # RFC 3339 with nanoseconds and an offset takes 35
# Outside of these years nothing that concerns a cluster happens, and sums of times would overflow.
_YEARS = range(1971, 3000)


def parse_time(text: object) -> datetime | None:
    """Return the moment, in UTC, or None for an absent or unreadable value, or one of no year from 1971 to 2999."""
    if not isinstance(text, str) or not text or len(text) > _LENGTH_MAX:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, so that the order of close moments survives."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
