"""Times as kubectl prints them: how long ago, in one or two units."""

from datetime import datetime

from lab.api_server.core.manifest import parse_timestamp


def age(moment: object, now: datetime) -> str:
    """Return the time since `moment` in kubectl's short form."""
    return duration((now - parse_timestamp(str(moment))).total_seconds()) if moment else "<unknown>"


def duration(seconds: float) -> str:  # noqa: PLR0911 - one return per range
    """Return `5s`, `3m12s`, `2h`, `4d` ... as apimachinery's HumanDuration does."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(major: int, unit: str, minor: int, small: str) -> str:
    return f"{major}{unit}{minor}{small}" if minor else f"{major}{unit}"
