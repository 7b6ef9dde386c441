"""Keys, as rows for programs and as a table for people: never the secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from trunkline.cli.output import Column, Page
from trunkline.clock import as_datetime, iso
from trunkline.tenancy.keys import Key

_STYLES = {"works": "green", "expires": "yellow", "expired": "dim", "revoked": "dim"}

_COLUMNS = (
    Column("id"),
    Column("begins", rank=3),
    Column("unit"),
    Column("person", rank=4),
    Column("state"),
    Column("expires", rank=2),
    Column("use cases", rank=4),
    Column("from", rank=6),
    Column("made", rank=7),
    Column("label", rank=5),
)


def state_of(key: Key, now: int) -> str:
    """Say whether a key works: `works`, `expires` (replaced, in its grace period), `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "works" if key.successor is None else "expires"


def key_json(key: Key, now: int) -> dict[str, Any]:
    """Return what may be known of a key."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "unit": key.unit,
        "person": key.person,
        "state": state_of(key, now),
        "use_cases": list(key.use_cases),
        "from": list(key.networks),
        "created_at": iso(key.created_at),
        "expires_at": _time(key.expires_at),
        "revoked_at": _time(key.revoked_at),
        "successor": key.successor,
        "label": key.label,
    }


def keys_table(keys: Sequence[Key], now: int, width: int) -> RenderableType:
    """Return keys as a table, oldest first."""
    return Page(_COLUMNS, width).more([_cells(key, now) for key in keys])


def _cells(key: Key, now: int) -> tuple[str | Text, ...]:
    state = state_of(key, now)
    return (
        key.id,
        f"{key.prefix}...",
        key.unit,
        key.person or "",
        Text(state, style=_STYLES[state]),
        "never" if key.expires_at is None else _minute(key.expires_at),
        ", ".join(key.use_cases) or "all",
        ", ".join(key.networks) or "anywhere",
        _minute(key.created_at),
        key.label,
    )


def _minute(nanos: int) -> str:
    return f"{as_datetime(nanos).astimezone():%Y-%m-%d %H:%M}"


def _time(nanos: int | None) -> str | None:
    return None if nanos is None else iso(nanos)
