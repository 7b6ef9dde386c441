from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from trunkline.config.faults import nearest


def find_zone(name: str) -> tzinfo | None:
    """Return the time zone of that name, or None when this machine knows none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def describe_unknown_zone(name: str) -> str:
    """Say that a zone is not known, with the nearest one that is."""
    zones = available_timezones()
    if not zones:
        return f'time zone "{name}" is not known: this machine has no time zone data; install the package tzdata'
    near = nearest(name, zones)
    return f'time zone "{name}" is not known' + (
        f'; did you mean "{near}"?' if near else '; write one such as "Europe/Berlin"'
    )
