"""Claims and their versions, as rows for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.text import Text

from trunkline.cli.output import Column, Page
from trunkline.cli.truth_table import moment
from trunkline.clock import as_datetime, as_nanos, iso
from trunkline.estate.claims import Claim
from trunkline.policy.remedy import write
from trunkline.policy.satisfy import DAY
from trunkline.policy.sources import SOON_DAYS, Sourced
from trunkline.policy.verified import UNKNOWN, Version

_STYLES = {"current": "green", "expires soon": "yellow", "expired": "red", "unknown": "dim"}

_COLUMNS = (
    Column("claim"),
    Column("value"),
    Column("basis", rank=4),
    Column("from", rank=5),
    Column("age", rank=6, number=True),
    Column("expires", rank=2),
    Column("days left", rank=1, number=True),
    Column("state"),
    Column("evidence", rank=7),
)

_VERSION_COLUMNS = (
    Column("version", number=True),
    Column("value"),
    Column("basis", rank=3),
    Column("recorded", rank=2),
    Column("by", rank=5),
    Column("expires", rank=4),
    Column("in force"),
    Column("evidence", rank=6),
)

LONGEST_EVIDENCE = 60


def state_of(claim: Claim, now: int) -> str:
    """Say how a claim stands: `current`, `expires soon`, `expired`, or `unknown`, which is worth as little."""
    if claim.value == UNKNOWN:
        return "unknown"
    left = _days_left(claim, now)
    if claim.expires is not None and as_nanos(claim.expires) <= now:
        return "expired"
    return "expires soon" if left is not None and left <= SOON_DAYS else "current"


def claim_json(one: Sourced, now: int) -> dict[str, Any]:
    """Return one claim with its age and the days it has left."""
    return {
        "claim": one.name,
        "deployment": one.deployment,
        "control": one.control,
        **_facts(one.claim),
        "source": one.source,
        "state": state_of(one.claim, now),
        "age_days": _age(one.claim, now),
        "days_left": _days_left(one.claim, now),
    }


def version_json(version: Version, in_force: str) -> dict[str, Any]:
    """Return one version of a claim. `in_force` is `yes`, or why not."""
    return {
        "claim": f"{version.deployment}.{version.control}",
        "version": version.number,
        **_facts(version.claim),
        "recorded_at": iso(version.recorded_at) if version.number else None,
        "in_force": in_force == "yes",
        "why": in_force.removeprefix("yes").removeprefix("no: "),
    }


def _facts(claim: Claim) -> dict[str, Any]:
    return {
        "value": claim.value,
        "basis": claim.basis,
        "evidence": None if claim.evidence is None else msgspec.to_builtins(claim.evidence),
        "verified_at": moment(claim.verified_at),
        "verified_by": claim.verified_by,
        "expires": moment(claim.expires),
    }


def claims_table(claims: Sequence[Sourced], now: int, width: int) -> RenderableType:
    """Return claims as a table."""
    return Page(_COLUMNS, width).more([_cells(one, now) for one in claims])


def versions_table(rows: Sequence[tuple[Version, str]], width: int) -> RenderableType:
    """Return versions with whether each is in force; number 0 is what the estate's file or the vendor says."""
    return Page(_VERSION_COLUMNS, width).more([_version_cells(version, in_force) for version, in_force in rows])


def _cells(one: Sourced, now: int) -> tuple[str | Text, ...]:
    claim = one.claim
    left, age = _days_left(claim, now), _age(claim, now)
    state = state_of(claim, now)
    return (
        one.name,
        write(claim.value),
        claim.basis,
        one.source,
        "" if age is None else f"{age} d",
        _day(claim.expires),
        "" if left is None else str(left),
        Text(state, style=_STYLES[state]),
        _evidence(claim),
    )


def _version_cells(version: Version, in_force: str) -> tuple[str | Text, ...]:
    return (
        str(version.number),
        write(version.claim.value),
        version.claim.basis,
        f"{as_datetime(version.recorded_at).astimezone():%Y-%m-%d %H:%M}" if version.number else "",
        version.claim.verified_by or "",
        _day(version.claim.expires),
        Text(in_force, style="green" if in_force == "yes" else "dim"),
        _evidence(version.claim),
    )


def _evidence(claim: Claim) -> str:
    if claim.evidence is None:
        return ""
    said = claim.evidence.title + (f" ({claim.evidence.reference})" if claim.evidence.reference else "")
    return said if len(said) <= LONGEST_EVIDENCE else said[: LONGEST_EVIDENCE - 3] + "..."


def _day(when: datetime | None) -> str:
    return "never" if when is None else when.date().isoformat()


def _age(claim: Claim, now: int) -> int | None:
    # A bare date means its end: of today, that lies ahead.
    return None if claim.verified_at is None else max(0, (now - as_nanos(claim.verified_at)) // DAY)


def _days_left(claim: Claim, now: int) -> int | None:
    return None if claim.expires is None else (as_nanos(claim.expires) - now) // DAY
