"""Kubernetes' times: RFC 3339 in UTC, whole seconds in metadata, microseconds in Leases."""

from datetime import UTC, datetime


def parse_time(text: str | None) -> datetime | None:
    """Return the moment, aware, or None for an absent or unreadable value."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, so that the order of close moments survives."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
